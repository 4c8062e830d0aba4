import csv
import io
import json
import time
from typing import Any

import pytest

from drink_cli.commands.stats import NUMBERS
from drink_cli.errors import Exit
from tests.cli.conftest import ADMIN, ALICE, BOB, Drink

LIMIT_S = 20


def mine(drink: Drink) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(drink("--json", "stats").stdout)
    return found


@pytest.fixture
def bought(alice: Drink) -> Drink:
    """Alice has just bought one more Coke, and it is counted."""
    before = mine(alice)["ever"]["dispensed"]
    assert alice("drop", "d/1").exit_code == 0
    end = time.monotonic() + LIMIT_S
    while mine(alice)["ever"]["dispensed"] == before:
        assert time.monotonic() < end, "the drop is not counted"
    assert mine(alice)["ever"]["dispensed"] == before + 1
    return alice


def test_ones_own_numbers_are_shown(bought: Drink) -> None:
    found = mine(bought)
    assert found["streak_days"] == found["longest_streak_days"] == 1
    assert (found["time_zone"], found["complete"]) == ("UTC", True)
    # Cokes and Dews cost 50.
    assert found["week"]["spent"] == 50 * found["week"]["dispensed"]
    lines = bought("stats").output.splitlines()
    assert lines[0].split() == ["TIME", *NUMBERS.values()]
    assert [line.split()[0] for line in lines[1:5]] == ["week", "month", "year", "ever"]
    assert lines[5].startswith("days in a row with something: 1, ")


def test_the_items_of_a_month_are_shown(bought: Drink) -> None:
    month = mine(bought)["today"][:7]
    rows = json.loads(bought("--json", "stats", "--month", month).stdout)
    assert sum(row["dispensed"] for row in rows) == mine(bought)["month"]["dispensed"]
    assert ("d", "Coke") in {(row["machine"], row["item"]) for row in rows}
    assert bought("stats", "--machine", "ld").stdout == "nothing was bought\n"
    assert "Coke" in bought("stats", "--machine", "d").stdout
    assert bought("stats", "--month", "1999-01").stdout == "nothing was bought\n"
    assert bought("stats", "--machine", "none").exit_code == Exit.NOT_FOUND
    for wrong in ("2026-13", "2026", "november", "0000-01"):
        assert bought("stats", "--month", wrong).exit_code == Exit.USAGE


@pytest.mark.parametrize("by", ["item", "machine", "day", "hour", "account"])
def test_operators_see_who_sold_what(bought: Drink, by: str) -> None:
    month = mine(bought)["today"][:7]
    bought.login(ADMIN)
    shown = ("admin", "stats", "--month", month, "--by", by)
    rows = json.loads(bought("--json", *shown).stdout)
    everything = json.loads(bought("--json", "admin", "stats", "--month", month).stdout)
    assert sum(row["spent"] for row in rows) == sum(row["spent"] for row in everything) > 0
    written = list(csv.DictReader(io.StringIO(bought(*shown, "--csv").stdout)))
    assert [int(row["spent"]) for row in written] == [row["spent"] for row in rows]
    assert {row["month"] for row in written} == {month}
    assert bought(*shown).output.split()[0] == {
        "item": "MACHINE",
    }.get(by, by.upper())


def test_operators_see_the_last_month_unless_they_say_another(bought: Drink) -> None:
    bought.login(ADMIN)
    assert bought("admin", "stats").stdout.startswith("nothing was sold in 20")
    month = mine(bought)["today"][:7]
    of_alice = ("admin", "stats", "--month", month, "--account", "alice")
    assert "Coke" in bought(*of_alice).stdout
    assert bought("--json", *of_alice, "--csv").exit_code == Exit.USAGE
    assert bought("admin", "stats", "--account", "nobody").exit_code == Exit.NOT_FOUND
    refused = bought(*of_alice, "--by", "account")
    assert refused.exit_code == Exit.USAGE


def test_members_see_no_others(drink: Drink) -> None:
    drink.login(BOB)
    for options in (("--by", "account"), ("--account", ALICE.name)):
        assert drink("admin", "stats", *options).exit_code == Exit.FORBIDDEN
