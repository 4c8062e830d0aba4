import json

from drink_cli.errors import Exit
from tests.cli.conftest import Drink


def test_credits_are_given_and_taken_back(administrator: Drink) -> None:
    before = json.loads(administrator("--json", "admin", "account", "bob").output)["available"]

    given = json.loads(administrator("--json", "admin", "credits", "bob", "70").output)
    taken = json.loads(administrator("--json", "admin", "credits", "bob", "-70").output)

    assert (given["available"], taken["available"]) == (before + 70, before)


def test_a_slot_is_changed(administrator: Drink) -> None:
    said = administrator(
        "admin", "slot", "d/2", "--item", "Tea", "--price", "55", "--available", "3", "--disable"
    ).output

    assert said == "d/2 sells Tea for 55 credits, 3 left, out of service\n"

    administrator(
        "admin", "slot", "d/2", "--item", "Dew", "--price", "50", "--available", "40", "--enable"
    )


def test_a_slot_without_a_change_is_a_wrong_usage(administrator: Drink) -> None:
    assert administrator("admin", "slot", "d/2").exit_code == Exit.USAGE


def test_everybodys_drops_are_shown(administrator: Drink) -> None:
    assert administrator("admin", "drops", "--state", "unknown").exit_code == 0
    assert administrator("admin", "drops", "--account", "nobody").exit_code == Exit.NOT_FOUND
    assert administrator("admin", "drops", "--state", "lost").exit_code == Exit.USAGE


def test_a_member_may_do_nothing_of_it(alice: Drink) -> None:
    for arguments in (
        ("account", "bob"),
        ("credits", "alice", "5"),
        ("slot", "d/1", "--price", "1"),
        ("drops",),
    ):
        assert alice("admin", *arguments).exit_code == Exit.FORBIDDEN
