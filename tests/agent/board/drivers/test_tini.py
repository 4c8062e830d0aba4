"""The tini driver: every state with every event."""

import pytest

from drink_agent.board.drivers.tini import TiniState
from drink_agent.domain.events import BoardLateEvidence, BoardOutcome, BoardStatus
from tests.support.board_bench import DIAL_IN, FULL, WIRE, CloseStream, DriverBench, state_of
from tests.support.board_bench import desynced_bench as desynced
from tests.support.board_bench import dispensing_bench as dispensing
from tests.support.board_bench import ready_bench as ready
from tests.support.board_bench import tini_bench as bench


def in_state(state: TiniState) -> DriverBench:
    board = bench(DIAL_IN if state is TiniState.LOGIN else WIRE)
    if state is not TiniState.DISCONNECTED:
        board.connect()
    match state:
        case TiniState.REJECTED:
            board.receive(b"0wrong\n")
        case TiniState.READY:
            board = ready()
        case TiniState.DISPENSING:
            board = dispensing()
        case TiniState.SETTLING:
            board = dispensing()
            board.receive(b"4\n")
        case TiniState.DESYNCED:
            board = desynced()
    assert state_of(board) is state
    board.clear()
    return board


def happened(board: DriverBench) -> str:
    """Returns the state and the output as words."""
    words = [state_of(board).name]
    for effect in board.effects:
        match effect:
            case BoardOutcome(drop, cause, _):
                words.append(f"{drop} {cause}")
            case BoardLateEvidence(drop, cause, _):
                words.append(f"late {drop} {cause}")
            case BoardStatus(is_ready, sensors, degrees):
                about = f"{degrees} C" if degrees is not None else f"{len(sensors)} slots"
                words.append(f"{'ready' if is_ready else 'not ready'}, {about}")
            case CloseStream():
                words.append("close")
    if board.written:
        words.append(f"write {board.written.decode()!r}")
    return "; ".join(words)


HAPPENINGS = {
    "good login": lambda board: board.receive(b"0password\n"),
    "wrong login": lambda board: board.receive(b"0wrong\n"),
    "tail of a line": lambda board: board.receive(b"0`5 1\n"),
    "ack": lambda board: board.receive(b"4\n"),
    "nack": lambda board: board.receive(b"5\n"),
    "all slots": lambda board: board.receive(FULL),
    "idle": lambda board: board.show_idle(),
    "one slot": lambda board: board.receive(b"72 1\n"),
    "temperature": lambda board: board.receive(b"850\n"),
    "keep-alive": lambda board: board.receive(b"9\n"),
    "junk": lambda board: board.receive(b"\xff\x00x\n"),
    "echo": lambda board: board.receive(b"31\n1\n2\n6\n"),
    "dispense": lambda board: board.dispense("d2", 1),
    "lost": lambda board: board.lose(),
    "lost unsent": lambda board: board.lose(unsent=True),
    "10 s": lambda board: board.pass_s(10),
    "90 s": lambda board: board.pass_s(90),
    "180 s": lambda board: board.pass_s(180),
}

GONE = "DISCONNECTED"
REFUSED = "d2 BOARD_UNREACHABLE"
GREETED = r"write '1\n'"

