"""The certificate of a TLS listener, which may be renewed while it serves."""

import ssl
from pathlib import Path

from drink_frontend.system.certificate import CertificateFiles


class Certificate:
    """The TLS context to serve with, whose handshakes use the newest certificate.

    Args:
        chain: PEM file with the certificate chain, the server's own first.
        key: PEM file with the private key.

    Attributes:
        context: What listeners serve with.

    Raises:
        OSError: a file cannot be read, or they are no certificate with its key (ssl.SSLError).
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._files = CertificateFiles(_context, chain, key)
        self.context = _context(chain, key)
        # Asked early in every handshake, with or without a server name.
        self.context.sni_callback = self._use_current

    def refresh(self) -> bool:
        """Takes the files if they have changed; blocks on the disk.

        Returns:
            Whether there is a new certificate.
        """
        return self._files.renewed() is not None

    def _use_current(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        connection.context = self._files.current


def _context(chain: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Before TLS 1.3 a client could ask for new handshakes, which cost a server the most, for ever.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(chain, key)
    return context
