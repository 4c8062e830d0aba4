"""How far the agents' journals have come, so that an older copy of one is recognised."""

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
    """What agents said of their journals and the database does not know yet.

    An agent says how far its journal has come when it starts a motor. That is kept with the drop's
    result, or by itself if there is none soon, all machines in one unit of work; at once when a
    link ends; and in any case before the next link of the machine here is compared with it. What
    is left: a copy that was made before the motor started, put back when this frontend crashed
    within `keep_s` of that start, or used at another frontend within `keep_s`, is taken for sound.

    Args:
        storage: What is kept.
        keep_s: Seconds until what was heard is kept by itself.
    """

    def __init__(self, storage: Database, keep_s: float) -> None:
        self._storage = storage
        self._keep_s = keep_s
        self._heard: dict[str, Journal] = {}
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()

    def saw(self, machine: str, journal: Journal) -> None:
        """The machine's agent said it; remembered until it is kept."""
        heard = self._heard.get(machine)
        if heard is None or heard[0] != journal[0] or heard[1] < journal[1]:
            self._heard[machine] = journal
            self._news.set()

    def take(self, machine: str) -> Journal | None:
        """What was heard and is not kept yet; the caller keeps it, or says it again."""
        return self._heard.pop(machine, None)

    def kept(self, machine: str, journal: Journal) -> None:
        """This, or more of the same journal, is in the database now."""
        heard = self._heard.get(machine)
        if heard is not None and heard[0] == journal[0] and heard[1] <= journal[1]:
            del self._heard[machine]

    def hurry(self) -> None:
        """Keeps what was heard at once."""
        if self._heard:
            self._hurry.set()

    async def run(self) -> None:
        """Keeps what is heard, until cancelled."""
        while True:
            await self._news.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._keep_s):
                    await self._hurry.wait()
            self._news.clear()
            self._hurry.clear()
            try:
                await self.keep()
            except StorageUnavailableError:
                log.warning("journals_postponed")
                self._news.set()
                await asyncio.sleep(RETRY_S)

    async def keep(self) -> None:
        """Keeps all that was heard.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        heard = dict(self._heard)
        if not heard:
            return

        def keep(tx: Transaction) -> None:
            for machine, journal in heard.items():
                tx.machines.saw_journal(machine, *journal)

        await self._storage.write(keep)
        for machine, journal in heard.items():
            self.kept(machine, journal)
