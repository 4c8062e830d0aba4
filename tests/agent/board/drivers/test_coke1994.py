"""The driver of the board of 1994: every state with every event, and its evidence."""

import pytest

from drink_agent.board.drivers.coke1994 import SETTLE_LIMIT_S, Coke1994Driver, Coke1994State
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.events import BoardOutcome, BoardStatus, Recall
from drink_agent.domain.evidence import Cause, Outcome, Sensor
from tests.support.board_bench import CloseStream, DriverBench

SETTINGS = BoardSettings(url="serial:///dev/ttyS0", dialect="coke1994", max_slot=5)
FULL = bytes([0b10111])


def bench(settings: BoardSettings = SETTINGS) -> DriverBench:
    return DriverBench(settings)


def state_of(board: DriverBench) -> Coke1994State:
    assert isinstance(board.driver, Coke1994Driver)
    return board.driver.state


def in_state(state: Coke1994State, settings: BoardSettings = SETTINGS) -> DriverBench:
    board = bench(settings)
    if state is not Coke1994State.DISCONNECTED:
        board.connect()
    if state not in (Coke1994State.DISCONNECTED, Coke1994State.ASKING):
        board.receive(FULL)
    if state in (Coke1994State.DISPENSING, Coke1994State.CHECKING):
        board.dispense("d1", 1)
    if state is Coke1994State.CHECKING:
        board.pass_s(SETTINGS.motor_s)
    assert state_of(board) is state
    board.clear()
    return board


def happened(board: DriverBench) -> str:
    words = [state_of(board).name]
    for effect in board.effects:
        match effect:
            case BoardOutcome(drop, cause, _):
                words.append(f"{drop} {cause}")
            case BoardStatus(is_ready):
                words.append("ready" if is_ready else "not ready")
            case CloseStream():
                words.append("close")
    if board.written:
        words.append(f"write {board.written.decode()}")
    return "; ".join(words)


HAPPENINGS = {
    "status": lambda board: board.receive(FULL),
    "noise": lambda board: board.receive(b"\xff"),
    "dispense": lambda board: board.dispense("d2", 2),
    "dispense empty": lambda board: board.dispense("d2", 4),
    "lost": lambda board: board.lose(),
    "lost unsent": lambda board: board.lose(unsent=True),
    "3.5 s": lambda board: board.pass_s(3.5),
    "10 s": lambda board: board.pass_s(10),
    "180 s": lambda board: board.pass_s(180),
}
GONE = "DISCONNECTED"
DOWN = "d2 BOARD_UNREACHABLE"
TABLE: dict[Coke1994State, dict[str, str]] = {
    Coke1994State.DISCONNECTED: {
        "dispense": f"{GONE}; {DOWN}",
        "dispense empty": f"{GONE}; {DOWN}",
    },
    Coke1994State.ASKING: {
        "status": "READY; ready",
        "dispense": f"ASKING; {DOWN}",
        "dispense empty": f"ASKING; {DOWN}",
        "lost": GONE,
        "lost unsent": GONE,
        "10 s": "ASKING; write A",
        "180 s": f"{GONE}; close; write AAAAA",
    },
    Coke1994State.READY: {
        "dispense": "DISPENSING; write 2",
        "dispense empty": "READY; d2 BOARD_REFUSED",
        "lost": f"{GONE}; not ready",
        "lost unsent": f"{GONE}; not ready",
        "10 s": "ASKING; not ready; write AA",
        "180 s": f"{GONE}; not ready; close; write AAAAAA",
    },
    Coke1994State.DISPENSING: {
        "lost": f"{GONE}; d1 BOARD_LOST; not ready",
        "lost unsent": f"{GONE}; d1 BOARD_UNREACHABLE; not ready",
        "3.5 s": "CHECKING; write A",
        "10 s": "ASKING; d1 BOARD_SILENT; not ready; write AA",
        "180 s": f"{GONE}; d1 BOARD_SILENT; not ready; close; write AAAAAAA",
    },
    Coke1994State.CHECKING: {
        "status": "READY; d1 BOARD_SILENT",
        "lost": f"{GONE}; d1 BOARD_LOST; not ready",
        "lost unsent": f"{GONE}; d1 BOARD_LOST; not ready",
        "10 s": "ASKING; d1 BOARD_SILENT; not ready; write A",
        "180 s": f"{GONE}; d1 BOARD_SILENT; not ready; close; write AAAAAA",
    },
}
"""What follows; the state alone where a happening changes nothing."""


@pytest.mark.parametrize("happening", HAPPENINGS)
@pytest.mark.parametrize("state", Coke1994State)
def test_every_state_with_every_happening(state: Coke1994State, happening: str) -> None:
    board = in_state(state)
    busy = state in (Coke1994State.DISPENSING, Coke1994State.CHECKING)
    if busy and happening.startswith("dispense"):
        with pytest.raises(AssertionError, match="outstanding"):
            HAPPENINGS[happening](board)
        return
    HAPPENINGS[happening](board)
    assert happened(board) == TABLE[state].get(happening, state.name)


def checked(after: bytes, settings: BoardSettings = SETTINGS) -> BoardOutcome:
    board = in_state(Coke1994State.CHECKING, settings)
    board.receive(after)
    [ended] = board.ended
    return ended


INDEPENDENT = BoardSettings(
    url=SETTINGS.url, dialect="coke1994", max_slot=5, sensor_independent=True
)


def test_fault_57_a_slot_that_became_empty_proves_nothing_unless_declared() -> None:
    """Invariant 8: a sensor settles a drop only where it is declared independent of the command."""
    ended = checked(bytes([0b10110]))
    assert (ended.outcome, ended.cause) == (Outcome.UNKNOWN, Cause.BOARD_SILENT)
    assert ended.evidence.sensor_after is Sensor.EMPTY
    assert not ended.evidence.sensor_independent


