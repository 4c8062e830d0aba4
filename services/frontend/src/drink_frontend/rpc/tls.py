"""Credentials of the gRPC listeners, renewed from their files, and revoked client certificates."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from drink_frontend.domain.errors import CertificateInvalidError
from drink_frontend.system.certificate import CertificateFiles


def server_credentials(
    certificate: Path,
    key: Path,
    client_ca: Path | None = None,
    on_handshake: Callable[[], None] = lambda: None,
) -> grpc.ServerCredentials:
    """Credentials of a listener, renewed at the next handshake after their files change.

    Args:
        certificate: File with the certificate chain, the server's own certificate first.
        key: File with the private key.
        client_ca: File with the authorities that sign clients' certificates; with None, clients
            need no certificate.
        on_handshake: Called when a handshake begins, on a thread of gRPC.

    Raises:
        OSError: a file cannot be read, or its content is invalid (ssl.SSLError).
    """
    paths = (certificate, key) if client_ca is None else (certificate, key, client_ca)
    files = CertificateFiles(_configuration, *paths)

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        on_handshake()
        return files.renewed()

    # gRPC calls this at each handshake on a thread of its own, and keeps the credentials if it
    # returns None. The type stubs do not allow that.
    return grpc.dynamic_ssl_server_credentials(
        files.current,
        renewed,  # type: ignore[arg-type]
        require_client_authentication=client_ca is not None,
    )


REVOKED_LOOK_S = 5.0
"""Seconds between two checks whether the certificate of an open link was revoked; a check is one
question to the file system."""

_FINGERPRINT = re.compile("[0-9a-f]{64}")


class Revoked:
    """Client certificates that are refused although their authority has signed them.

    gRPC has no support for lists of revoked certificates.

    Args:
        path: File with a SHA-256 fingerprint in hexadecimal digits per line; `#` begins a comment.

    Raises:
        OSError: the file cannot be read, or a line is no fingerprint.
    """

    def __init__(self, path: Path) -> None:
        self._files = CertificateFiles(_fingerprints, path)

    def current(self) -> frozenset[str]:
        """The fingerprints as they are in the file now; blocks on the disk."""
        self._files.renewed()
        return self._files.current

    @asynccontextmanager
    async def absent(self, fingerprint: str) -> AsyncIterator[None]:
        """Ends the block in this context when the fingerprint is added to the list.

        Raises:
            CertificateInvalidError: it was added.
        """

        async def end_when_listed() -> None:
            while fingerprint not in await asyncio.to_thread(self.current):  # noqa: ASYNC110  a file
                await asyncio.sleep(REVOKED_LOOK_S)
            wait.reschedule(asyncio.get_running_loop().time())

        try:
            async with asyncio.timeout(None) as wait:
                watching = asyncio.create_task(end_when_listed())
                try:
                    yield
                finally:
                    watching.cancel()
        except TimeoutError:
            if wait.expired():
                raise CertificateInvalidError("the certificate was revoked") from None
            raise


def _fingerprints(path: Path) -> frozenset[str]:
    lines = [line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines()]
    found = frozenset(line.replace(":", "").lower() for line in lines if line)
    if not all(map(_FINGERPRINT.fullmatch, found)):
        raise OSError(f"{path} has a line that is no SHA-256 fingerprint")
    return found


def _configuration(
    certificate: Path, key: Path, client_ca: Path | None = None
) -> grpc.ServerCertificateConfiguration:
    # gRPC itself would report invalid files only at the first handshake.
    check = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    check.load_cert_chain(certificate, key)
    if client_ca is not None:
        check.load_verify_locations(client_ca)
    return grpc.ssl_server_certificate_configuration(
        [(key.read_bytes(), certificate.read_bytes())],
        root_certificates=client_ca.read_bytes() if client_ca is not None else None,
    )
