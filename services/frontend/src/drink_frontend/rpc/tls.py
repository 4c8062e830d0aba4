"""The gRPC listener's credentials, which follow their files."""

import ssl
from pathlib import Path

import grpc

from drink_frontend.system.certificate import CertificateFiles


def server_credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    """Credentials of a server that follow their files.

    Raises:
        OSError: a file cannot be read, or they are no certificate with its key (ssl.SSLError).
    """
    files = CertificateFiles(certificate, key, _configuration)
    # gRPC asks at each handshake, on a thread of its own, and takes None for "as before"; its type
    # stubs do not say so.
    return grpc.dynamic_ssl_server_credentials(
        files.current,
        files.renewed,  # type: ignore[arg-type]
    )


def _configuration(certificate: Path, key: Path) -> grpc.ServerCertificateConfiguration:
    pair = (key.read_bytes(), certificate.read_bytes())
    # gRPC itself would only fail at the first handshake.
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    return grpc.ssl_server_certificate_configuration([pair])
