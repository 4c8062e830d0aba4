"""Log lines: one event each, as JSON or as text for a terminal, limited per event and minute.

No line holds what a browser sent, but for the path's pattern and its address.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from drink_web.request_spans import add_trace_id
from drink_web.settings import LogSettings


class _Limit(logging.Filter):
    """Leaves out lines of an event above its limit; the next line says how many.

    Args:
        per_minute_max: Lines of one event in a minute.
        clock: Monotonic seconds.
    """

    def __init__(self, per_minute_max: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self._max = per_minute_max
        self._clock = clock
        self._counts: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        now = self._clock()
        # Templates of events are constants of the program, so there are few of them.
        begun, count = self._counts.get(str(record.msg), (now, 0))
        if now - begun >= 60:
            if count > self._max:
                record.unlogged = count - self._max
            begun, count = now, 0
        self._counts[str(record.msg)] = (begun, count + 1)
        return count < self._max


class _Line(logging.Formatter):
    """Formats a record.

    Args:
        as_json: Whether as JSON.
    """

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        stamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": stamp.replace("+00:00", "Z"),
            **getattr(record, "facts", {}),
        }
        if hasattr(record, "unlogged"):
            line["unlogged"] = record.unlogged
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if self._as_json:
            return json.dumps(line, default=str)
        facts = " ".join(
            f"{key}={value}"
            for key, value in line.items()
            if key not in ("event", "level", "logger", "timestamp", "exception")
        )
        text = f"{line['timestamp']} {record.levelname.lower():<8} {line['event']} {facts}".rstrip()
        return f"{text}\n{line['exception']}" if "exception" in line else text


def set_up(settings: LogSettings, clock: Callable[[], float] = time.monotonic) -> None:
    """Logs to the standard output from now on, the libraries' warnings too."""
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stdout.isatty())
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Line(as_json=as_json))
    handler.addFilter(add_trace_id)
    handler.addFilter(_Limit(settings.repeats_per_minute_max, clock))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("drink_web").setLevel(settings.level.upper())
    # It says what a browser sent that is not HTTP.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    logging.captureWarnings(capture=True)
    # A line that cannot be written is lost; nothing is told to a broken output.
    logging.raiseExceptions = False
