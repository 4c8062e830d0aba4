"""Sets up logging: one JSON object per line, or text for a terminal.

Lines are queued and written by a thread (`loglines.output`), so logging never waits and never
raises an error of the output.
"""

import json
import logging
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from drink_agent.loglines.filter import LogFilter, escape_unprintable
from drink_agent.loglines.handler import OutputHandler
from drink_agent.loglines.output import Output

_encode = json.JSONEncoder(default=str).encode

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Level, format and limits of the log."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Default INFO: a line per drop, for the outcome, one more if the drop had to wait, and none
    while the machine is idle. DEBUG adds motor commands and acknowledgements."""
    format: Literal["auto", "json", "text"] = "auto"
    """Default auto: text if the output is a terminal, else JSON lines."""
    queue_lines_max: int = 4_096
    """Default 4096 lines, at most 20 MB of memory. Largest number of queued lines. Further lines
    are lost and counted, and `log_lines_lost` reports their number after the next successful write,
    so that no motor waits for the log."""
    repeats_per_minute_max: int = 40
    """Default 40 lines of one event in any minute, and of all events together beyond the first 5 of
    each. The next line of the event has the number of suppressed lines as `unlogged`. Events of
    drops and errors that end the process are always logged."""
    flush_limit_s: float = 2.0
    """Default 2 s. Longest wait, at the end of the process, for the last lines to be written. The
    reader of the log may have stopped."""

    def __post_init__(self) -> None:
        for name in ("queue_lines_max", "repeats_per_minute_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be above 0")
        if self.flush_limit_s < 0:
            raise ValueError("flush_limit_s must not be below 0")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object; the message is a constant event name.

    Args:
        bound: Fields of every line.
    """

    def __init__(self, bound: dict[str, str]) -> None:
        super().__init__()
        self._bound = bound

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: dict[str, object] = {
            "time": _time_of(record),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
            **self._bound,
            **_fields_of(record),
        }
        if record.exc_text:
            line["exception"] = record.exc_text
        return _encode(line)


class TextFormatter(logging.Formatter):
    """Formats a record as one line for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns time, level, event and fields as one line; an exception's text follows it."""
        fields = " ".join(
            f"{key}={escape_unprintable(str(value))}" for key, value in _fields_of(record).items()
        )
        line = f"{_time_of(record)} {record.levelname:<7} {record.getMessage()} {fields}".rstrip()
        return f"{line}\n{record.exc_text}" if record.exc_text else line


def set_up_logging(settings: LogSettings, machine: str, descriptor: int = 2) -> Output:
    """Sends all logging to a file descriptor.

    Args:
        settings: Level, format and limits of the log.
        machine: Id of the machine, a field of every line.
        descriptor: The file descriptor; standard error by default.

    Returns:
        The output; `logging.shutdown` flushes it when the process ends.
    """
    as_text = settings.format == "text" or (settings.format == "auto" and os.isatty(descriptor))
    formatter = TextFormatter() if as_text else JsonFormatter({"machine": machine})

    def lost_line(lines: int) -> str:
        fields = {"name": __name__, "msg": "log_lines_lost", "levelno": logging.WARNING}
        record = logging.makeLogRecord({**fields, "levelname": "WARNING", "lines": lines})
        return formatter.format(record)

    output = Output(descriptor, queue_max=settings.queue_lines_max, lost_line=lost_line)
    log_filter = LogFilter(settings.repeats_per_minute_max, time.monotonic)
    handler = OutputHandler(output, log_filter, settings.flush_limit_s)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level)
    _skip_unused_record_fields()
    return output


def _skip_unused_record_fields() -> None:
    """Stops looking up the source file, thread and process of each record.

    This saves a third of the time of a line; see "Optimization" in the documentation of `logging`.
    """
    logging._srcfile = None  # noqa: SLF001 - the documented way
    logging.logThreads = False
    logging.logProcesses = False
    logging.logMultiprocessing = False


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _fields_of(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
