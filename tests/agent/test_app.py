"""The whole agent between a frontend on real gRPC and a board on a real pseudo terminal."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from drink.v1.drop_service_pb2 import Drop
from drink_agent.app import build, serve
from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.hosts import PtyHost
from drink_agent.board.emulator.spec import ArmedFault, BoardSpec, Fault
from drink_agent.board.settings import BoardSettings
from drink_agent.config import Config
from drink_agent.domain.records import Entry
from drink_agent.journal.errors import JournalFailedError
from drink_agent.journal.file import Journal, read
from drink_agent.journal.settings import JournalSettings
from drink_agent.link.settings import LinkSettings
from drink_agent.runtime.agent import Agent, AgentSettings
from tests.fakes.frontend import LIMIT_S, FakeFrontend, FakeLink
from tests.fakes.logwatch import watching

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
                address=frontend.address,
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

    async def kill(self) -> None:
        """Ends the agent without giving it a chance to write or say anything."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running], timeout=LIMIT_S)
            self._running = None

    async def motor_has_run(self, times: int) -> None:
        assert await self.host.wait_until(lambda b: b.counts.motor_runs == times, LIMIT_S)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    board = EmulatedBoard(BoardSpec(motor_s=MOTOR_S))
    async with FakeFrontend() as frontend, PtyHost(board, tmp_path / "board") as host:
        rig = Rig(tmp_path, frontend, host)
        yield rig
        await rig.kill()
        assert board.violations == []


async def test_a_drop_reaches_the_motor_and_its_result_the_frontend(rig: Rig) -> None:
    rig.start()
    link = await rig.link()
    link.dispense("a", slot=2)
    result = await link.result("a")
    assert (result.outcome, result.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK)
    assert [line.text for line in result.evidence.lines][:1] == ["32"]
    assert rig.motor_runs == 1
    assert rig.host.board.counts.dispensed == {2: 1}


async def test_fault_3_a_repeated_command_gets_the_same_result(rig: Rig) -> None:
    rig.start()
    link = await rig.link()
    for _ in range(3):
        link.dispense("a")
    await link.result("a")
    link.dispense("a")
    await link.until(lambda link: len(link.results) == 2)
    first, again = link.results
    assert (first.revision, first.outcome) == (again.revision, again.outcome)
    assert first.journal_sequence == again.journal_sequence
    assert rig.motor_runs == 1


async def test_fault_17_a_command_of_a_stale_epoch_is_not_obeyed(rig: Rig) -> None:
    rig.start()
    link = await rig.link()
    link.dispense("stale", epoch=rig.epoch - 1)
    link.dispense("fresh")
    await link.result("fresh")
    assert [result.drop for result in link.results] == ["drops/fresh"]
    assert rig.motor_runs == 1


async def test_fault_44_a_refusal_is_reported(rig: Rig) -> None:
    rig.fault(Fault.REFUSE)
    rig.start()
    link = await rig.link()
    link.dispense("a")
    result = await link.result("a")
    assert (result.outcome, result.cause) == (Drop.STATE_NOT_DISPENSED, Drop.CAUSE_BOARD_REFUSED)
    assert rig.motor_runs == 0


async def test_fault_41_a_silent_drop_is_unknown_until_its_late_ack(rig: Rig) -> None:
    rig.fault(Fault.LATE, seconds=0.8)
    rig.start()
    link = await rig.link()
    link.dispense("a")
    link.dispense("b")
    first = await link.result("a")
    assert (first.outcome, first.cause) == (Drop.STATE_UNKNOWN, Drop.CAUSE_BOARD_SILENT)
    settled = await link.result("a", revision=2)
    assert (settled.outcome, settled.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK_LATE)
    assert (await link.result("b")).cause == Drop.CAUSE_BOARD_ACK
    assert rig.motor_runs == 2


async def test_fault_13_an_unacknowledged_result_is_reported_on_the_next_link(rig: Rig) -> None:
    rig.start()
    link = await rig.link()
    link.acknowledges = False
    link.dispense("a")
    await link.result("a")
    link.cut()
    again = await rig.link(wanted=["a", "never-sent"])
    assert (await again.result("a")).outcome == Drop.STATE_DISPENSED
    await again.until(lambda link: link.not_received == ["never-sent"])
    assert rig.motor_runs == 1


