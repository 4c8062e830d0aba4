"""The 1994 board's driver: every state with everything that can happen in it, and its evidence."""

import pytest

from drink_agent.board.coke1994 import Coke1994Driver, State
from drink_agent.board.port import CloseStream, DispenseEnded, StatusChanged
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.evidence import Cause, Outcome, Sensor
from tests.fakes.board_bench import DriverBench

SETTINGS = BoardSettings(url="serial:///dev/ttyS0", dialect="coke1994", max_slot=5)
FULL = bytes([0b10111])


def bench(settings: BoardSettings = SETTINGS) -> DriverBench:
    return DriverBench(Coke1994Driver(settings))


def state_of(board: DriverBench) -> State:
    assert isinstance(board.driver, Coke1994Driver)
    return board.driver.state


def in_state(state: State, settings: BoardSettings = SETTINGS) -> DriverBench:
    board = bench(settings)
    if state is not State.DISCONNECTED:
        board.connect()
    if state not in (State.DISCONNECTED, State.ASKING):
        board.hear(FULL)
    if state in (State.DISPENSING, State.CHECKING):
        board.dispense("d1", 1)
    if state is State.CHECKING:
        board.pass_s(SETTINGS.motor_s)
    assert state_of(board) is state
    board.clear()
    return board


def happened(board: DriverBench) -> str:
    words = [state_of(board).name]
    for effect in board.effects:
        match effect:
            case DispenseEnded(drop_id, _, cause, _):
                words.append(f"{drop_id} {cause}")
            case StatusChanged(is_ready):
                words.append("ready" if is_ready else "not ready")
            case CloseStream():
                words.append("close")
    if board.written:
        words.append(f"write {board.written.decode()}")
    return "; ".join(words)


HAPPENINGS = {
    "status": lambda board: board.hear(FULL),
    "noise": lambda board: board.hear(b"\xff"),
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
TABLE = {
    State.DISCONNECTED: dict.fromkeys(HAPPENINGS, GONE)
    | {"dispense": f"{GONE}; {DOWN}", "dispense empty": f"{GONE}; {DOWN}"},
    State.ASKING: {
        "status": "READY; ready",
        "noise": "ASKING",
        "dispense": f"ASKING; {DOWN}",
        "dispense empty": f"ASKING; {DOWN}",
        "lost": GONE,
        "lost unsent": GONE,
        "3.5 s": "ASKING",
        "10 s": "ASKING; write A",
        "180 s": f"{GONE}; close; write AAAAA",
    },
    State.READY: {
        "status": "READY",
        "noise": "READY",
        "dispense": "DISPENSING; write 2",
        "dispense empty": "READY; d2 BOARD_REFUSED",
        "lost": f"{GONE}; not ready",
        "lost unsent": f"{GONE}; not ready",
        "3.5 s": "READY",
        "10 s": "ASKING; not ready; write AA",
        "180 s": f"{GONE}; not ready; close; write AAAAAA",
    },
    State.DISPENSING: {
        "status": "DISPENSING",
        "noise": "DISPENSING",
        "lost": f"{GONE}; d1 BOARD_LOST; not ready",
        "lost unsent": f"{GONE}; d1 BOARD_UNREACHABLE; not ready",
        "3.5 s": "CHECKING; write A",
        "10 s": "ASKING; d1 BOARD_SILENT; not ready; write AA",
        "180 s": f"{GONE}; d1 BOARD_SILENT; not ready; close; write AAAAAAA",
    },
    State.CHECKING: {
        "status": "READY; d1 BOARD_SILENT",
        "noise": "CHECKING",
        "lost": f"{GONE}; d1 BOARD_LOST; not ready",
        "lost unsent": f"{GONE}; d1 BOARD_LOST; not ready",
        "3.5 s": "CHECKING",
        "10 s": "ASKING; d1 BOARD_SILENT; not ready; write A",
        "180 s": f"{GONE}; d1 BOARD_SILENT; not ready; close; write AAAAAA",
    },
}


@pytest.mark.parametrize("happening", HAPPENINGS)
@pytest.mark.parametrize("state", State)
def test_every_state_with_every_happening(state: State, happening: str) -> None:
    board = in_state(state)
    if state in (State.DISPENSING, State.CHECKING) and happening.startswith("dispense"):
        with pytest.raises(AssertionError, match="outstanding"):
            HAPPENINGS[happening](board)
        return
    HAPPENINGS[happening](board)
    assert happened(board) == TABLE[state][happening]


def checked(after: bytes, settings: BoardSettings = SETTINGS) -> DispenseEnded:
    board = in_state(State.CHECKING, settings)
    board.hear(after)
    [ended] = board.ended
    return ended


def test_a_slot_that_became_empty_proves_the_drop() -> None:
    ended = checked(bytes([0b10110]))
    assert (ended.outcome, ended.cause) == (Outcome.DISPENSED, Cause.SENSOR)
    assert (ended.evidence.sensor_before, ended.evidence.sensor_after) == (
        Sensor.STOCKED,
        Sensor.EMPTY,
    )
    assert [line.text for line in ended.evidence.lines] == ["1", "A", "\\x16"]


@pytest.mark.parametrize("after", [0b10111, 0b00000, 0b10101])
def test_anything_else_proves_nothing(after: int) -> None:
    assert checked(bytes([after])).cause is Cause.BOARD_SILENT


def test_the_configuration_may_declare_that_sent_means_dispensed() -> None:
    settings = BoardSettings(
        url=SETTINGS.url, dialect="coke1994", max_slot=5, sent_means_dispensed=True
    )
    ended = checked(FULL, settings)
    assert (ended.outcome, ended.cause) == (Outcome.DISPENSED, Cause.DECLARED)
    board = in_state(State.CHECKING, settings)
    board.pass_s(settings.response_limit_s)
    assert [ended.cause for ended in board.ended] == [Cause.BOARD_SILENT], "it must still answer"


def test_an_empty_slot_is_refused_without_a_byte() -> None:
    board = in_state(State.READY)
    board.dispense("d1", 4)
    [ended] = board.ended
    assert ended.evidence.sensor_before is Sensor.EMPTY
    assert board.written == b""


@pytest.mark.parametrize("slot", [0, 6])
def test_a_slot_the_board_has_not_is_not_sent(slot: int) -> None:
    board = in_state(State.READY)
    board.dispense("d1", slot)
    assert [ended.cause for ended in board.ended] == [Cause.BOARD_UNREACHABLE]
    assert board.written == b""


def test_a_board_that_answers_stays_ready_for_ever() -> None:
    board = in_state(State.READY)
    for _ in range(100):
        board.pass_s(SETTINGS.probe_interval_s)
        board.hear(FULL)
    assert state_of(board) is State.READY
    assert board.written == b"A" * 100


def test_noise_leaves_few_lines_in_the_log() -> None:
    board = in_state(State.READY)
    board.hear(b"\xff" * 10_000)
    assert len(board.notes) == 5
