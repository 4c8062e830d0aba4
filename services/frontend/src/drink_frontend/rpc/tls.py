"""The gRPC listeners' credentials, which follow their files."""

import ssl
from pathlib import Path

import grpc

from drink_frontend.system.certificate import CertificateFiles


def server_credentials(
    certificate: Path, key: Path, client_ca: Path | None = None
) -> grpc.ServerCredentials:
    """Credentials of a listener that follow their files.

    Args:
        certificate: The certificate chain, the server's own first.
        key: The private key.
        client_ca: Authorities one of which must have signed the client's certificate; None asks
            clients for none.

    Raises:
        OSError: a file cannot be read, or they are no certificate with its key and no
            authorities (ssl.SSLError).
    """
    paths = (certificate, key) if client_ca is None else (certificate, key, client_ca)
    files = CertificateFiles(_configuration, *paths)
    # gRPC asks at each handshake, on a thread of its own, and takes None for "as before"; its type
    # stubs do not say so.
    return grpc.dynamic_ssl_server_credentials(
        files.current,
        files.renewed,  # type: ignore[arg-type]
        require_client_authentication=client_ca is not None,
    )


def _configuration(
    certificate: Path, key: Path, client_ca: Path | None = None
) -> grpc.ServerCertificateConfiguration:
    # gRPC itself would only fail at the first handshake.
    check = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    check.load_cert_chain(certificate, key)
    if client_ca is not None:
        check.load_verify_locations(client_ca)
    return grpc.ssl_server_certificate_configuration(
        [(key.read_bytes(), certificate.read_bytes())],
        root_certificates=client_ca.read_bytes() if client_ca is not None else None,
    )
