import json

import pytest

from drink_cli.errors import Exit
from tests.cli.conftest import ALICE, Drink


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
    assert "cause BOARD_SILENT" in evidence
    assert "   +0.000 s  sent      31" in evidence

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


def test_the_buyers_word_is_kept_with_the_drop(administrator: Drink, unknown: str) -> None:
    report = ("--profile", "alice", "report", unknown)

    nothing = administrator(*report)
    said = administrator(*report, "--did-not-fall", "--text", "it hangs")

    assert nothing.exit_code == Exit.USAGE
    assert said.output == f"{unknown}: kept with the drop\n"
    shown = json.loads(administrator("--json", "admin", "drops", "show", unknown).output)
    assert shown["state"] == "UNKNOWN"
    # The board's silence may be recorded again after it.
    (reported,) = (each for each in shown["records"] if each["kind"] == "DROP_REPORTED")
    assert reported["facts"] == {"fell": False, "text": "it hangs"}


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


def test_everybodys_drops_are_selected_by_place_item_and_time(administrator: Drink) -> None:
    administrator.login(ALICE, "--profile", "alice")
    bought = json.loads(administrator("--json", "--profile", "alice", "drop", "d/1").output)

    def listed(*options: str) -> bool:
        return bought["drop"] in administrator("admin", "drops", "list", *options).output

    assert listed("--at", "d", "--item", "Coke", "--since", "2026-01-01", "--account", "alice")
    assert not listed("--at", "d/2")
    assert not listed("--before", "2026-01-01")


def test_who_may_refund_does_so_without_admin_too(administrator: Drink) -> None:
    administrator.login(ALICE, "--profile", "alice")
    bought = json.loads(administrator("--json", "--profile", "alice", "drop", "d/1").output)
    refund = ("refund", bought["drop"], "--why", "it was warm", "--request-id", "mine")

    given = administrator(*refund, "--credits", "20")
    again = administrator("--json", *refund, "--credits", "20")
    more = administrator("refund", bought["drop"], "--why", "all of it")

    assert given.output.endswith("alice has 20 of 50 credits back\n")
    assert json.loads(again.output)["refunded"] == 20
    assert more.exit_code == Exit.REFUSED
    below = administrator("refund", bought["drop"], "--why", "x", "--credits", "-1")
    assert below.exit_code == Exit.USAGE


def test_a_paid_drop_is_refunded_once(administrator: Drink) -> None:
    administrator.login(ALICE, "--profile", "alice")
    bought = json.loads(administrator("--json", "--profile", "alice", "drop", "d/1").output)
    refund = ("admin", "drops", "refund", bought["drop"], "--why", "it was warm")

    too_much = administrator(*refund, "--credits", "51")
    given = administrator(*refund, "--credits", "20", "--request-id", "back")
    again = administrator("--json", *refund, "--credits", "20", "--request-id", "back")
    more = administrator(*refund)

    assert too_much.exit_code == Exit.USAGE
    assert given.output == f"{bought['drop']}: alice has 20 of 50 credits back\n"
    assert json.loads(again.output)["refunded"] == 20
    assert more.exit_code == Exit.REFUSED
    shown = administrator("--profile", "alice", "show", bought["drop"]).output
    assert "You paid 50 credits and have 20 back." in shown
    entries = administrator("--json", "--profile", "alice", "history", "--entries").output
    assert [each["kind"] for each in json.loads(entries)][:3] == ["refund", "paid", "held"]
