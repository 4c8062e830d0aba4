"""The hosts of the system: the frontend's and each agent's, with a supervisor that starts it again.

What runs on them is the services' own composition roots.
"""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import grpc

from drink_agent.app import build
from drink_agent.board.board import Board
from drink_agent.config import Config
from drink_agent.domain.events import BoardEvent
from drink_agent.journal.file import Journal, JournalDamagedError, JournalFailedError
from drink_agent.link.client import LinkClient
from drink_agent.runtime.agent import Agent, BoardPort
from drink_agent.runtime.system import SystemdNotifier
from drink_frontend.app import Frontend, StorageBrokenError
from drink_frontend.config import Settings
from drink_frontend.storage.database import Database
from tests.fakes.randomness import CountingRandomness
from tests.simulation import journals
from tests.simulation.database import DatabaseTrouble, InlineWorkerPool, SimulatedEngine
from tests.simulation.disk import DiskTrouble, MountedDisk, SimulatedDisk
from tests.simulation.network import Network
from tests.simulation.rpc import Channel, make_server
from tests.simulation.wire import Source, Wire
from tests.simulation.world import Process, World

EPOCH_MS = 1_800_000_000_000
"""Wall-clock time at which every world begins."""


class SimulatedClock:
    """The frontend's clocks; implements `drink_frontend.domain.ports.Clock`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.offset_s = 0.0

    def now_ms(self) -> int:
        return EPOCH_MS + round((self._world.now + self.offset_s) * 1000)

    def monotonic(self) -> float:
        return self._world.now


class FastHasher:
    """Hashes no passwords, as no login needs one; implements the frontend's `PasswordHasher`."""

    async def hash(self, password: str) -> str:
        return f"hash of {password}"

    async def verify(
        self, password_hash: str | None, password: str, lane: tuple[str, str] = ("", "")
    ) -> bool:
        return password_hash == f"hash of {password}"


class Host:
    """A host and the one process that its supervisor keeps running.

    Args:
        world: The world.
        name: Of the process.
        machine: Where its faults are counted; `*` for everywhere.
    """

    def __init__(self, world: World, name: str, machine: str) -> None:
        self.world, self.name, self.machine = world, name, machine
        self.rng = world.stream(f"host of {name}")
        self.process: Process | None = None
        self.healed = False

    def start(self) -> None:
        """Starts the process; restarts it whenever it has ended."""
        process = self.process = Process(self.world, self.name)
        process.on_death.append(self._again)
        self.world.note(f"{self.name}: starts")
        process.spawn(self._run(process))

    def _again(self) -> None:
        self.world.note(f"{self.name}: ends")
        self.process = None
        self.world.after(self._pause_s(), self.start)

    def _pause_s(self) -> float:
        return self.rng.uniform(0.1, 2 if self.healed else 15)

    async def _run(self, process: Process) -> None:
        try:
            await self.work(process)
        except Exception as error:
            self.failed(error)
        process.kill()

    async def work(self, process: Process) -> None:
        """The process's main coroutine."""
        raise NotImplementedError

    def failed(self, error: Exception) -> None:
        """The process ended by itself with an error."""
        raise NotImplementedError


class FrontendHost(Host):
    """The frontend's host.

    Args:
        world: The world.
        network: The network.
        settings: Of the frontend.
        trouble: What befalls its database.
        on_commit: Told when something was committed.
        guarded: Whether the database refuses what breaks its rules.
    """

    def __init__(
        self,
        world: World,
        network: Network,
        settings: Settings,
        trouble: DatabaseTrouble,
        on_commit: Callable[[], None],
        *,
        guarded: bool = True,
    ) -> None:
        super().__init__(world, "frontend", "*")
        self.guarded = guarded
        self.network, self.settings, self.trouble = network, settings, trouble
        self.clock, self.randomness = SimulatedClock(world), CountingRandomness()
        self.on_commit = on_commit
        self.frontend: Frontend | None = None
        self.held_down_until = 0.0

    def _pause_s(self) -> float:
        return max(super()._pause_s(), self.held_down_until - self.world.now)

    def database(
        self, process: Process, trouble: DatabaseTrouble, *, beside: bool = False
    ) -> Database:
        """The database, opened by a process."""
        engine = SimulatedEngine(
            self.settings.storage, process, trouble, self.rng, self.on_commit, exclusive=not beside
        )
        engine.guarded = self.guarded
        pool_factory = partial(InlineWorkerPool, process=process, trouble=trouble, rng=self.rng)
        return Database(
            engine, self.settings.storage, now_ms=self.clock.now_ms, pool_factory=pool_factory
        )

    async def work(self, process: Process) -> None:
        """See `Host`."""
        async with self.database(process, self.trouble) as storage:
            self.frontend = Frontend(
                self.settings,
                storage,
                self.clock,
                self.randomness,
                FastHasher(),
                make_server=partial(make_server, self.network, process),
            )
            await self.frontend.run()

    def failed(self, error: Exception) -> None:
        """See `Host`."""
        if not isinstance(error, StorageBrokenError):
            self.world.violate(f"the frontend failed: {error!r}")

    def stop(self) -> None:
        """Stops it as SIGTERM does."""
        if self.process is not None and self.frontend is not None:
            self.process.post(self.frontend.stop)


