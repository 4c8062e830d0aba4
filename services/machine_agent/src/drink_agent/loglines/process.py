"""What else a process writes to its standard streams, turned into log lines.

Python prints warnings, tracebacks of threads and errors in finalizers on its own, and so may any
library. gRPC's C library writes to descriptor 2 past Python; its verbosity is set so that it writes
nothing. What is left for descriptor 2 is the report of a crash of the interpreter itself, which
cannot wait for anybody and is written as it is.
"""

import contextlib
import faulthandler
import io
import logging
import os
import sys
import threading
from types import TracebackType

from drink_agent.loglines.guard import foreign

LINE_MAX = 4_096
"""Characters of a printed line; a longer one is logged in parts."""

_log = logging.getLogger("process")


def quiet_grpc() -> None:
    """Keeps gRPC's C library from writing to descriptor 2; to be called before gRPC is imported.

    It repeats there, without limit, what strangers send. `GRPC_VERBOSITY` in the environment wins,
    for whoever looks for a fault.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def open_standard_streams() -> None:
    """Opens the standard streams that the process was started without, on the null device.

    Otherwise the next file or connection that is opened gets the descriptor, and log lines are
    written into it.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != descriptor:
                    os.dup2(opened, descriptor)
                    os.close(opened)
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


class Printed(io.TextIOBase):
    """Stands for `sys.stdout` or `sys.stderr`, and logs each line that is printed.

    Args:
        name: Of the stream, for the log.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._begun = ""
        self._inside = threading.local()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Logs the lines that end in the text and keeps what is begun."""
        if getattr(self._inside, "logs", False):
            return len(text)  # what logs a line prints something itself
        *lines, self._begun = (self._begun + text).split("\n")
        while len(self._begun) > LINE_MAX:
            lines.append(self._begun[:LINE_MAX])
            self._begun = self._begun[LINE_MAX:]
        self._inside.logs = True
        try:
            for line in filter(str.strip, lines):
                _log.warning("printed", extra={"stream": self._name, "text": foreign(line)})
        finally:
            self._inside.logs = False
        return len(text)

    def flush(self) -> None:
        """Nothing waits here but the beginning of a line."""


def take_over() -> None:
    """Has everything logged that Python would print, for the rest of the process."""
    # Must not be in need of anything that has broken: the descriptor itself, not the stream.
    faulthandler.enable(file=2)
    logging.captureWarnings(True)
    # A line that cannot be made is not told on the stream that it could not be made for.
    logging.raiseExceptions = False
    sys.stdout, sys.stderr = Printed("stdout"), Printed("stderr")
    sys.excepthook = _crashed
    sys.unraisablehook = _ignored
    threading.excepthook = _thread_ended


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _log.critical("process_failed", exc_info=(kind, error, trace))


def _ignored(unraisable: "sys.UnraisableHookArgs") -> None:
    error = unraisable.exc_value or unraisable.exc_type()
    _log.error("error_ignored", exc_info=(unraisable.exc_type, error, unraisable.exc_traceback))


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is SystemExit:
        return
    error = ended.exc_value or ended.exc_type()
    name = ended.thread.name if ended.thread is not None else ""
    _log.critical(
        "thread_failed",
        exc_info=(ended.exc_type, error, ended.exc_traceback),
        extra={"thread_name": name},
    )
