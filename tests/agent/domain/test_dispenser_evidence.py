"""The dispenser with evidence that comes after an outcome or after a restart."""

import pytest

from drink_agent.domain.dispenser import AMENDMENTS_MAX, DispenserSettings
from drink_agent.domain.events import Ack, BoardLateEvidence, LinkUp, Tick
from drink_agent.domain.evidence import Cause, Evidence, Sensor
from drink_agent.domain.records import Accepted, Commanded, Record, Result
from tests.agent.domain.test_dispenser import STATES, Bench, late, word


def interrupted(
    sensor: Sensor = Sensor.STOCKED, at_ms: int | None = 900, boot: str = "boot"
) -> tuple[Record, ...]:
    return (Accepted("a", 3, 10_000, 500, "boot"), Commanded("a", 3, sensor, at_ms, boot))


def amendment() -> BoardLateEvidence:
    evidence = Evidence(sensor_after=Sensor.EMPTY, sensor_after_ms=31_000)
    return BoardLateEvidence("a", Cause.AGENT_RESTARTED, evidence)


def test_fault_59_after_a_restart_the_board_is_told_of_the_command_before_all_else() -> None:
    overdue = Accepted("b", 1, 10, 100, "boot")
    words = [word(effect) for effect in Bench(records=(*interrupted(), overdue)).again()]
    assert words == [
        "result b/1 NOT_DISPENSED EXPIRED",
        "recall a in 3, STOCKED, AGENT_RESTARTED, 100 ms ago",
        "sync",
    ], "while the sync is waited for the board may be connected"


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (interrupted(boot="another"), ["recall a in 3, STOCKED, AGENT_RESTARTED, 0 ms ago"]),
        (interrupted(at_ms=None, boot=""), ["recall a in 3, STOCKED, AGENT_RESTARTED, 0 ms ago"]),
        (
            (*interrupted(), Result("a", 1, Cause.BOARD_SILENT, Evidence())),
            ["recall a in 3, STOCKED, BOARD_SILENT, 100 ms ago"],
        ),
        ((*interrupted(), Result("a", 1, Cause.BOARD_ACK, Evidence())), []),
        (
            (
                *interrupted(),
                Result("a", 1, Cause.BOARD_SILENT, Evidence()),
                Accepted("b", 1, 10_000, 950, "boot"),
                Commanded("b", 1, Sensor.STOCKED),
                Result("b", 1, Cause.BOARD_ACK, Evidence()),
            ),
            [],
        ),
    ],
)
def test_fault_59_only_the_last_command_can_still_be_answered(
    records: tuple[Record, ...], words: list[str]
) -> None:
    recalled = [word(effect) for effect in Bench(records=records).again()]
    assert [each for each in recalled if each.startswith("recall")] == words


def test_fault_59_after_a_restart_a_drop_waits_for_a_board_that_dials_again() -> None:
    bench = Bench(LinkUp(1), records=interrupted(), settings=DispenserSettings())
    assert bench.words(Tick(), after_ms=30_000) == []
    expected = ["result a/1 UNKNOWN AGENT_RESTARTED", "sync", "report a/1"]
    assert bench.words(amendment()) == expected
    [*_, result] = bench.records
    assert isinstance(result, Result)
    assert result.evidence.sensor_after_ms == 31_000


def test_fault_59_what_comes_after_the_wait_amends_the_evidence_and_settles() -> None:
    bench = Bench(LinkUp(1), records=interrupted(), settings=DispenserSettings())
    assert bench.words(Tick(), after_ms=35_000)[0] == "result a/1 UNKNOWN AGENT_RESTARTED"
    bench.step(Ack("a", 1))
    assert bench.words(amendment())[0] == "result a/2 UNKNOWN AGENT_RESTARTED"
    assert bench.words(late("a", Cause.BOARD_REFUSED_LATE))[0] == (
        "result a/3 NOT_DISPENSED BOARD_REFUSED_LATE"
    )
    assert bench.words(amendment()) == ["disregard a evidence_unused"]


def test_fault_59_readings_of_a_board_that_is_lost_again_and_again_leave_room_to_settle() -> None:
    bench = STATES["unknown"]()
    words = [bench.words(amendment())[0] for _ in range(20)]
    assert words[:2] == ["result a/2 UNKNOWN BOARD_SILENT", "result a/3 UNKNOWN BOARD_SILENT"]
    assert words[-1] == "disregard a evidence_unused"
    assert bench.words(late())[0] == f"result a/{AMENDMENTS_MAX + 1} DISPENSED BOARD_ACK_LATE"
