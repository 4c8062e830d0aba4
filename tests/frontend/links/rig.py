"""Links on the real use cases, with scripted agents and a clock that a test moves."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Drop, Reach
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.stock import Sensor
from drink_frontend.links.link import Link
from drink_frontend.links.machine import MachineRates, MachineState
from drink_frontend.links.messages import (
    AgentMessage,
    Dispense,
    Envelope,
    Heartbeat,
    Welcome,
)
from drink_frontend.links.server import LinkServer
from drink_frontend.links.settings import LinkSettings
from drink_frontend.storage.database import Database
from drink_frontend.usecases.agents import Agents, LinkOpening
from drink_frontend.usecases.links import Links
from tests.fakes.agent import LIMIT_S, ScriptedAgent, hello
from tests.support.bench import FRONTEND, Bench

SETTINGS = LinkSettings(
    heartbeat_interval_s=1, hello_limit_s=0.05, command_ttl_s=7.5, retry_interval_s=0.02
)


class RecordingAgents(Agents):
    """The real use cases, and what links asked of them.

    Attributes:
        opened: What each agent that opened a link said of itself.
        kept: Sensors and temperature, each time that they were kept.
        complete: Whether the board had listed all its slots, each time.
        firmware: The board's version, each time.
        counted: Machine and kind of each alarm.
        ended: How many links have ended.
        committed: Set once the epoch of a link is committed.
        gate: Each new epoch waits for it before its link gets it.
    """

    def __init__(self, bench: Bench) -> None:
        super().__init__(
            bench.storage,
            bench.clock,
            bench.journals,
            bench.alarms,
            FRONTEND,
            temperatures=bench.temperatures,
        )
        self.opened: list[Mapping[str, str]] = []
        self.kept: list[tuple[Mapping[int, Sensor], float | None]] = []
        self.complete: list[bool] = []
        self.firmware: list[str] = []
        self.counted: list[tuple[str, AlarmKind]] = []
        self.ended = 0
        self.committed = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def open_link(
        self, machine: str, journal: tuple[str, int], reach: Reach, agent: Mapping[str, str]
    ) -> LinkOpening:
        opening, gate = await super().open_link(machine, journal, reach, agent), self.gate
        self.committed.set()
        await gate.wait()
        self.opened.append(agent)
        return opening

    def count_alarm(self, machine: str, kind: AlarmKind, facts: dict[str, Any]) -> None:
        super().count_alarm(machine, kind, facts)
        self.counted.append((machine, kind))

    def link_ended(self, machine: str, epoch: int) -> None:
        super().link_ended(machine, epoch)
        self.ended += 1

    async def keep_status(
        self,
        machine: str,
        epoch: int,
        sensors: Mapping[int, Sensor],
        temperature_celsius: float | None,
        *,
        complete: bool = False,
        firmware_version: str = "",
    ) -> None:
        await super().keep_status(
            machine,
            epoch,
            sensors,
            temperature_celsius,
            complete=complete,
            firmware_version=firmware_version,
        )
        self.kept.append((sensors, temperature_celsius))
        self.complete.append(complete)
        self.firmware.append(firmware_version)


class Rig:
    """Machine d with a link that a test opens, and a server for more links.

    Drops that are placed on the bench wait until a link takes them. The bench had a link of each
    machine before, so the first one here has epoch 2.
    """

    def __init__(self, bench: Bench, settings: LinkSettings = SETTINGS) -> None:
        self.bench = bench
        self.clock = bench.clock
        self.settings = settings
        self.links = Links()
        self.use_cases = RecordingAgents(bench)
        self.cards = bench.accounts.kiosks.cards
        self.server = LinkServer(
            self.links, self.use_cases, bench.dispatch, self.clock, settings, cards=self.cards
        )
        self.machine = MachineState("d", MachineRates(settings))
        self.agent = ScriptedAgent()
        self.link = self.new_link(self.agent.incoming())
        self.agents: list[ScriptedAgent] = []

    def new_link(self, incoming: AsyncIterator[AgentMessage]) -> Link:
        return Link(
            self.machine,
            incoming,
            self.links,
            self.use_cases,
            self.bench.dispatch,
            cards=self.cards,
            clock=self.clock,
            settings=self.settings,
        )

    async def open(self, **changed: Any) -> Welcome:
        """Opens the machine's link, and connects its agent to it."""
        self.agent.say(hello(**changed))
        await self.link.open()
        self.agent.connect(self.link.messages())
        return await self.agent.hears(Welcome)

    async def reopen(self) -> Welcome:
        """Opens the machine's next link."""
        self.agent = ScriptedAgent()
        self.link = self.new_link(self.agent.incoming())
        return await self.open()

    async def dispatched(self) -> Drop:
        """A drop whose command the agent has just received on a new link."""
        drop = await self.place()
        await self.open()
        assert (await self.agent.hears(Dispense)).drop_id == drop.id
        return drop

    async def place(self, number: int = 1, machine: str = "d", slot: int = 1) -> Drop:
        """A drop that waits for its machine's link; each number is another one."""
        return await self.bench.place(f"r{number}", machine=machine, slot=slot)

    async def state(self, drop: Drop) -> State:
        """The drop's state, also while the database refuses everything to others."""
        now = await Database.read(self.bench.storage, lambda tx: tx.drops.get(drop.id))
        assert now is not None
        return now.state

    def set_available(self, is_available: bool) -> None:
        """Whether the database answers."""
        error = StorageUnavailableError("the database does not answer")
        self.bench.storage.error = None if is_available else error

    async def answered(self) -> None:
        """Waits until the link has taken in all that the agent said, and looked for a drop."""
        heard = None
        while heard != Heartbeat(999):
            self.clock.pass_s(self.settings.heartbeat_interval_s / 2)
            self.agent.say(Heartbeat(999))
            heard = await self.agent.hears(Heartbeat)
        while self.link._wake.is_set() or self.bench.storage.under_way:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    async def asked(self) -> None:
        """Waits until a unit of work was handed to the database once more."""
        self.bench.storage.asked.clear()
        async with asyncio.timeout(LIMIT_S):
            await self.bench.storage.asked.wait()

    def reach(self, machine: str) -> Reach:
        """How far a command would get, as the use cases see it."""
        status = self.links.status(machine)
        return Reach.OFFLINE if status is None else status.reach

    def dial(self, machine: str = "d", **changed: Any) -> ScriptedAgent:
        """An agent that has said Hello to the server, and hears nothing yet."""
        agent = self.call(machine)
        agent.say(hello(machine, **changed))
        return agent

    def call(self, machine: str = "d") -> ScriptedAgent:
        """An agent that has called the server, and said nothing yet."""
        agent = ScriptedAgent()
        agent.connect(self.serve(machine, agent))
        self.agents.append(agent)
        return agent

    async def serve(self, machine: str, agent: ScriptedAgent) -> AsyncGenerator[Envelope, None]:
        """What a new link of the server sends to an agent."""
        async with (
            self.server.open(machine, agent.incoming()) as link,
            aclosing(link.messages()) as messages,
        ):
            async for envelope in messages:
                yield envelope

    async def connect(self, machine: str = "d", **changed: Any) -> ScriptedAgent:
        """An agent with an open link of the server, which has looked for a drop."""
        agent = self.dial(machine, **changed)
        await agent.hears(Welcome)
        while self.bench.storage.under_way:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return agent

    async def close(self) -> None:
        """Ends all links."""
        self.set_available(True)
        self.link.release()
        for agent in (*self.agents, *([self.agent] if self.agent.connected else [])):
            await agent.vanish()
