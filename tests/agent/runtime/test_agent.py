"""The agent's loop with a fake frontend, an emulated board and a real disk."""

import asyncio
import contextlib
import logging
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from drink.v1.drop_service_pb2 import Drop
from drink_agent.board.emulator.spec import Fault
from drink_agent.domain.events import Ack, BoardLateEvidence, BoardOutcome, BoardStatus, Tick
from drink_agent.domain.evidence import Cause, Evidence
from drink_agent.domain.records import Entry
from drink_agent.journal.file import Journal, JournalFailedError, read
from drink_agent.runtime.agent import AgentSettings, PartEndedError
from drink_agent.runtime.system import DiskSpace, boot_time_s
from tests.fakes.frontend import LIMIT_S, FakeLink
from tests.support.logwatch import watching
from tests.support.machine import MOTOR_S, Rig


async def test_heartbeats_carry_the_last_durable_entry(rig: Rig, link: FakeLink) -> None:
    result = await link.drop("a")
    await link.until(
        lambda link: any(
            beat.journal_sequence >= result.journal_sequence for beat in link.heartbeats
        )
    )


@pytest.mark.parametrize("journal_report_ms", [0, 50])
async def test_fault_37_the_frontend_hears_of_a_motor_command_before_its_outcome(
    rig: Rig, journal_report_ms: int
) -> None:
    rig.fault(Fault.SILENT)
    rig.start()
    link = await rig.frontend.next_link()
    link.welcome(interval_s=300, journal_report_ms=journal_report_ms)
    await link.until(lambda link: link.statuses[-1].ready)
    link.dispense("a")
    await link.until(lambda link: link.heartbeats)
    assert [beat.journal_sequence for beat in link.heartbeats] == [2]
    assert not link.results


async def test_a_traced_drop_comes_back_with_its_trace_and_times(rig: Rig) -> None:
    header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    rig.start()
    link = await rig.frontend.next_link()
    link.welcome()
    await link.until(lambda link: link.statuses[-1].ready)
    traced = await link.drop("a", traceparent=header)
    assert traced.traceparent == header
    times = traced.timings
    assert 0 <= times.commanded_ms <= times.answered_ms <= times.recorded_ms <= times.sent_ms
    assert 0 < times.motor_ms <= times.answered_ms - times.commanded_ms + 2
    plain = await link.drop("b")
    assert plain.traceparent == ""
    assert not plain.HasField("timings")


async def test_a_result_that_comes_soon_is_the_only_message_of_a_drop(rig: Rig) -> None:
    rig.start()
    link = await rig.frontend.next_link()
    link.welcome(interval_s=300, journal_report_ms=5_000)
    await link.until(lambda link: link.statuses[-1].ready)
    for drop in "abc":
        assert (await link.drop(drop)).outcome == Drop.STATE_DISPENSED
    assert len(link.results) == 3
    assert not link.heartbeats


async def test_fault_16_a_command_that_expires_while_the_journal_syncs_is_not_started(
    rig: Rig,
) -> None:
    late_s = 0.0

    class SlowJournal(Journal):
        def sync(self) -> None:
            nonlocal late_s
            super().sync()
            late_s = 0.4

    rig.start(rig.build(open_journal=SlowJournal.open, clock=lambda: boot_time_s() + late_s))
    link = await rig.link()
    result = await link.drop("a", ttl_ms=400)
    assert (result.outcome, result.cause) == (Drop.STATE_NOT_DISPENSED, Drop.CAUSE_EXPIRED)
    assert (await link.drop("b")).outcome == Drop.STATE_DISPENSED
    assert rig.motor_runs == 1


