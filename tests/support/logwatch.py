"""Waits for something to be logged, where nothing else shows that it has happened."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def watching(logger: str, event: str) -> Iterator[asyncio.Event]:
    """Yields an event that is set when the logger logs this message."""
    seen = asyncio.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == event:
                seen.set()

    watch = Watch()
    watched = logging.getLogger(logger)
    level = watched.level
    watched.setLevel(logging.DEBUG)
    watched.addHandler(watch)
    try:
        yield seen
    finally:
        watched.removeHandler(watch)
        watched.setLevel(level)
