"""The certificate of a TLS listener, which may be renewed while it serves."""

import ssl
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class Certificate:
    """A certificate chain and its key in two PEM files, and the TLS context to serve with.

    Args:
        chain: The certificate chain, the server's own first.
        key: The private key.

    Raises:
        OSError: a file cannot be read, or they are no certificate with its key (ssl.SSLError).
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        self._signature = self._sign()
        self._current = self._load()
        self.context = self._load()
        """What listeners serve with; each handshake uses the newest certificate."""
        # Asked early in every handshake, with or without a server name.
        self.context.sni_callback = self._use_current

    def refresh(self) -> bool:
        """Takes the files if they have changed; blocks on the disk.

        While they are missing or do not fit each other, as in the middle of a renewal, the last
        good ones stay in use.

        Returns:
            Whether there is a new certificate.
        """
        try:
            signature = self._sign()
            if signature == self._signature:
                return False
            self._current = self._load()
        except OSError as error:
            log.warning("tls_reload_failed", error=type(error).__name__)
            return False
        self._signature = signature
        log.info("tls_reloaded")
        return True

    def _use_current(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        connection.context = self._current

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._chain, self._key)
        return context

    def _sign(self) -> tuple[tuple[int, int, int], ...]:
        stats = (self._chain.stat(), self._key.stat())
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)