TABLE: dict[TiniState, dict[str, str]] = {
    TiniState.DISCONNECTED: {"dispense": f"{GONE}; {REFUSED}"},
    TiniState.LOGIN: {
        "good login": f"PROBING; {GREETED}",
        "wrong login": rf"{GONE}; close; write '2\n'",
        "dispense": f"LOGIN; {REFUSED}",
        "lost": GONE,
        "lost unsent": GONE,
        "10 s": f"{GONE}; close",
        "90 s": f"{GONE}; close",
        "180 s": f"{GONE}; close",
    },
    TiniState.REJECTED: {
        "good login": f"PROBING; {GREETED}",
        "wrong login": r"REJECTED; write '2\n'",
        "dispense": f"REJECTED; {REFUSED}",
        "lost": GONE,
        "lost unsent": GONE,
        "180 s": f"{GONE}; close",
    },
    TiniState.PROBING: {
        "good login": f"PROBING; {GREETED}",
        "wrong login": r"REJECTED; write '2\n'",
        "all slots": "PROBING; not ready, 3 slots",
        "idle": r"READY; not ready, 3 slots; ready, 3 slots; write '6\n'",
        "one slot": "PROBING; not ready, 1 slots",
        "temperature": "PROBING; not ready, 10.0 C",
        "dispense": f"PROBING; {REFUSED}",
        "lost": GONE,
        "lost unsent": GONE,
        "10 s": r"PROBING; write '6\n'",
        "90 s": r"PROBING; write '6\n6\n6\n6\n'",
        "180 s": rf"{GONE}; close; write '6\n6\n6\n6\n6\n'",
    },
    TiniState.READY: {
        "good login": f"PROBING; not ready, 3 slots; {GREETED}",
        "wrong login": r"REJECTED; not ready, 3 slots; write '2\n'",
        "temperature": "READY; ready, 10.0 C",
        "dispense": r"DISPENSING; write '31\n'",
        "lost": f"{GONE}; not ready, 3 slots",
        "lost unsent": f"{GONE}; not ready, 3 slots",
        "90 s": r"SETTLING; write '6\n'",
        "180 s": rf"{GONE}; not ready, 3 slots; close; write '6\n6\n6\n6\n6\n6\n'",
    },
    TiniState.DISPENSING: {
        "good login": f"PROBING; d1 BOARD_LOST; not ready, 3 slots; {GREETED}",
        "wrong login": r"REJECTED; d1 BOARD_LOST; not ready, 3 slots; write '2\n'",
        "ack": "SETTLING; d1 BOARD_ACK",
        "nack": "SETTLING; d1 BOARD_REFUSED",
        "temperature": "DISPENSING; ready, 10.0 C",
        "lost": f"{GONE}; d1 BOARD_LOST; not ready, 3 slots",
        "lost unsent": f"{GONE}; d1 BOARD_UNREACHABLE; not ready, 3 slots",
        "10 s": r"DESYNCED; d1 BOARD_SILENT; not ready, 3 slots; write '6\n'",
        "90 s": r"DESYNCED; d1 BOARD_SILENT; not ready, 3 slots; write '6\n6\n6\n6\n6\n'",
        "180 s": "DISCONNECTED; d1 BOARD_SILENT; not ready, 3 slots; close; "
        r"write '6\n6\n6\n6\n6\n6\n'",
    },
    TiniState.SETTLING: {
        "good login": f"PROBING; not ready, 3 slots; {GREETED}",
        "wrong login": r"REJECTED; not ready, 3 slots; write '2\n'",
        "nack": "SETTLING; late d1 BOARD_REFUSED_LATE",
        "idle": r"READY; write '6\n6\n'",
        "temperature": "SETTLING; ready, 10.0 C",
        "lost": f"{GONE}; not ready, 3 slots",
        "lost unsent": f"{GONE}; not ready, 3 slots",
        "10 s": r"PROBING; not ready, 3 slots; write '6\n6\n6\n'",
        "90 s": r"PROBING; not ready, 3 slots; write '6\n6\n6\n6\n6\n6\n'",
        "180 s": rf"{GONE}; not ready, 3 slots; close; write '6\n6\n6\n6\n6\n6\n6\n'",
    },
    TiniState.DESYNCED: {
        "good login": f"PROBING; {GREETED}",
        "wrong login": r"REJECTED; write '2\n'",
        "ack": "SETTLING; late d1 BOARD_ACK_LATE; ready, 3 slots",
        "nack": "SETTLING; late d1 BOARD_REFUSED_LATE; ready, 3 slots",
        "idle": r"DESYNCED; late d1 BOARD_SILENT; write '6\n'",
        "temperature": "DESYNCED; not ready, 10.0 C",
        "dispense": f"DESYNCED; {REFUSED}",
        "lost": GONE,
        "lost unsent": GONE,
        "10 s": r"DESYNCED; write '6\n'",
        "90 s": r"DESYNCED; write '6\n6\n6\n6\n'",
        "180 s": rf"{GONE}; close; write '6\n6\n6\n6\n6\n'",
    },
}
"""What follows; the state alone where a happening changes nothing."""


@pytest.mark.parametrize("happening", HAPPENINGS)
@pytest.mark.parametrize("state", TiniState)
def test_every_state_with_every_happening(state: TiniState, happening: str) -> None:
    board = in_state(state)
    if (state, happening) == (TiniState.DISPENSING, "dispense"):
        with pytest.raises(AssertionError, match="outstanding"):
            HAPPENINGS[happening](board)
        return
    HAPPENINGS[happening](board)
    assert happened(board) == TABLE[state].get(happening, state.name)


def test_the_table_is_complete() -> None:
    assert TABLE.keys() == set(TiniState)
    assert all(row.keys() <= HAPPENINGS.keys() for row in TABLE.values())
