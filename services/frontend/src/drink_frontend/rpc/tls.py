"""The listener's certificate, read again when its files change."""

import ssl
from pathlib import Path

import grpc
import structlog

log = structlog.get_logger(__name__)

_Signature = tuple[tuple[int, int], ...]


class CertificateFiles:
    """A certificate chain and its key in two PEM files.

    Args:
        certificate: The chain, the server's own certificate first.
        key: The private key.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._loaded: _Signature | None = None

    def load(self) -> grpc.ServerCertificateConfiguration:
        """What the files hold.

        Raises:
            OSError: a file cannot be read, or they are no certificate with its key
                (ssl.SSLError).
        """
        signature = self._signature()
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
        self._loaded = signature
        return grpc.ssl_server_certificate_configuration([pair])

    def reload(self) -> grpc.ServerCertificateConfiguration | None:
        """What the files hold if they have changed, else None.

        gRPC calls it at each handshake, on a thread of its own. While the files are missing or do
        not fit each other, as in the middle of a renewal, the last good ones stay in use.
        """
        try:
            if self._signature() == self._loaded:
                return None
            configuration = self.load()
        except OSError as error:
            log.warning("tls_reload_failed", error=type(error).__name__)
            return None
        log.info("tls_reloaded")
        return configuration

    def _signature(self) -> _Signature:
        stats = (self._certificate.stat(), self._key.stat())
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in stats)


def server_credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    """Credentials of a server that follow their files.

    Raises:
        OSError: a file cannot be read, or they are no certificate with its key (ssl.SSLError).
    """
    files = CertificateFiles(certificate, key)
    # gRPC takes None for "as before"; its type stubs do not say so.
    return grpc.dynamic_ssl_server_credentials(files.load(), files.reload)  # type: ignore[arg-type]
