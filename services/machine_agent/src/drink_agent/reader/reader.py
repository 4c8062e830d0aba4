"""Reads cards from a reader that may be unplugged, and passes few of them on.

It has a task of its own, which waits for nothing but the reader: what goes wrong here never reaches
the loop that dispenses. Numbers of cards are secrets: they are never logged.
"""

import asyncio
import logging
import random as default_random
import time
from collections.abc import Callable

from drink_agent.backoff import Backoff
from drink_agent.reader.codec import Keys, Lines, card_number
from drink_agent.reader.device import Device, ReaderLostError
from drink_agent.reader.settings import ReaderSettings

_log = logging.getLogger("drink_agent.reader")


class Reader:
    """One reader of cards.

    Args:
        settings: Which one, and its limits.
        clock: Monotonic seconds.
        random: Returns a number from 0 up to 1.
        open_device: Opens the reader.
    """

    def __init__(
        self,
        settings: ReaderSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = default_random.random,
        open_device: Callable[[ReaderSettings], Device] = Device,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._open = open_device
        self._backoff = Backoff(settings.backoff_first_s, settings.backoff_limit_s, random)
        self._problem: str | None = "opening it for the first time"
        self._last: tuple[str, float] = ("", 0.0)
        self._used, self._used_at = 0.0, 0.0
        self._counts = {"read": 0, "repeated": 0, "dropped": 0, "no_number": 0}

    def describe(self) -> dict[str, object]:
        """Returns the status of the reader for a person, without numbers of cards."""
        return {"type": self._settings.type, "problem": self._problem, **self._counts}

    async def run(self, take: Callable[[str], None]) -> None:
        """Reads until cancelled, whatever goes wrong.

        Args:
            take: Gets the number of each card, and returns at once.
        """
        while True:
            try:
                await self._read(take)
            except ReaderLostError as error:
                self._tell(str(error))
            except Exception:
                # A fault of the program, which must not end the agent.
                _log.exception("reader_failed")
                self._problem = "a fault of the program"
            await asyncio.sleep(self._backoff.next_s())

    async def _read(self, take: Callable[[str], None]) -> None:
        device = self._open(self._settings)
        try:
            self._tell(None)
            lines, keys = Lines(), Keys()
            while True:
                data = await device.read()
                self._backoff.reset()
                for line in lines.feed(keys.feed(data) if self._settings.type == "hid" else data):
                    self._take_line(line, take)
        finally:
            device.close()

    def _take_line(self, line: bytes, take: Callable[[str], None]) -> None:
        number, now = card_number(line, decimal=self._settings.decimal), self._clock()
        if number is None:
            self._counts["no_number"] += 1
            if self._counts["no_number"] == 1:
                _log.warning("line_without_card", extra={"bytes": len(line)})
            return
        last, at = self._last
        self._last = (number, now)
        if number == last and now - at < self._settings.repeat_s:
            self._counts["repeated"] += 1
            return
        used = max(0.0, self._used - (now - self._used_at) / self._settings.read_interval_s)
        if used + 1 > self._settings.reads_burst:
            self._counts["dropped"] += 1
            return
        self._used, self._used_at = used + 1, now
        self._counts["read"] += 1
        take(number)

    def _tell(self, problem: str | None) -> None:
        if problem == self._problem:
            return
        self._problem = problem
        facts = {"type": self._settings.type, "port": str(self._settings.port)}
        if problem is None:
            _log.info("reader_opened", extra=facts)
        else:
            _log.warning("reader_lost", extra=facts | {"problem": problem})
