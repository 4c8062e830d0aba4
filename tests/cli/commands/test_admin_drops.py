import json

import pytest

from drink_cli.errors import Exit
from scripts.local_system import LocalSystem
from tests.cli.conftest import ALICE, Drink


@pytest.fixture
def unknown(administrator: Drink, system: LocalSystem) -> str:
    """A drop of Alice's whose outcome nobody can tell."""
    administrator.login(ALICE, "--profile", "alice")
    system.boards["d"].fault("silent", slot=1)
    lost = administrator("--json", "--profile", "alice", "drop", "d/1")
    assert lost.exit_code == Exit.UNKNOWN
    drop: str = json.loads(lost.output)["drop"]
    return drop


@pytest.mark.parametrize(
    ("fell", "said", "state"),
    [
        ("--dispensed", "alice pays 50 credits", "DISPENSED"),
        ("--not-dispensed", "alice has 50 credits back", "NOT_DISPENSED"),
    ],
)
def test_an_unknown_drop_is_decided_with_its_evidence(
    administrator: Drink, unknown: str, fell: str, said: str, state: str
) -> None:
    listed = administrator("admin", "drops", "list", "--state", "unknown").output
    assert unknown in listed
    evidence = administrator("admin", "drops", "show", unknown).output
    assert "BOARD_SILENT" in evidence

    why = ("--why", "I looked into the machine")
    decided = administrator("admin", "drops", "resolve", unknown, fell, *why)
    again = administrator("admin", "drops", "resolve", unknown, fell, *why)
    other = "--not-dispensed" if fell == "--dispensed" else "--dispensed"
    against = administrator("admin", "drops", "resolve", unknown, other, *why)

    assert decided.output == again.output == f"{unknown}: decided; {said}\n"
    assert against.exit_code == Exit.REFUSED
    shown = json.loads(administrator("--json", "admin", "drops", "show", unknown).output)
    assert (shown["state"], shown["cause"], shown["decided_by"]) == (state, "OPERATOR", "admin")
    assert shown["records"][-1]["facts"]["why"] == "I looked into the machine"


def test_a_decision_needs_a_reason(administrator: Drink, unknown: str) -> None:
    result = administrator("admin", "drops", "resolve", unknown, "--dispensed", "--why", " ")

    assert result.exit_code == Exit.USAGE


def test_a_drop_with_an_outcome_is_not_decided(administrator: Drink) -> None:
    administrator.login(ALICE, "--profile", "alice")
    bought = json.loads(administrator("--json", "--profile", "alice", "drop", "d/1").output)

    result = administrator(
        "admin", "drops", "resolve", bought["drop"], "--not-dispensed", "--why", "no"
    )

    assert result.exit_code == Exit.REFUSED


def test_what_is_not_there_is_told(administrator: Drink) -> None:
    assert (
        administrator("admin", "drops", "list", "--account", "nobody").exit_code == Exit.NOT_FOUND
    )
    assert administrator("admin", "drops", "list", "--state", "lost").exit_code == Exit.USAGE
    assert administrator("admin", "drops", "show", "0" * 26).exit_code == Exit.NOT_FOUND
