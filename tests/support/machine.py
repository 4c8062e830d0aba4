"""One machine for a test: its frontend, its board on a pseudo terminal, and its agent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from drink_agent.app import build
from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.hosts import PtyHost
from drink_agent.board.emulator.spec import ArmedFault, BoardSpec, Fault
from drink_agent.board.settings import BoardSettings
from drink_agent.config import Config
from drink_agent.journal.file import JournalSettings
from drink_agent.link.settings import LinkSettings
from drink_agent.runtime.agent import Agent, AgentSettings
from tests.fakes.frontend import LIMIT_S, FakeFrontend, FakeLink

MOTOR_S = 0.05


class Rig:
    """One machine: its frontend, its board, and an agent that can be started and killed."""

    def __init__(self, folder: Path, frontend: FakeFrontend, host: PtyHost) -> None:
        self.frontend = frontend
        self.host = host
        token_file = folder / "token"
        token_file.write_text("token")
        token_file.chmod(0o600)
        self.config = Config(
            machine="d",
            board=BoardSettings(url=host.where, response_limit_s=0.5, probe_interval_s=0.1),
            link=LinkSettings(
                addresses=(frontend.address,),
                token_file=token_file,
                backoff_first_s=0.02,
                backoff_limit_s=0.05,
            ),
            journal=JournalSettings(path=folder / "journal"),
            agent=AgentSettings(upkeep_interval_s=0.1, ack_wait_s=0.3),
        )
        self.epoch = 0
        self._running: asyncio.Task[None] | None = None

    @property
    def motor_runs(self) -> int:
        return self.host.board.counts.motor_runs

    def fault(self, fault: Fault, seconds: float = 0.0, slot: int = 1) -> None:
        self.host.board.arm(ArmedFault(fault, seconds), slot)

    def build(self, **parts: object) -> Agent:
        return build(self.config, **parts)  # type: ignore[arg-type]

    def start(self, agent: Agent | None = None) -> asyncio.Task[None]:
        agent = agent or self.build()
        self._running = asyncio.create_task(agent.run())
        return self._running

    async def link(self, wanted: Sequence[str] = ()) -> FakeLink:
        """Waits for the agent's next link, takes it, and waits for the board."""
        link = await self.frontend.next_link()
        self.epoch += 1
        link.welcome(self.epoch, wanted)
        await link.until(lambda link: link.statuses[-1].ready)
        return link

    async def started(self, wanted: Sequence[str] = ()) -> FakeLink:
        """Starts an agent; its link."""
        self.start()
        return await self.link(wanted)

    async def kill(self) -> None:
        """Ends the agent without giving it a chance to write or say anything."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running], timeout=LIMIT_S)
            self._running = None

    async def motor_has_run(self, times: int) -> None:
        assert await self.host.wait_until(lambda b: b.counts.motor_runs == times, LIMIT_S)


@contextlib.asynccontextmanager
async def machine_in(folder: Path) -> AsyncIterator[Rig]:
    """Sets a machine up in a folder; no test may make its board's reader die."""
    board = EmulatedBoard(BoardSpec(motor_s=MOTOR_S))
    async with FakeFrontend() as frontend, PtyHost(board, folder / "board") as host:
        rig = Rig(folder, frontend, host)
        yield rig
        await rig.kill()
        assert board.violations == []
