"""Sets up logging: one event a line, JSON for machines or aligned text for people."""

import json
import logging
import sys
from typing import TextIO

import structlog

from drink_frontend.config import LogSettings

_ENCODER = json.JSONEncoder(default=repr)


def set_up(settings: LogSettings, stream: TextIO = sys.stdout) -> None:
    """Configures structlog for this process; library warnings go the same way.

    Args:
        settings: What is logged, and how.
        stream: Where to.
    """
    console = settings.format == "console" or (settings.format == "auto" and stream.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(_encode)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        # Otherwise each line, and each that is below the level too, makes a logger of its own.
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


def _encode(line: structlog.typing.EventDict, **_: object) -> str:
    """The line as JSON, by one encoder for all; structlog would make one for each."""
    return _ENCODER.encode(line)
