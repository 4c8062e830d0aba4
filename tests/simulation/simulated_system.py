"""One world with a whole system: frontend, agents, boards, buyers and faults."""

import asyncio
import logging
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine, Iterator, MutableMapping
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from drink.v1 import drop_service_pb2
from drink.v1.machine_link_service_pb2 import ConnectRequest, ConnectResponse
from drink_agent.board.emulator.spec import ArmedFault, BoardSpec
from drink_agent.board.settings import BoardSettings
from drink_agent.config import Config
from drink_agent.journal.file import JournalSettings
from drink_agent.link.settings import LinkSettings
from drink_frontend.config import Settings
from drink_frontend.links.settings import LinkSettings as FrontendLinkSettings
from drink_frontend.metrics.settings import MetricsSettings
from drink_frontend.sessions.settings import SessionSettings
from drink_frontend.usecases.settings import AccountSettings, AlarmSettings, DropSettings
from tests.simulation import network
from tests.simulation.checker import Checker
from tests.simulation.fault_log import FaultLog
from tests.simulation.faults import Plan, draw
from tests.simulation.ground_truth import GroundTruth, WatchedBoard
from tests.simulation.hosts import AgentHost, FrontendHost
from tests.simulation.network import Network, Stream
from tests.simulation.wire import Wire
from tests.simulation.world import Process, World
from tests.support.databases import fresh_sqlite

LINK = "/drink.v1.MachineLinkService/Connect"
DROP = "/drink.v1.DropService/Drop"
WATCH = "/drink.v1.DropService/WatchDrop"
SLOTS = (1, 2, 3)
UNLISTED = 4
"""A slot that every machine sells and no board has."""


def _may_repeat(data: bytes, up: bool) -> bool:
    if up:
        return ConnectRequest.FromString(data).WhichOneof("message") == "result"
    return ConnectResponse.FromString(data).WhichOneof("message") in ("dispense", "result_ack")


network.REPEATABLE[LINK] = _may_repeat


