"""Connects the standard library's logging with the output."""

import logging

from drink_frontend.loglines.filter import (
    LogFilter,
    sanitize,
    sanitize_traceback,
    traceback_without_message,
)
from drink_frontend.loglines.output import Output

_OWN = ("drink_frontend", "process")
_GRPC = "grpc"

UNSENT_RESPONSE = "ExecuteBatchError raised in core"
"""Begins gRPC's message that a response could not be sent, since its connection has ended.
gRPC logs it as an error with a traceback, but a client can cause it at any time."""


class OutputHandler(logging.Handler):
    """Cleans, limits and formats records, and queues their lines. Raises nothing.

    Args:
        output: The queue of lines.
        log_filter: Decides which records are logged.
        flush_limit_s: Longest duration of a flush in seconds, such as the one when the process
            ends.
    """

    def __init__(self, output: Output, log_filter: LogFilter, flush_limit_s: float) -> None:
        super().__init__()
        self._output = output
        self._filter = log_filter
        self._flush_limit_s = flush_limit_s

    def createLock(self) -> None:  # noqa: N802 - the name in logging.Handler
        """Makes no lock, because the queue accepts lines from every thread."""
        self.lock = None

    def flush(self) -> None:
        """Waits until all queued lines are written or lost; `logging.shutdown` calls it."""
        self._output.flush(self._flush_limit_s)

    def emit(self, record: logging.LogRecord) -> None:
        """Queues the line of a record, unless the record is suppressed."""
        try:
            cleaned = self._event(record) if _is_own(record) else self._library_message(record)
            if cleaned is not None:
                self._output.put(self.format(cleaned))
        except Exception:
            self._output.lose()

    def _event(self, record: logging.LogRecord) -> logging.LogRecord | None:
        cleaned = _copy(record)
        if not self._filter.accept_event(cleaned.msg, cleaned.levelno, vars(cleaned)):
            return None
        _format_exception(cleaned)
        return cleaned

    def _library_message(self, record: logging.LogRecord) -> logging.LogRecord | None:
        if record.name.startswith(_GRPC) and str(record.msg).startswith(UNSENT_RESPONSE):
            return None
        cleaned = _copy(record)
        if not self._filter.accept_library_message(cleaned.name, cleaned.levelno, vars(cleaned)):
            return None
        if cleaned.name.partition(".")[0] == _GRPC:
            # gRPC's arguments and exceptions repeat what peers sent, so neither is formatted.
            cleaned.msg = sanitize(str(cleaned.msg))
            cleaned.exc_text = (
                traceback_without_message(cleaned.exc_info) if cleaned.exc_info else None
            )
        else:
            cleaned.msg = sanitize(_message_of(cleaned))
            _format_exception(cleaned)
        cleaned.args, cleaned.exc_info = None, None
        return cleaned


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _OWN


def _copy(record: logging.LogRecord) -> logging.LogRecord:
    copied = logging.LogRecord.__new__(logging.LogRecord)
    vars(copied).update(vars(record))
    return copied


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return str(record.msg)


def _format_exception(record: logging.LogRecord) -> None:
    if record.exc_info:
        record.exc_text = sanitize_traceback(logging.Formatter().formatException(record.exc_info))
        record.exc_info = None
