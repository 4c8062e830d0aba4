"""Lengths of the agents' journals, so that an older copy of a journal is recognised."""

import asyncio
import contextlib

import structlog

from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction

log = structlog.get_logger(__name__)

RETRY_S = 2
"""Seconds until a database that did not answer is asked again."""

Journal = tuple[str, int]
"""Id of a journal, and number of its last durable record."""


class Journals:
    """Reported journal lengths that are not in the database yet.

    An agent reports the length of its journal with a drop's result, or by itself where a motor runs
    longer than `keep_s`. A length is stored with the drop's result; else at once, but at most every
    `keep_s`, for all machines in one unit of work; also when a link ends; and always before it is
    compared at the machine's next link here. One gap remains: a copy made before the motor started
    is accepted if the agent ended within `keep_s` of that start, or within twice that if this
    frontend crashed too or the copy is used at another frontend.

    Args:
        storage: The database.
        keep_s: Seconds between two units of work that store lengths.
    """

    def __init__(self, storage: Database, keep_s: float) -> None:
        self._storage = storage
        self._keep_s = keep_s
        self._reported: dict[str, Journal] = {}
        self._news = asyncio.Event()
        self._flush_now = asyncio.Event()

    def saw(self, machine: str, journal: Journal) -> None:
        """Remembers a reported length until it is stored."""
        reported = self._reported.get(machine)
        if reported is None or reported[0] != journal[0] or reported[1] < journal[1]:
            self._reported[machine] = journal
            self._news.set()

    def take(self, machine: str) -> Journal | None:
        """Removes and returns a length not stored yet; the caller stores it or puts it back."""
        return self._reported.pop(machine, None)

    def kept(self, machine: str, journal: Journal) -> None:
        """Forgets a length if this one, or a greater one of the same journal, is stored."""
        reported = self._reported.get(machine)
        if reported is not None and reported[0] == journal[0] and reported[1] <= journal[1]:
            del self._reported[machine]

    def flush(self) -> None:
        """Makes `run` store all lengths at once."""
        if self._reported:
            self._flush_now.set()

    async def run(self) -> None:
        """Stores reported lengths, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            self._flush_now.clear()
            try:
                await self.keep()
            except StorageUnavailableError:
                log.warning("journals_postponed")
                self._news.set()
                await asyncio.sleep(RETRY_S)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._keep_s):
                    await self._flush_now.wait()

    async def keep(self) -> None:
        """Stores all reported lengths.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        reported = dict(self._reported)
        if not reported:
            return

        def keep(tx: Transaction) -> None:
            for machine, journal in reported.items():
                tx.machines.saw_journal(machine, *journal)

        await self._storage.write(keep)
        for machine, journal in reported.items():
            self.kept(machine, journal)
