"""Sets up logging: one event per line, as JSON or as aligned text for a terminal.

Lines are queued and written by a thread (`loglines.output`), so logging never waits and never
raises an error of the output.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from drink_frontend.config import LogSettings
from drink_frontend.loglines.filter import LogFilter, sanitize_traceback
from drink_frontend.loglines.handler import OutputHandler
from drink_frontend.loglines.output import Output

_ENCODER = json.JSONEncoder(default=repr)

_LEVELS = {name.lower(): level for name, level in logging.getLevelNamesMapping().items()}


def set_up(settings: LogSettings, descriptor: int = 1) -> Output:
    """Configures structlog for this process, and logs the libraries' warnings too.

    Args:
        settings: Level, format and limits of the log.
        descriptor: The file descriptor of the output; standard output by default.

    Returns:
        The output; `logging.shutdown` flushes it when the process ends.
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
    log_filter = LogFilter(settings.repeats_per_minute_max, time.monotonic)
    level = _LEVELS[settings.level]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _Filtered(log_filter),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _Rendered(renderer, output),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Sink(output.put),
        # Without it structlog makes a logger for each line, also for lines below the level.
        cache_logger_on_first_use=True,
    )
    handler = OutputHandler(output, log_filter, settings.flush_limit_s)
    handler.setFormatter(_RecordFormatter(renderer))
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    return output


class _Sink:
    """Queues lines of every level; structlog's wrapped logger."""

    def __init__(self, put: Callable[[str], None]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = put


class _Filtered:
    """Drops events above their rate limit and cleans the fields of the others."""

    def __init__(self, log_filter: LogFilter) -> None:
        self._filter = log_filter

    def __call__(
        self, _logger: object, _method: str, line: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        if self._filter.accept_event(line["event"], _LEVELS[line["level"]], line):
            return line
        raise structlog.DropEvent


class _Rendered:
    """Formats a line; one that cannot be formatted is counted as lost, and no error is raised."""

    def __init__(self, renderer: structlog.typing.Processor, output: Output) -> None:
        self._renderer = renderer
        self._output = output

    def __call__(self, logger: object, method: str, line: structlog.typing.EventDict) -> str:
        try:
            line = structlog.processors.format_exc_info(logger, method, line)
            if "exception" in line:
                line["exception"] = sanitize_traceback(line["exception"])
            return str(self._renderer(logger, method, line))
        except Exception:
            self._output.lose()
            raise structlog.DropEvent from None


class _RecordFormatter(logging.Formatter):
    """Formats records of the standard library like events of the service."""

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
    """Returns the line as JSON. One encoder is reused; structlog would make one per line."""
    return _ENCODER.encode(line)