async def test_fault_12_a_drop_goes_on_without_a_link(rig: Rig) -> None:
    rig.fault(Fault.SLOW, seconds=0.2)
    rig.start()
    link = await rig.link()
    link.dispense("a")
    await rig.motor_has_run(1)
    await rig.frontend.stop()
    await rig.frontend.start()
    again = await rig.link(wanted=["a"])
    assert (await again.result("a")).outcome == Drop.STATE_DISPENSED
    assert rig.motor_runs == 1


async def test_fault_25_an_agent_killed_with_a_drop_at_the_board_calls_it_unknown(
    rig: Rig,
) -> None:
    rig.fault(Fault.SLOW, seconds=0.3)
    rig.start()
    link = await rig.link()
    link.dispense("a")
    await rig.motor_has_run(1)
    await rig.kill()
    rig.start()
    again = await rig.link(wanted=["a"])
    assert again.hello.journal_id == link.hello.journal_id
    assert again.hello.boot_id != link.hello.boot_id
    assert again.hello.journal_sequence >= 2
    result = await again.result("a")
    assert (result.outcome, result.cause) == (Drop.STATE_UNKNOWN, Drop.CAUSE_AGENT_RESTARTED)
    assert result.evidence.sensor_before == 1
    assert result.evidence.sensor_after == 1
    again.dispense("a")
    await again.until(lambda link: len(link.results) == 2)
    again.dispense("b")
    await again.result("b")
    assert rig.motor_runs == 2


async def test_a_settled_drop_is_remembered_over_a_restart(rig: Rig) -> None:
    rig.start()
    link = await rig.link()
    link.dispense("a")
    first = await link.result("a")
    await rig.kill()
    rig.start()
    again = await rig.link()
    again.dispense("a")
    result = await again.result("a")
    assert (result.outcome, result.journal_sequence) == (first.outcome, first.journal_sequence)
    assert rig.motor_runs == 1


async def test_fault_16_a_command_expires_while_the_board_is_away(rig: Rig) -> None:
    rig.start()
    link = await rig.link()
    rig.host.lose(LIMIT_S * 10)
    await link.until(lambda link: not link.statuses[-1].ready)
    link.dispense("a", ttl_ms=200)
    result = await link.result("a")
    expected = (Drop.STATE_NOT_DISPENSED, Drop.CAUSE_BOARD_UNREACHABLE)
    assert (result.outcome, result.cause) == expected
    assert rig.motor_runs == 0


async def test_fault_46_a_command_waits_for_a_board_that_comes_back(rig: Rig) -> None:
    rig.start()
    link = await rig.link()
    rig.host.lose(0.2)
    await link.until(lambda link: not link.statuses[-1].ready)
    link.dispense("a")
    assert (await link.result("a")).outcome == Drop.STATE_DISPENSED


async def test_heartbeats_carry_the_last_durable_entry(rig: Rig) -> None:
    rig.start()
    link = await rig.link()
    link.dispense("a")
    result = await link.result("a")
    await link.until(lambda link: link.heartbeats[-1:] and link.heartbeats[-1].journal_sequence)
    assert link.heartbeats[-1].journal_sequence >= result.journal_sequence


