"""Sets up logging: one event a line, JSON for machines or aligned text for people.

Nothing that happens to the log is an error of whoever logs: lines are queued, and a thread of their
own writes them. See `loglines`.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from drink_frontend.config import LogSettings
from drink_frontend.loglines.guard import Guard, exception_text
from drink_frontend.loglines.handler import OutputHandler
from drink_frontend.loglines.output import Output

_ENCODER = json.JSONEncoder(default=repr)

_LEVELS = {name.lower(): level for name, level in logging.getLevelNamesMapping().items()}


def set_up(settings: LogSettings, descriptor: int = 1) -> Output:
    """Configures structlog for this process; library warnings go the same way.

    Args:
        settings: What is logged, and how.
        descriptor: The file descriptor that lines are written to; standard output by default.

    Returns:
        The output, which is flushed when the process ends.
    """
    console = settings.format == "console" or (settings.format == "auto" and os.isatty(descriptor))
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(_encode)
    )
    output = Output(
        descriptor,
        queue_max=settings.queue_lines_max,
        lost_line=lambda lines: _line(
            renderer, {"event": "log_lines_lost", "level": "warning", "lines": lines}
        ),
    )
    guard = Guard(settings.repeats_per_minute_max, time.monotonic)
    level = _LEVELS[settings.level]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _Guarded(guard),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _Rendered(renderer, output),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Sink(output.put),
        # Otherwise each line, and each that is below the level too, makes a logger of its own.
        cache_logger_on_first_use=True,
    )
    handler = OutputHandler(output, guard, settings.flush_limit_s)
    handler.setFormatter(_RecordFormatter(renderer))
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    return output


class _Sink:
    """What structlog calls with a line, at whatever level."""

    def __init__(self, put: Callable[[str], None]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = put


class _Guarded:
    """Holds back what is logged too often, and cleans the rest."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def __call__(
        self, _logger: object, _method: str, line: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        if self._guard.own(line["event"], _LEVELS[line["level"]], line):
            return line
        raise structlog.DropEvent


class _Rendered:
    """Makes the text of a line; one that cannot be made is lost, and no error of who logs."""

    def __init__(self, renderer: structlog.typing.Processor, output: Output) -> None:
        self._renderer = renderer
        self._output = output

    def __call__(self, logger: object, method: str, line: structlog.typing.EventDict) -> str:
        try:
            line = structlog.processors.format_exc_info(logger, method, line)
            if "exception" in line:
                line["exception"] = exception_text(line["exception"])
            return str(self._renderer(logger, method, line))
        except Exception:
            self._output.lose()
            raise structlog.DropEvent from None


class _RecordFormatter(logging.Formatter):
    """A record of the standard library as such a line."""

    def __init__(self, renderer: structlog.typing.Processor) -> None:
        super().__init__()
        self._renderer = renderer

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: structlog.typing.EventDict = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        for name in ("stream", "text", "thread_name", "unlogged"):
            if hasattr(record, name):
                line[name] = getattr(record, name)
        if record.exc_text:
            line["exception"] = record.exc_text
        return _line(self._renderer, line)


def _line(renderer: structlog.typing.Processor, line: structlog.typing.EventDict) -> str:
    line["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return str(renderer(None, line["level"], line))


def _encode(line: structlog.typing.EventDict, **_: object) -> str:
    """The line as JSON, by one encoder for all; structlog would make one for each."""
    return _ENCODER.encode(line)
