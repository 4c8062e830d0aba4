"""What explains an UNKNOWN drop, and what does not."""

from dataclasses import replace

import pytest

from tests.soak.explain import unexplained
from tests.soak.history import Fault
from tests.soak.test_check import BOUGHT, DOUBTFUL, moves

ARMED = Fault("board: silent", "s", 900, 900, slot=1)


def lost(cause: str) -> object:
    """The cause of a drop that was dispatched at 1100 and given up at 1200."""
    return replace(
        DOUBTFUL, cause=cause, moves=moves("RESERVED", "DISPATCHED", "UNKNOWN", cause=cause)
    )


@pytest.mark.parametrize(
    ("cause", "fault", "explained"),
    [
        ("BOARD_SILENT", ARMED, True),
        ("BOARD_SILENT", replace(ARMED, slot=2), False),
        ("BOARD_SILENT", replace(ARMED, machine="d"), False),
        ("BOARD_SILENT", replace(ARMED, start_ms=1201), False),
        ("BOARD_SILENT", replace(ARMED, kind="board: refuse"), False),
        ("BOARD_SILENT", Fault("network: stall", "s", 1000, 3000), False),
        ("BOARD_LOST", Fault("board: kill -9", "s", 1150, 1300), True),
        ("BOARD_LOST", Fault("board: kill -9", "s", 1201, 1300), False),
        ("AGENT_RESTARTED", Fault("kill -9", "s", 1150, 1300), True),
        ("AGENT_RESTARTED", Fault("kill -9", "", 1150, 1300), False),
        ("AGENT_LOST", Fault("kill -9", "", 1150, 1300), True),
        ("AGENT_LOST", Fault("network: cut", "s", 1150, 1150), True),
        ("AGENT_LOST", Fault("network: cut", "", 1150, 1150), False),
        ("JOURNAL_REPLACED", Fault("kill -9", "s", 1150, 1300), False),
        ("JOURNAL_REPLACED", Fault("wipe the journal", "s", 1150, 1300), True),
        ("UNRECOGNIZED", Fault("kill -9", "s", 1150, 1300), False),
    ],
)
def test_a_cause_needs_its_own_fault_in_time(cause: str, fault: Fault, explained: bool) -> None:
    assert bool(list(unexplained([lost(cause)], [fault]))) is not explained  # type: ignore[list-item]


def test_one_fault_of_a_slots_next_command_explains_one_drop() -> None:
    second = replace(DOUBTFUL, id="second", created_ms=1001)
    assert [text.split()[1] for text in unexplained([DOUBTFUL, second], [ARMED])] == ["second"]
    assert list(unexplained([DOUBTFUL, second], [ARMED, ARMED])) == []


def test_what_never_was_unknown_needs_no_explanation() -> None:
    assert list(unexplained([BOUGHT], [])) == []