async def test_a_drop_costs_two_syncs(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = 0
    real = os.fdatasync

    def count(file: int) -> None:
        nonlocal syncs
        syncs += 1
        real(file)

    rig.config = replace(rig.config, agent=AgentSettings(upkeep_interval_s=600))
    link = await rig.started()
    monkeypatch.setattr(os, "fdatasync", count)
    await link.drop("a")
    assert syncs == 2
    for drop in "bcdefg":
        link.dispense(drop)
    await link.result("g")
    assert syncs == 2 + 7


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
async def test_a_line_for_a_drop_and_one_more_for_one_that_waits(
    rig: Rig, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    caplog.set_level(level, "drink_agent.agent")
    rig.fault(Fault.SLOW, seconds=0.1)
    link = await rig.started()
    link.dispense("a")
    await link.drop("b")
    lines: dict[str, list[str]] = {"a": [], "b": []}
    for record in caplog.records:
        if drop := getattr(record, "drop_id", ""):
            lines[drop].append(record.getMessage())
    commanded = ["drop_commanded"] if level == logging.DEBUG else []
    settled = [[each for each in lines[drop] if each != "drop_acknowledged"] for drop in "ab"]
    assert settled == [[*commanded, "drop_result"], ["drop_accepted", *commanded, "drop_result"]]


async def test_the_link_waits_while_many_of_its_events_are_queued(rig: Rig) -> None:
    rig.config = replace(rig.config, agent=AgentSettings(inbox_limit=2))
    agent = rig.build()
    for drop in "ab":
        await agent._take_link_event(Ack(drop, 1))
    third = asyncio.create_task(agent._take_link_event(Ack("c", 1)))
    await asyncio.sleep(0)
    assert not third.done()
    rig.start(agent)
    await asyncio.wait_for(third, LIMIT_S)


async def test_the_board_never_waits_and_statuses_wake_the_loop_once(rig: Rig) -> None:
    rig.config = replace(rig.config, agent=AgentSettings(inbox_limit=1))
    agent = rig.build()
    for _ in range(1000):
        agent._take_board_event(BoardStatus(ready=True))
    agent._take_board_event(BoardOutcome("a", Cause.BOARD_ACK, Evidence()))
    agent._take_board_event(BoardLateEvidence("b", Cause.BOARD_ACK, Evidence()))
    queued = [agent._events.get_nowait() for _ in range(agent._events.qsize())]
    assert queued == [
        Tick(),
        BoardOutcome("a", Cause.BOARD_ACK, Evidence()),
        BoardLateEvidence("b", Cause.BOARD_ACK, Evidence()),
    ]
    await agent._link.close()
    agent._journal.close()


async def test_fault_35_a_full_disk_stops_new_drops(rig: Rig) -> None:
    free = 0
    rig.start(rig.build(disk_space=lambda: DiskSpace(free, 1 << 30)))
    link = await rig.frontend.next_link()
    link.welcome()
    assert await rig.host.wait_until(lambda board: board.connected, LIMIT_S)
    assert (await link.drop("a", ttl_ms=300)).cause == Drop.CAUSE_BOARD_UNREACHABLE
    assert not link.statuses[-1].ready
    free = 10 * 1024 * 1024
    await link.until(lambda link: link.statuses[-1].ready)
    assert (await link.drop("b")).outcome == Drop.STATE_DISPENSED


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
    link = await rig.started()
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


@pytest.mark.parametrize("part", ["board", "link"])
@pytest.mark.parametrize("cancelled", [True, False], ids=["cancelled", "returns"])
async def test_fault_64_an_agent_ends_with_its_board_s_and_its_link_s_work(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, *, part: str, cancelled: bool
) -> None:
    rig.config = replace(rig.config, agent=AgentSettings(stop_limit_s=1.0))
    agent = rig.build()
    ends, run = asyncio.Event(), getattr(agent, f"_{part}").run

    async def run_until_it_ends() -> None:
        work = asyncio.create_task(run())
        await ends.wait()
        work.cancel()
        await asyncio.wait([work])
        if cancelled:
            raise asyncio.CancelledError

    monkeypatch.setattr(getattr(agent, f"_{part}"), "run", run_until_it_ends)
    with watching("drink_agent.agent", "part_ended") as told:
        running = asyncio.create_task(agent.run())
        await rig.link()
        ends.set()
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(PartEndedError, match=part):
                await running
        assert told.is_set()


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


class KilledError(BaseException):
    """Stands for the kill of the process."""


class DyingJournal(Journal):
    """A journal whose process is killed before or after a sync."""

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
    """1: before the sync of COMMANDED; 2: after it; 3: before the sync of RESULT; 4: after it."""
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

    again = await rig.started(wanted=["a"])
    if die_at == 1:
        await again.until(lambda link: link.not_received == ["a"])
        assert (await again.drop("a")).outcome == Drop.STATE_DISPENSED
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


async def test_counters_are_sent_at_the_start_of_a_link_and_then_at_the_interval(rig: Rig) -> None:
    rig.start()
    link = await rig.frontend.next_link()
    link.welcome(interval_s=300, journal_report_ms=5_000, stats_interval_s=1)
    await link.until(lambda link: link.statuses[-1].ready and link.stats)
    for drop in "abc":
        await link.drop(drop)
    await link.until(lambda link: len(link.stats) == 2)
    first, second = link.stats
    assert sum(first.motor_times.counts) == 0
    assert list(second.motor_times.counts) == [3, 0, 0, 0, 0, 0, 0, 0, 0]
    assert 3 * MOTOR_S <= second.motor_times.sum_seconds < LIMIT_S
    assert (second.links_lost, second.board_connects, second.board_timeouts) == (0, 1, 0)
    assert second.journal_bytes > first.journal_bytes > 0
    assert 0 < second.disk_free_bytes <= second.disk_bytes
    assert second.memory_bytes > 1 << 20

    rig.fault(Fault.SILENT)
    await link.drop("d")
    link.cut()
    link = await rig.frontend.next_link()
    link.welcome(2, stats_interval_s=1)
    await link.until(lambda link: link.stats)
    counts = link.stats[0]
    assert (counts.links_lost, counts.board_timeouts, counts.board_losses) == (1, 1, 1)


async def test_a_frontend_that_asks_for_no_counters_gets_none(rig: Rig) -> None:
    link = await rig.started()
    await link.drop("a")
    await link.until(lambda link: link.heartbeats)
    assert not link.stats