def test_a_slot_that_became_empty_proves_the_drop_where_that_is_declared() -> None:
    ended = checked(bytes([0b10110]), INDEPENDENT)
    assert (ended.outcome, ended.cause) == (Outcome.DISPENSED, Cause.SENSOR)
    assert ended.evidence.sensor_independent
    assert (ended.evidence.sensor_before_ms, ended.evidence.sensor_after_ms) == (0, 3500)
    assert (ended.evidence.sensor_before, ended.evidence.sensor_after) == (
        Sensor.STOCKED,
        Sensor.EMPTY,
    )
    assert [line.text for line in ended.evidence.lines] == ["1", "A", "\\x16"]


@pytest.mark.parametrize("after", [0b10111, 0b00000, 0b10101])
def test_anything_else_proves_nothing(after: int) -> None:
    assert checked(bytes([after]), INDEPENDENT).cause is Cause.BOARD_SILENT


def test_fault_57_a_board_that_does_not_answer_has_not_proved_itself_idle() -> None:
    board = in_state(Coke1994State.CHECKING, INDEPENDENT)
    board.pass_s(INDEPENDENT.response_limit_s)
    assert [ended.cause for ended in board.ended] == [Cause.BOARD_SILENT]
    board.receive(bytes([0b10110]))
    assert [(late.drop, late.cause) for late in board.late] == [("d1", Cause.SENSOR)]
    board.receive(bytes([0b10110]))
    assert len(board.late) == 1


@pytest.mark.parametrize("settings", [SETTINGS, INDEPENDENT])
def test_fault_59_readings_over_another_connection_are_evidence_and_no_proof(
    settings: BoardSettings,
) -> None:
    board = in_state(Coke1994State.CHECKING, settings)
    board.lose()
    [ended] = board.ended
    assert ended.evidence.sensor_after is Sensor.UNSPECIFIED
    board.connect()
    board.receive(bytes([0b10110]))
    [late] = board.late
    assert (late.cause, late.evidence.sensor_after) == (Cause.BOARD_LOST, Sensor.EMPTY)


def test_fault_59_a_command_of_an_earlier_run_has_its_sensor_read() -> None:
    board = bench(INDEPENDENT)
    board.driver.recall(Recall("d1", 1, Sensor.STOCKED, Cause.AGENT_RESTARTED, 2000), board.now)
    board.connect()
    board.receive(bytes([0b10110]))
    [late] = board.late
    assert (late.drop, late.cause) == ("d1", Cause.AGENT_RESTARTED)
    assert late.evidence.sensor_after_ms == 2000


class TestQuestions:
    """A command and a request are never in the board's buffer together."""

    def asking(self) -> DriverBench:
        board = in_state(Coke1994State.READY)
        board.pass_s(SETTINGS.probe_interval_s)
        assert board.written == b"A"
        board.dispense("d1", 1)
        assert board.written == b"A"
        return board

    def test_fault_60_a_command_waits_for_the_answer_to_a_question(self) -> None:
        board = self.asking()
        board.receive(FULL)
        assert board.written == b"A1"

    def test_fault_60_a_command_is_not_sent_after_a_question_without_an_answer(self) -> None:
        board = self.asking()
        board.pass_s(SETTLE_LIMIT_S)
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_UNREACHABLE]
        board.receive(FULL)
        assert board.written == b"A"

    def test_fault_60_a_board_lost_meanwhile_gets_no_command(self) -> None:
        board = self.asking()
        board.lose()
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_UNREACHABLE]

    def test_only_one_command_is_held(self) -> None:
        board = self.asking()
        with pytest.raises(AssertionError, match="outstanding"):
            board.dispense("d2", 2)


def test_the_configuration_may_declare_that_sent_means_dispensed() -> None:
    settings = BoardSettings(
        url=SETTINGS.url, dialect="coke1994", max_slot=5, sent_means_dispensed=True
    )
    ended = checked(FULL, settings)
    assert (ended.outcome, ended.cause) == (Outcome.DISPENSED, Cause.DECLARED)
    board = in_state(Coke1994State.CHECKING, settings)
    board.pass_s(settings.response_limit_s)
    assert [ended.cause for ended in board.ended] == [Cause.BOARD_SILENT], "it must still answer"


def test_an_empty_slot_is_refused_without_a_byte() -> None:
    board = in_state(Coke1994State.READY)
    board.dispense("d1", 4)
    [ended] = board.ended
    assert ended.evidence.sensor_before is Sensor.EMPTY
    assert ended.evidence.sensor_after is Sensor.UNSPECIFIED
    assert board.written == b""


@pytest.mark.parametrize("slot", [0, 6])
def test_a_slot_the_board_has_not_is_not_sent(slot: int) -> None:
    board = in_state(Coke1994State.READY)
    board.dispense("d1", slot)
    assert [ended.cause for ended in board.ended] == [Cause.BOARD_UNREACHABLE]
    assert board.written == b""


def test_a_board_that_answers_stays_ready_for_ever() -> None:
    board = in_state(Coke1994State.READY)
    for _ in range(100):
        board.pass_s(SETTINGS.probe_interval_s)
        board.receive(FULL)
    assert state_of(board) is Coke1994State.READY
    assert board.written == b"A" * 100


def test_noise_leaves_few_lines_in_the_log() -> None:
    board = in_state(Coke1994State.READY)
    board.receive(b"\xff" * 10_000)
    assert len(board.notes) == 5