class AgentHost(Host):
    """The host beside one machine.

    Args:
        world: The world.
        network: The network.
        config: Of its agent.
        wire: To its board.
        trouble: What befalls its disk.
    """

    def __init__(
        self, world: World, network: Network, config: Config, wire: Wire, trouble: DiskTrouble
    ) -> None:
        super().__init__(world, f"agent {config.machine}", config.machine)
        self.network, self.config, self.wire = network, config, wire
        self.disk = SimulatedDisk(world, config.machine, trouble)
        self.booted_at, self.boots = world.now, 1
        self.agent: Agent | None = None
        self.tampered = False

    @property
    def journal(self) -> Path:
        return self.config.journal.path

    @property
    def seen_journal(self) -> bytes:
        """The journal as the agent would read it now."""
        file = self.disk.files.get(self.journal)
        return b"" if file is None else bytes(file.seen)

    @property
    def token(self) -> str:
        return self._token_file.read_text()

    @token.setter
    def token(self, token: str) -> None:
        self._token_file.write_text(token)
        self._token_file.chmod(0o600)

    @property
    def _token_file(self) -> Path:
        path = self.config.link.token_file
        assert path is not None
        return path

    def clock(self) -> float:
        """Seconds since the host booted."""
        return self.world.now - self.booted_at

    def lose_power(self) -> None:
        """Cuts the host's power for a while."""
        if self.process is None:
            return
        self.network.unpowered.add(self.name)
        self.process.kill()
        self.disk.lose_power()
        self.booted_at, self.boots = self.world.now, self.boots + 1

    def stop(self) -> None:
        """Stops it as SIGTERM does."""
        if self.process is not None and self.agent is not None:
            self.process.post(self.agent.stop)

    async def work(self, process: Process) -> None:
        """See `Host`."""
        self.network.unpowered.discard(self.name)
        process.executor_latency_s = self.disk.latency_s
        disk = MountedDisk(self.disk, process, self.lose_power)
        rng = random.Random(self.rng.random())
        self.agent = build(
            self.config,
            open_journal=lambda path: Journal.open(path, disk),
            make_board=lambda on_event: self._board(process, rng, on_event),
            make_link=partial(
                LinkClient,
                self.config.link,
                clock=self.clock,
                random=rng.random,
                dial=lambda *_: cast("grpc.aio.Channel", Channel(self.network, process)),
            ),
            clock=self.clock,
            boot=f"boot {self.boots}",
            disk_space=self.disk.space,
            notifier=SystemdNotifier(None),
        )
        self.check_opened()
        await self.agent.run()

    def check_opened(self) -> None:
        """A damaged journal must not be opened."""
        if self.tampered:
            self.world.violate(f"20: {self.name} runs on a damaged journal")

    def _board(
        self, process: Process, rng: random.Random, on_event: Callable[[BoardEvent], None]
    ) -> BoardPort:
        source = Source(self.wire, process)
        return Board(self.config.board, on_event, clock=self.clock, source=source, rng=rng)

    def failed(self, error: Exception) -> None:
        """See `Host`."""
        errors = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        if any(isinstance(each, JournalDamagedError) for each in errors):
            self.world.note(f"{self.name}: a person replaces the damaged journal")
            self.world.fault("journal.replaced", self.machine)
            self.tampered = False
            self.disk.put(self.journal, None)
        elif not all(isinstance(each, JournalFailedError) for each in errors):
            self.world.violate(f"{self.name} failed: {error!r}")

    # --- what people and decay do to a journal while no agent runs ---

    def _pull_down(self) -> None:
        if self.process is not None:
            self.process.kill()

    def wipe_journal(self) -> None:
        self._pull_down()
        self.disk.put(self.journal, None)
        self.tampered = False

    def restore_journal(self, copy: bytes) -> None:
        self._pull_down()
        self.disk.put(self.journal, copy or None)
        self.tampered = False

    def damage_journal(self) -> bool:
        """Flips a bit of what is durable; False if there is nothing yet."""
        content = bytearray(self.disk.content(self.journal))
        whole_bytes = journals.whole_bytes(bytes(content))
        if not whole_bytes:
            return False
        self._pull_down()
        content[self.rng.randrange(whole_bytes)] ^= 1 << self.rng.randrange(8)
        self.disk.put(self.journal, bytes(content))
        self.tampered = True
        return True
