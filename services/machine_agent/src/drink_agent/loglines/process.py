"""Turns everything that a process prints into log lines.

Python prints warnings, tracebacks of threads and errors in finalizers to the standard streams, and
libraries may print too. gRPC's C library writes to descriptor 2 directly; its verbosity is set so
that it writes nothing. Only the report of a crash of the interpreter itself is written to
descriptor 2 as it is, because nothing else can run at that moment.
"""

import contextlib
import faulthandler
import io
import logging
import os
import sys
import threading
from types import TracebackType

from drink_agent.loglines.filter import sanitize

LINE_MAX = 4_096
"""Largest length of a printed line in characters; a longer one is logged in parts."""

_log = logging.getLogger("process")


def quiet_grpc() -> None:
    """Prevents gRPC's C library from writing to descriptor 2. Call it before gRPC is imported.

    gRPC would print data that clients send there, without limit. `GRPC_VERBOSITY` in the
    environment has precedence, for debugging.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def open_standard_streams() -> None:
    """Opens missing standard streams on the null device.

    If the process was started without one of them, the next file or connection that is opened would
    get its descriptor, and log lines would be written into it.
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
    """Replaces `sys.stdout` or `sys.stderr` and logs each printed line.

    Args:
        name: Name of the stream, for the log.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._begun = ""
        self._inside = threading.local()

    def writable(self) -> bool:
        """Returns True."""
        return True

    def write(self, text: str) -> int:
        """Logs the complete lines of the text and keeps the incomplete last one."""
        if getattr(self._inside, "logs", False):
            return len(text)  # printed while logging a line: would recurse
        *lines, self._begun = (self._begun + text).split("\n")
        while len(self._begun) > LINE_MAX:
            lines.append(self._begun[:LINE_MAX])
            self._begun = self._begun[LINE_MAX:]
        self._inside.logs = True
        try:
            for line in filter(str.strip, lines):
                _log.warning("printed", extra={"stream": self._name, "text": sanitize(line)})
        finally:
            self._inside.logs = False
        return len(text)

    def flush(self) -> None:
        """Does nothing; only an incomplete line is buffered."""


def take_over() -> None:
    """Redirects everything that Python prints to the log, for the rest of the process."""
    # The descriptor, and not the stream object, which may be broken after a crash.
    faulthandler.enable(file=2)
    logging.captureWarnings(True)
    # Errors while formatting a line are counted by the output, and not printed.
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
