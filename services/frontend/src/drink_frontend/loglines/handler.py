"""The way of the standard library's log records to the output."""

import copy
import logging

from drink_frontend.loglines.guard import Guard, exception_text, foreign, frames_of
from drink_frontend.loglines.output import Output

_OWN = ("drink_frontend", "process")
_GRPC = "grpc"


class OutputHandler(logging.Handler):
    """Cleans, limits and formats records, and queues their lines. Raises nothing.

    Args:
        output: Where to.
        guard: What may be logged.
        flush_limit_s: Seconds that a flush may take, such as the one at the end of the process.
    """

    def __init__(self, output: Output, guard: Guard, flush_limit_s: float) -> None:
        super().__init__()
        self._output = output
        self._guard = guard
        self._flush_limit_s = flush_limit_s

    def createLock(self) -> None:  # noqa: N802 - logging's own name
        """There is nothing to lock: the queue takes lines from every thread."""
        self.lock = None

    def flush(self) -> None:
        """Waits until what was logged is written or lost; `logging.shutdown` calls it."""
        self._output.flush(self._flush_limit_s)

    def emit(self, record: logging.LogRecord) -> None:
        """Queues the record's line, if it is to be logged."""
        try:
            cleaned = self._own(record) if _is_own(record) else self._library(record)
            if cleaned is not None:
                self._output.put(self.format(cleaned))
        except Exception:
            self._output.lose()

    def _own(self, record: logging.LogRecord) -> logging.LogRecord | None:
        cleaned = copy.copy(record)
        if not self._guard.own(cleaned.msg, cleaned.levelno, vars(cleaned)):
            return None
        _format_exception(cleaned)
        return cleaned

    def _library(self, record: logging.LogRecord) -> logging.LogRecord | None:
        cleaned = copy.copy(record)
        if not self._guard.library(cleaned.name, vars(cleaned)):
            return None
        if cleaned.name.partition(".")[0] == _GRPC:
            # It fills in what peers sent, and raises exceptions that repeat it.
            cleaned.msg = foreign(str(cleaned.msg))
            cleaned.exc_text = frames_of(cleaned.exc_info) if cleaned.exc_info else None
        else:
            cleaned.msg = foreign(_message_of(cleaned))
            _format_exception(cleaned)
        cleaned.args, cleaned.exc_info = None, None
        return cleaned


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _OWN


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return str(record.msg)


def _format_exception(record: logging.LogRecord) -> None:
    if record.exc_info:
        record.exc_text = exception_text(logging.Formatter().formatException(record.exc_info))
        record.exc_info = None
