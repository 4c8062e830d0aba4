"""The whole agent with a frontend over real gRPC and a board on a real pseudo terminal."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from drink.v1.drop_service_pb2 import Drop
from drink_agent.app import serve
from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.spec import Fault
from drink_agent.board.identity import Identity, IdentityStore
from tests.fakes.frontend import LIMIT_S, FakeLink
from tests.support.machine import Rig


async def test_a_drop_reaches_the_motor_and_its_result_the_frontend(rig: Rig) -> None:
    link = await rig.started()
    result = await link.drop("a", slot=2)
    assert (result.outcome, result.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK)
    assert [line.text for line in result.evidence.lines][:1] == ["32"]
    assert rig.motor_runs == 1
    assert rig.host.board.counts.dispensed == {2: 1}


async def test_fault_3_a_repeated_command_gets_the_same_result(rig: Rig, link: FakeLink) -> None:
    for _ in range(3):
        link.dispense("a")
    await link.result("a")
    link.dispense("a")
    await link.until(lambda link: len(link.results) == 2)
    first, again = link.results
    assert (first.revision, first.outcome) == (again.revision, again.outcome)
    assert first.journal_sequence == again.journal_sequence
    assert rig.motor_runs == 1


async def test_fault_17_a_command_of_a_stale_epoch_is_not_obeyed(rig: Rig, link: FakeLink) -> None:
    link.dispense("stale", epoch=rig.epoch - 1)
    await link.drop("fresh")
    assert [result.drop for result in link.results] == ["drops/fresh"]
    assert rig.motor_runs == 1


async def test_fault_44_a_refusal_is_reported(rig: Rig) -> None:
    rig.fault(Fault.REFUSE)
    link = await rig.started()
    result = await link.drop("a")
    assert (result.outcome, result.cause) == (Drop.STATE_NOT_DISPENSED, Drop.CAUSE_BOARD_REFUSED)
    assert rig.motor_runs == 0


async def test_fault_41_a_silent_drop_is_unknown_until_its_late_ack(rig: Rig) -> None:
    rig.fault(Fault.LATE, seconds=0.8)
    link = await rig.started()
    link.dispense("a")
    link.dispense("b")
    first = await link.result("a")
    assert (first.outcome, first.cause) == (Drop.STATE_UNKNOWN, Drop.CAUSE_BOARD_SILENT)
    settled = await link.result("a", revision=2)
    assert (settled.outcome, settled.cause) == (Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK_LATE)
    assert (await link.result("b")).cause == Drop.CAUSE_BOARD_ACK
    assert rig.motor_runs == 2


async def test_fault_13_an_unacknowledged_result_is_reported_on_the_next_link(rig: Rig) -> None:
    link = await rig.started()
    link.acknowledges = False
    await link.drop("a")
    link.cut()
    again = await rig.link(wanted=["a", "never-sent"])
    assert (await again.result("a")).outcome == Drop.STATE_DISPENSED
    await again.until(lambda link: link.not_received == ["never-sent"])
    assert rig.motor_runs == 1


async def test_fault_12_a_drop_goes_on_without_a_link(rig: Rig) -> None:
    rig.fault(Fault.SLOW, seconds=0.2)
    link = await rig.started()
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
    rig.fault(Fault.SILENT)
    link = await rig.started()
    link.dispense("a")
    await rig.motor_has_run(1)
    await rig.kill()
    again = await rig.started(wanted=["a"])
    assert again.hello.journal_id == link.hello.journal_id
    assert again.hello.boot_id != link.hello.boot_id
    assert again.hello.journal_sequence >= 2
    result = await again.result("a")
    assert (result.outcome, result.cause) == (Drop.STATE_UNKNOWN, Drop.CAUSE_AGENT_RESTARTED)
    assert result.evidence.sensor_before == 1
    assert result.evidence.sensor_after == 1
    again.dispense("a")
    await again.until(lambda link: len(link.results) == 2)
    await again.drop("b")
    assert rig.motor_runs == 2


def _is_busy(board: EmulatedBoard) -> bool:
    return bool(board.to_dict()["motor_running"])


@pytest.mark.parametrize(
    ("fault", "outcome", "cause"),
    [
        (Fault.SLOW, Drop.STATE_DISPENSED, Drop.CAUSE_BOARD_ACK_LATE),
        (Fault.FOUND_EMPTY, Drop.STATE_NOT_DISPENSED, Drop.CAUSE_BOARD_REFUSED_LATE),
    ],
)
@pytest.mark.parametrize("after_silence", [False, True])
async def test_fault_59_the_answer_that_comes_after_a_restart_settles_the_drop(
    rig: Rig, fault: Fault, outcome: int, cause: int, after_silence: bool
) -> None:
    rig.fault(fault, seconds=1.0 if after_silence else 0.3)
    link = await rig.started()
    link.dispense("a")
    assert await rig.host.wait_until(_is_busy, LIMIT_S)
    if after_silence:
        assert (await link.result("a")).cause == Drop.CAUSE_BOARD_SILENT
    await rig.kill()
    again = await rig.started()
    await again.until(lambda link: any(result.outcome == outcome for result in link.results))
    settled = again.results[-1]
    assert (settled.drop, settled.cause) == ("drops/a", cause)
    assert (await again.drop("b", slot=2)).cause == Drop.CAUSE_BOARD_ACK


async def test_a_settled_drop_is_remembered_over_a_restart(rig: Rig, link: FakeLink) -> None:
    first = await link.drop("a")
    await rig.kill()
    again = await rig.started()
    result = await again.drop("a")
    assert (result.outcome, result.journal_sequence) == (first.outcome, first.journal_sequence)
    assert rig.motor_runs == 1


async def test_fault_16_a_command_expires_while_the_board_is_away(rig: Rig, link: FakeLink) -> None:
    rig.host.lose(LIMIT_S * 10)
    await link.until(lambda link: not link.statuses[-1].ready)
    result = await link.drop("a", ttl_ms=200)
    expected = (Drop.STATE_NOT_DISPENSED, Drop.CAUSE_BOARD_UNREACHABLE)
    assert (result.outcome, result.cause) == expected
    assert rig.motor_runs == 0


async def test_fault_46_a_command_waits_for_a_board_that_comes_back(rig: Rig) -> None:
    link = await rig.started()
    rig.host.lose(0.2)
    await link.until(lambda link: not link.statuses[-1].ready)
    assert (await link.drop("a")).outcome == Drop.STATE_DISPENSED


async def test_fault_65_no_drop_reaches_a_board_that_was_refused(rig: Rig, tmp_path: Path) -> None:
    IdentityStore(tmp_path / "journal.board").save(Identity(refused="another board"))
    rig.start()
    link = await rig.frontend.next_link()
    link.welcome(1)
    result = await link.drop("a", ttl_ms=200, epoch=1)
    assert (result.outcome, result.cause) == (
        Drop.STATE_NOT_DISPENSED,
        Drop.CAUSE_BOARD_UNREACHABLE,
    )
    assert rig.motor_runs == 0


async def test_fault_28_sigterm_stops_the_agent(rig: Rig) -> None:
    running = asyncio.create_task(serve(rig.build()))
    link = await rig.link()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, LIMIT_S)
    assert link.said_goodbye
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