async def test_a_drop_costs_two_syncs(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = 0
    real = os.fdatasync

    def count(file: int) -> None:
        nonlocal syncs
        syncs += 1
        real(file)

    rig.config = replace(rig.config, agent=AgentSettings(upkeep_interval_s=600))
    rig.start()
    link = await rig.link()
    monkeypatch.setattr(os, "fdatasync", count)
    link.dispense("a")
    await link.result("a")
    assert syncs == 2
    for drop in "bcdefg":
        link.dispense(drop)
    await link.result("g")
    assert syncs == 2 + 7


async def test_fault_35_a_full_disk_stops_new_drops(rig: Rig) -> None:
    free = 0
    rig.start(rig.build(free_bytes=lambda: free))
    link = await rig.frontend.next_link()
    link.welcome()
    assert await rig.host.wait_until(lambda board: board.connected, LIMIT_S)
    link.dispense("a", ttl_ms=300)
    assert (await link.result("a")).cause == Drop.CAUSE_BOARD_UNREACHABLE
    assert not link.statuses[-1].ready
    free = 10 * 1024 * 1024
    await link.until(lambda link: link.statuses[-1].ready)
    link.dispense("b")
    assert (await link.result("b")).outcome == Drop.STATE_DISPENSED


async def test_fault_32_a_failing_disk_stops_the_agent_before_the_motor(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = rig.start()
    link = await rig.link()

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    link.dispense("a")
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(running, LIMIT_S)
    assert caught.group_contains(JournalFailedError)
    assert rig.motor_runs == 0
    assert link.results == []


async def test_the_journal_is_compacted_when_nothing_is_on_its_way(rig: Rig) -> None:
    rig.config = replace(
        rig.config,
        journal=replace(rig.config.journal, compact_bytes=1000, evidence_drops=1),
    )
    rig.start()
    link = await rig.link()
    with watching("drink_agent.agent", "journal_compacted") as compacted:
        for number in range(6):
            link.dispense(f"a{number}")
        await link.result("a5")
        await asyncio.wait_for(compacted.wait(), LIMIT_S)
    assert read(rig.config.journal.path).header.kept > 0
    link.dispense("a0")
    await link.until(lambda link: len(link.results) == 7)
    assert rig.motor_runs == 6


async def test_fault_28_a_stop_lets_the_drop_at_the_board_end_and_reports_it(rig: Rig) -> None:
    rig.fault(Fault.SLOW, seconds=0.3)
    agent = rig.build()
    running = rig.start(agent)
    link = await rig.link()
    link.dispense("a")
    link.dispense("b")
    await rig.motor_has_run(1)
    agent.stop()
    link.dispense("c")
    await asyncio.wait_for(running, LIMIT_S)
    assert link.said_goodbye
    assert (await link.result("a")).outcome == Drop.STATE_DISPENSED
    for drop in "bc":
        assert (await link.result(drop)).cause == Drop.CAUSE_BOARD_UNREACHABLE
    assert not link.statuses[-1].ready
    assert rig.motor_runs == 1
    journal, entries = Journal.open(rig.config.journal.path)
    journal.close()
    assert [entry.record.KIND for entry in entries].count("acked") == 3


async def test_fault_28_a_stop_does_not_wait_for_ever(rig: Rig) -> None:
    rig.fault(Fault.SILENT)
    rig.config = replace(
        rig.config,
        board=replace(rig.config.board, response_limit_s=LIMIT_S),
        agent=replace(rig.config.agent, stop_limit_s=0.3),
    )
    agent = rig.build()
    running = rig.start(agent)
    link = await rig.link()
    link.dispense("a")
    await rig.motor_has_run(1)
    agent.stop()
    await asyncio.wait_for(running, LIMIT_S / 2)
    assert link.results == []


async def test_fault_28_sigterm_stops_the_agent(rig: Rig) -> None:
    running = asyncio.create_task(serve(rig.build()))
    link = await rig.link()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, LIMIT_S)
    assert link.said_goodbye
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)


class KilledError(BaseException):
    """What a kill looks like inside the process."""


class DyingJournal(Journal):
    """Dies before or after one of its durable steps."""

    die_at = -1

    def sync(self) -> None:
        self._step()
        super().sync()
        self._step()

    def _step(self) -> None:
        type(self).die_at -= 1
        if self.die_at == 0:
            raise KilledError


@pytest.mark.parametrize("die_at", [1, 2, 3, 4])
async def test_fault_25_killed_around_each_durable_step(rig: Rig, die_at: int) -> None:
    """1: before COMMANDED is durable; 2: after it; 3: before RESULT is durable; 4: after it."""
    rig.config = replace(rig.config, agent=AgentSettings(upkeep_interval_s=600))
    DyingJournal.die_at = die_at
    opened = partial(_open, DyingJournal)
    running = rig.start(rig.build(open_journal=opened))
    link = await rig.link()
    link.dispense("a")
    await asyncio.wait([running], timeout=LIMIT_S)
    with contextlib.suppress(BaseExceptionGroup, KilledError):
        running.result()
    assert link.results == []
    ran_before = rig.motor_runs
    assert ran_before == (1 if die_at >= 3 else 0)

    rig.start()
    again = await rig.link(wanted=["a"])
    if die_at == 1:
        await again.until(lambda link: link.not_received == ["a"])
        again.dispense("a")
        assert (await again.result("a")).outcome == Drop.STATE_DISPENSED
        assert rig.motor_runs == 1
        return
    result = await again.result("a")
    outcome = Drop.STATE_DISPENSED if die_at == 4 else Drop.STATE_UNKNOWN
    assert result.outcome == outcome
    again.dispense("a")
    await again.until(lambda link: len(link.results) == 2)
    assert rig.motor_runs == ran_before


def _open(kind: type[Journal], path: Path) -> tuple[Journal, tuple[Entry, ...]]:
    return kind.open(path)
