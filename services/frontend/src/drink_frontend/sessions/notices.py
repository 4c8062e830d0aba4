"""Log lines about what strangers cause: the first at once, then how many more there were."""

import asyncio
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)

INTERVAL_S = 10.0
"""Seconds between two lines about the same event; six a minute leave room for all others."""


@dataclass(slots=True)
class _Count:
    times: int
    facts: dict[str, object]


class Notices:
    """Counts events and logs each kind at most once in `INTERVAL_S`.

    The kinds are the program's own, so there are only a few.
    """

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def note(self, event: str, **facts: object) -> None:
        """Something happened.

        Args:
            event: Name of the kind of event.
            **facts: What else to log; those of the last one are logged with the number of all.
        """
        if event in self._timers:
            count = self._counts.setdefault(event, _Count(0, {}))
            count.times += 1
            count.facts = facts
            return
        log.warning(event, times=1, **facts)
        self._wait(event)

    def stop(self) -> None:
        """Logs what has been counted, and waits for nothing more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for event, count in self._counts.items():
            log.warning(event, times=count.times, **count.facts)
        self._counts.clear()

    def _wait(self, event: str) -> None:
        loop = asyncio.get_running_loop()
        self._timers[event] = loop.call_later(INTERVAL_S, self._tell, event)

    def _tell(self, event: str) -> None:
        del self._timers[event]
        count = self._counts.pop(event, None)
        if count is not None:
            log.warning(event, times=count.times, **count.facts)
            self._wait(event)
