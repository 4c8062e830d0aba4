"""Logging: one JSON object a line, or text for a person at a terminal."""

import json
import logging
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TextIO

_encode = json.JSONEncoder(default=str).encode

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged and how it looks."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Default INFO: two lines a drop, when the motor is commanded and what came of it, one more if
    it had to wait, and nothing while nothing happens. DEBUG tells of acknowledgements too."""
    format: Literal["auto", "json", "text"] = "auto"
    """Default auto: text on a terminal, JSON lines anywhere else."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line; the message is a constant event name, facts are fields.

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
            **_facts_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line)


class TextFormatter(logging.Formatter):
    """One readable line."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        facts = " ".join(f"{key}={value}" for key, value in _facts_of(record).items())
        line = f"{_time_of(record)} {record.levelname:<7} {record.getMessage()} {facts}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up_logging(settings: LogSettings, machine: str, stream: TextIO | None = None) -> None:
    """Sends all logging to the stream.

    Args:
        settings: What is logged and how it looks.
        machine: Id of the machine, a field of every line.
        stream: Where to; standard error by default.
    """
    stream = stream or sys.stderr
    as_text = settings.format == "text" or (settings.format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter({"machine": machine}))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level)
    _leave_out_what_no_line_shows()


def _leave_out_what_no_line_shows() -> None:
    """Spares each line the look for its source file, thread and process.

    See "Optimization" in the documentation of `logging`: a third of what a line costs.
    """
    logging._srcfile = None  # noqa: SLF001 - the documented way
    logging.logThreads = False
    logging.logProcesses = False
    logging.logMultiprocessing = False


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _facts_of(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
