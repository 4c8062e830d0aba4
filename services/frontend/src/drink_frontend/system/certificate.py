"""A listener's certificate, which may be renewed while it serves."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

T = TypeVar("T")


class CertificateFiles(Generic[T]):
    """The PEM files of a certificate, and what a listener serves with.

    Args:
        load: Makes of the files what a listener serves with; an OSError if they are of no use.
        files: The certificate chain, its key, and whatever else `load` takes.

    Attributes:
        current: What `load` made of the newest good files.

    Raises:
        OSError: a file cannot be read, or they are no certificate with its key (ssl.SSLError).
    """

    def __init__(self, load: Callable[..., T], *files: Path) -> None:
        self._load = load
        self._files = files
        self._signature = self._sign()
        self.current = load(*files)

    def renewed(self) -> T | None:
        """What `load` makes of the files if they have changed, else None; blocks on the disk.

        While they are missing or do not fit each other, as in the middle of a renewal, the last
        good ones stay in use.
        """
        try:
            signature = self._sign()
            if signature == self._signature:
                return None
            self.current = self._load(*self._files)
        except OSError as error:
            log.warning("tls_reload_failed", error=type(error).__name__)
            return None
        self._signature = signature
        log.info("tls_reloaded")
        return self.current

    def _sign(self) -> tuple[tuple[int, int, int], ...]:
        stats = [file.stat() for file in self._files]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)
