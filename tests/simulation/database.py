"""The frontend's database: real SQLite and the product's own writer, on virtual time.

Commits take a while, fail, or are the last thing that a process does. What a commit has made
durable stays, since SQLite itself and its files are held against power cuts elsewhere, in real
processes.
"""

import asyncio
import random
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from drink_frontend.storage.changes import NO_CHANGES, ChangeSet
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import SqliteConnection, SqliteEngine
from drink_frontend.storage.workers import BatchExecutor, Job, PoolConfig
from drink_frontend.storage.writer import Writer
from tests.fakes.engines import driver_error
from tests.simulation.world import Killed, Process, World


@dataclass
class DatabaseTrouble:
    """What befalls the database; drawn once per world.

    Attributes:
        latency_s: Mean time of a commit; a query takes a tenth of it.
        stall: Chance, per batch, that it takes much longer.
        stall_s: Longest of these.
        refuse: Chance, per commit, that the disk is full.
        breaks: Chance, per commit, that the disk fails; what is written is kept or not.
        kill: Chance, per commit, that the process dies before or after it.
    """

    latency_s: float = 0.003
    stall: float = 0.0
    stall_s: float = 5.0
    refuse: float = 0.0
    breaks: float = 0.0
    kill: float = 0.0


class SimulatedConnection(SqliteConnection):
    """A writer's connection whose commits may fail."""

    process: Process
    trouble: DatabaseTrouble
    rng: random.Random
    on_commit: Callable[[], None]

    def commit(self, changes: ChangeSet = NO_CHANGES, /) -> None:
        chance, trouble, world = self.rng.random(), self.trouble, self.process.world
        if chance < trouble.kill:
            when = self.rng.choice(["before", "after"])
            world.fault("frontend.kill", lasts_s=60, what=f"{when} commit")
            if when == "after":
                self._commit(changes)
            else:
                super().rollback()
            self.process.kill()
            raise Killed
        if chance < trouble.kill + trouble.refuse:
            world.fault("database.full", lasts_s=30)
            super().rollback()
            raise driver_error(sqlite3.SQLITE_FULL)
        if chance < trouble.kill + trouble.refuse + trouble.breaks:
            kept = self.rng.random() < 0.5
            world.fault("database.breaks", lasts_s=60, what="durable" if kept else "lost")
            if kept:
                self._commit(changes)
            else:
                super().rollback()
            raise driver_error(sqlite3.SQLITE_IOERR)
        self._commit(changes)

    def _commit(self, changes: ChangeSet) -> None:
        super().commit(changes)
        self.on_commit()


class SimulatedEngine(SqliteEngine):
    """A real engine whose connections end with their process.

    Args:
        settings: Of the database.
        process: Who opens it.
        trouble: What befalls it.
        rng: Chance.
        on_commit: Told when something was committed.
        exclusive: Whether it is the frontend that opens it.

    Attributes:
        guarded: Whether the constraints of the tables hold.
    """

    def __init__(
        self,
        settings: StorageSettings,
        process: Process,
        trouble: DatabaseTrouble,
        rng: random.Random,
        on_commit: Callable[[], None],
        *,
        exclusive: bool = True,
    ) -> None:
        self._connections: list[SqliteConnection] = []
        self._closed = False
        super().__init__(settings, exclusive=exclusive)
        self._process, self._trouble, self._rng = process, trouble, rng
        self._on_commit = on_commit
        self.guarded = True
        process.on_death.append(self.close)

    def connect(self, *, read_only: bool) -> SqliteConnection:
        connection = super().connect(read_only=read_only)
        if not read_only:
            connection.__class__ = SimulatedConnection
            assert isinstance(connection, SimulatedConnection)
            connection.process, connection.trouble = self._process, self._trouble
            connection.rng, connection.on_commit = self._rng, self._on_commit
            if not self.guarded:
                connection._driver.execute("PRAGMA ignore_check_constraints = ON")
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            for connection in self._connections:
                connection.close()
            super().close()


class InlineWorkerPool:
    """Works on batches one at a time, on virtual time; implements `storage.workers.WorkerPool`.

    Args:
        config: The executors; the first carries out everything.
        process: Whose they are.
        trouble: How long it takes.
        rng: Chance.
    """

    def __init__(
        self, config: PoolConfig, process: Process, trouble: DatabaseTrouble, rng: random.Random
    ) -> None:
        self._config, self._process, self._rng = config, process, rng
        self._world: World = process.world
        self._trouble = trouble
        self._writes = isinstance(config.executors[0], Writer)
        self._jobs: deque[Job] = deque()
        self._busy = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._executor: BatchExecutor = config.executors[0]
        if self._writes and config.idle_s is not None:
            self._world.after(config.idle_s, self._look)

    def put(self, job: Job) -> None:
        self._jobs.append(job)
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._world.after(self._latency_s(), self._carry_out)

    async def close(self) -> None:
        """See `WorkerPool`; the connections end with the engine."""
        await self._idle.wait()

    def _latency_s(self) -> float:
        if self._rng.random() < self._trouble.stall:
            seconds = self._rng.uniform(0, self._trouble.stall_s)
            self._world.fault("database.stall", lasts_s=30 + seconds)
            return seconds
        share = 1.0 if self._writes else 0.1
        return self._rng.expovariate(1 / (share * self._trouble.latency_s))

    def _carry_out(self) -> None:
        if not self._process.alive:
            return
        jobs = [self._jobs.popleft() for _ in range(min(len(self._jobs), self._config.batch_max))]
        try:
            outcomes, touched = self._executor.carry_out(jobs)
        except Killed:
            return
        self._process.post(self._config.hand_back, jobs, outcomes, touched)
        self._busy = bool(self._jobs)
        if self._busy:
            self._world.after(self._latency_s(), self._carry_out)
        else:
            self._process.post(self._idle.set)

    def _look(self) -> None:
        """Whether another process changed anything, as an idle writer does."""
        if self._process.alive and self._config.idle_s is not None:
            if not self._busy:
                self._process.post(self._config.done, self._executor.idle())
            self._world.after(self._config.idle_s, self._look)