class SimulatedSystem:
    """Everything in one world.

    Args:
        seed: Of all chance.
        folder: For the database and the agents' tokens.
        guarded: Whether the database refuses what breaks its rules, as it always does. Without
            that the checker alone has to see it.

    Attributes:
        plan: What chance decided beforehand.
        agents: The agents' hosts, by machine.
        truths: What really happened, by machine.
        tokens: The buyers' tokens, by account.
    """

    def __init__(self, seed: int, folder: Path, *, guarded: bool = True) -> None:
        self.world = World(seed)
        self.folder = folder
        self.guarded = guarded
        self.plan: Plan = draw(self.world.stream("plan"))
        self.fault_log = FaultLog()
        self.world.on_fault = lambda kind, where, lasts_s: self.fault_log.add(
            kind, where, self.world.now, lasts_s
        )
        self.network = Network(
            self.world, {True: self.plan.weather, False: self.plan.client_weather}
        )
        self.network.on_sent, self.network.on_received = self._sent, self._received
        self.settings = self._settings()
        self.frontend = FrontendHost(
            self.world,
            self.network,
            self.settings,
            self.plan.database,
            self._committed,
            guarded=guarded,
        )
        self.truths: dict[str, GroundTruth] = {}
        self.agents: dict[str, AgentHost] = {}
        self.wires: dict[str, Wire] = {}
        self.tokens: dict[str, str] = {}
        for number in range(self.plan.machines):
            self._add_machine("dls"[number])
        self.checker = Checker(self.world, self.settings.storage.path, self.truths, self.fault_log)

    def _settings(self) -> Settings:
        rng, limits = self.world.stream("settings"), self.world.stream("limits")
        storage = fresh_sqlite(self.folder, readers=1)
        if not self.guarded:
            _drop_triggers(storage.path)
        return Settings(
            storage=storage,
            sessions=SessionSettings(listeners=()),
            drops=DropSettings(
                look_interval_s=rng.choice([1, 3]),
                waiting_max=rng.choice([3, 20]),
                waiting_limit_s=rng.choice([30, 120]),
                silence_limit_s=rng.choice([25, 90]),
                refund_minutes=self.world.stream("refund minutes").choice([0, 1, 5]),
            ),
            accounts=AccountSettings(token_ttl_s=31_536_000),
            links=FrontendLinkSettings(
                command_ttl_s=rng.choice([0.5, 2, 10]),
                messages_per_s=limits.choice([20, 200]),
                messages_burst=limits.choice([100, 2_000]),
                unexpected_burst=limits.choice([10, 200]),
            ),
            alarms=AlarmSettings(records_burst=limits.choice([1, 200])),
            metrics=MetricsSettings(listen=""),
        )

    def _add_machine(self, name: str) -> None:
        plan, rng = self.plan, self.world.stream(f"board of {name}")
        truth = self.truths[name] = GroundTruth(
            self.world,
            name,
            journal=lambda: self.agents[name].disk.content(self.agents[name].journal),
            # The checker is made after the boards.
            dispatched=lambda drop: self.checker.was_restored or self.checker.dispatched(drop),
        )
        spec = BoardSpec(
            name=name,
            cans=dict.fromkeys(SLOTS, rng.choice([1, 3, 30])),
            dialect=plan.dialect,
            cut=plan.cut,
            motor_s=plan.motor_s,
            deaf_s=plan.deaf_s,
            seed=rng.randrange(1 << 30),
        )
        board = WatchedBoard(spec, truth, lambda: self._draw_fault(name, rng))
        self.wires[name] = Wire(self.world, name, board, plan.wire, partial(self._written, name))
        config = Config(
            machine=name,
            board=BoardSettings(url="serial:///dev/board", password="password"),
            link=LinkSettings(token_file=self.folder / f"token-{name}"),
            journal=JournalSettings(path=Path(f"/journals/{name}"), compact_bytes=8_000),
        )
        self.agents[name] = AgentHost(self.world, self.network, config, self.wires[name], plan.disk)

    def _draw_fault(self, name: str, rng: random.Random) -> ArmedFault:
        armed = self.plan.draw_board_fault(rng)
        if armed.fault is not None:
            self.world.fault(f"board.{armed.fault}", name, armed.seconds + 30)
        return armed

    def _written(self, name: str, data: bytes) -> None:
        if self.wires[name].board.spec.deaf_s:
            self.fault_log.add("board.deaf", name, self.world.now, 30)
        self.truths[name].written(data)

    def _committed(self) -> None:
        self.checker.committed()

    def _sent(self, stream: Stream, data: bytes) -> None:
        """The frontend has sent a message."""
        if stream.method == LINK:
            message = ConnectResponse.FromString(data)
            if message.WhichOneof("message") == "dispense":
                drop = message.dispense.drop.removeprefix("drops/")
                self.truths[network.place_of(stream.client)].sent(drop)
        elif stream.method == DROP:
            self._answered(drop_service_pb2.DropResponse.FromString(data).drop, asked=True)
        elif stream.method == WATCH:
            self._answered(drop_service_pb2.WatchDropResponse.FromString(data).drop, asked=False)

    def _answered(self, drop: drop_service_pb2.Drop, *, asked: bool) -> None:
        state = drop_service_pb2.Drop.State.Name(drop.state).removeprefix("STATE_")
        self.checker.answered(
            drop.account.removeprefix("accounts/"),
            drop.request_id if asked else None,
            drop.name.removeprefix("drops/"),
            state,
        )

    def _received(self, stream: Stream, data: bytes) -> None:
        """An agent's host has received a message."""
        if stream.method == LINK:
            message = ConnectResponse.FromString(data)
            if message.WhichOneof("message") == "dispense":
                drop = message.dispense.drop.removeprefix("drops/")
                truth = self.truths[network.place_of(stream.client)]
                read_at = max(self.world.now, stream.client.frozen_until)
                truth.received(drop, message.dispense.ttl_ms / 1000, read_at)

    def operators(
        self, work: Callable[[Process, random.Random], Coroutine[Any, Any, None]]
    ) -> None:
        """Runs administrators' commands beside the frontend until the system is healed."""
        rng = self.world.stream("operators")

        def come() -> None:
            if not self.frontend.healed:
                self._command(work, rng)
                self.world.after(rng.expovariate(1 / 30), come)

        self.world.after(rng.expovariate(1 / 30), come)

    def _command(
        self,
        work: Callable[[Process, random.Random], Coroutine[Any, Any, None]],
        rng: random.Random,
    ) -> "asyncio.Task[None]":
        process = Process(self.world, "operator")

        async def run() -> None:
            await work(process, rng)
            process.kill()

        return process.spawn(run())

    def end_commands(self) -> None:
        """Kills the commands beside the frontend, so that the database is closed."""
        for process in [each for each in self.world.processes if each.name == "operator"]:
            process.kill()

    def after_healing(self, work: Callable[[Process], Coroutine[Any, Any, None]]) -> None:
        """Runs one more command once the faults are over."""
        self._command(lambda process, _: work(process), self.world.stream("healer"))

    def heal(self) -> None:
        """Ends all faults."""
        self.plan.calm()
        self.network.mend()
        for process in self.world.processes:
            process.thaw()
        self.frontend.healed = True
        for name, agent in self.agents.items():
            agent.healed = True
            agent.disk.full_until = self.world.now
            wire = self.wires[name]
            wire.board.spec = replace(wire.board.spec, deaf_s=0.0)
            wire.board._deaf_from = None
            wire.mend()
            for slot in SLOTS:
                wire.tell(wire.board.override_sensor(slot, None, self.world.now))

    def close(self) -> None:
        self.world.end()
        self.checker.close()


def _drop_triggers(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in names.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.commit()


@contextmanager
def simulated_system(seed: int, *, guarded: bool = True) -> Iterator[SimulatedSystem]:
    """A system in a world of its own."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="drink-", dir=memory if memory.is_dir() else None))
    system = SimulatedSystem(seed, folder, guarded=guarded)
    try:
        with silenced(system.world):
            try:
                yield system
            finally:
                system.close()
    finally:
        shutil.rmtree(folder)


@contextmanager
def silenced(world: World) -> Iterator[None]:
    """Sends the services' own logs to the trace."""

    def keep(_: object, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        facts = {key: entry[key] for key in ("drop_id", "machine", "verdict") if key in entry}
        world.note(f"{world.running}: {entry['event']} {facts}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
    logger, handler = logging.getLogger("drink_agent"), _Trace(world)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        structlog.configure(**before)
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


class _Trace(logging.Handler):
    """Keeps the agents' logs in the trace."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        facts = {key: getattr(record, key) for key in _AGENT_FACTS if hasattr(record, key)}
        self._world.note(f"{self._world.running}: {record.msg} {facts}")


_AGENT_FACTS = ("drop_id", "slot", "outcome", "cause", "reason", "epoch", "entry")
