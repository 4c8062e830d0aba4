"""A listener's certificate, which may be renewed while the listener serves."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

T = TypeVar("T")


class CertificateFiles(Generic[T]):
    """The PEM files of a certificate, and the object that a listener makes from them.

    Args:
        load: Makes the object from the files; raises OSError if they are not usable.
        files: The certificate chain, its key, and any other arguments of `load`.

    Attributes:
        current: The object made from the newest usable files.

    Raises:
        OSError: a file cannot be read, or the key is not the certificate's (ssl.SSLError).
    """

    def __init__(self, load: Callable[..., T], *files: Path) -> None:
        self._load = load
        self._files = files
        self._lock = threading.Lock()
        self._signature = self._sign()
        self.current = load(*files)

    def renewed(self) -> T | None:
        """A new object if the files have changed, else None; blocks on the disk.

        While files are missing or do not match, as during a renewal, the last object stays in
        use. May be called from any number of threads.
        """
        # Otherwise a thread that has read an older content could replace the object of a newer one.
        with self._lock:
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
