"""The durable relay: the bare relay, and nothing but the disk syncs that the promise needs.

One small row is committed before the command leaves and one before the answer, through one writer
that commits what waits together; each agent commits one small row before and one after its board.
SQLite with WAL and synchronous=FULL, by Python's own driver. The rows say which drop and how far,
and that is all: no accounts, no stock, no ledger, no states, no index, no constraint, no recovery.

    python -m benchmarks.references.durable_relay serve FILE
    python -m benchmarks.references.durable_relay echo ADDRESS FOLDER MACHINE...
"""

import asyncio
import sqlite3
import sys
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import uvloop

from benchmarks.references.bare_relay import Relay, Step, echo, serve

Waiting = tuple[tuple[str, str], "asyncio.Future[None]"]
"""A row, and who waits for its commit."""


class Steps:
    """Small rows in a database of their own; the writer commits all that wait together.

    Args:
        path: The database; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Waiting] = SimpleQueue()
        Thread(target=self._write, args=(path,), daemon=True).start()

    def step(self, name: str) -> Step:
        """What commits a row of that name for a drop."""

        async def commit(drop: str) -> None:
            future: asyncio.Future[None] = self._loop.create_future()
            self._queue.put(((drop, name), future))
            await future

        return commit

    def _write(self, path: Path) -> None:
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE IF NOT EXISTS steps (drop_id TEXT, step TEXT)")
        while True:
            batch = [self._queue.get()]
            try:
                while True:
                    batch.append(self._queue.get_nowait())
            except Empty:
                pass
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO steps VALUES (?, ?)", [row for row, _ in batch])
            database.execute("COMMIT")
            self._loop.call_soon_threadsafe(_answer, batch)


def _answer(batch: list[Waiting]) -> None:
    for _, future in batch:
        if not future.done():
            future.set_result(None)


async def _serve(path: Path) -> None:
    steps = Steps(path)
    await serve(Relay(steps.step("command"), steps.step("answer")))


async def _echo_all(address: str, folder: Path, machines: list[str]) -> None:
    all_steps = {machine: Steps(folder / f"{machine}.steps") for machine in machines}
    await asyncio.gather(
        *(
            echo(address, machine, steps.step("before"), steps.step("after"))
            for machine, steps in all_steps.items()
        )
    )


def main(what: str, *rest: str) -> None:
    """Runs one of the two ends."""
    if what == "serve":
        uvloop.run(_serve(Path(rest[0])))
    else:
        address, folder, *machines = rest
        asyncio.run(_echo_all(address, Path(folder), machines))


if __name__ == "__main__":
    main(*sys.argv[1:])
