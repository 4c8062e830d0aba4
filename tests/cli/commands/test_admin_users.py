import json

import pytest

from drink_cli.errors import Exit
from scripts.plan import UserPlan
from tests.cli.conftest import BOB, Drink


def test_a_user_is_made_and_logs_in(administrator: Drink) -> None:
    made = administrator("admin", "user", "add", "carol", "--password", typed="first-one\n")
    administrator("admin", "credits", "add", "carol", "80")

    assert made.output == "carol can spend 0 credits\n"
    assert (
        "carol can spend 80 credits"
        in administrator.login(UserPlan("carol", "first-one", 0)).output
    )


def test_a_user_that_is_there_is_not_made_again(administrator: Drink) -> None:
    assert administrator("admin", "user", "add", "BOB").exit_code == Exit.REFUSED
    assert administrator("admin", "user", "add", "no blanks").exit_code == Exit.USAGE
    assert administrator("admin", "user", "add", "dave", "--ibutton", "zz").exit_code == Exit.USAGE


def test_closing_somebody_tells_what_is_still_open(administrator: Drink) -> None:
    for name in ("gina", "hugo"):
        administrator("admin", "user", "add", name)
    administrator("admin", "credits", "add", "gina", "70")
    administrator("admin", "user", "change", "hugo", "--credit-limit", "50")

    closed = administrator("admin", "user", "change", "gina", "--close")
    as_json = administrator("--json", "admin", "user", "change", "hugo", "--close")
    again = administrator("admin", "user", "change", "gina", "--open")

    assert closed.output.endswith("; closed. Still open: 70 credits to pay out\n")
    assert json.loads(as_json.output)["open_drops"] == []
    assert "Still open" not in again.output


def test_a_closed_user_is_out_at_once_and_can_come_back(administrator: Drink) -> None:
    administrator("admin", "user", "add", "frank", "--password", typed="frank-one\n")
    administrator.login(UserPlan("frank", "frank-one", 0), "--profile", "frank")

    closed = administrator("admin", "user", "change", "frank", "--close")

    assert closed.output == "frank can spend 0 credits; closed\n"
    assert administrator("--profile", "frank", "balance").exit_code == Exit.LOGIN
    names = administrator("--json", "admin", "user", "list", "fr", "--open").output
    assert json.loads(names) == []
    again = administrator(
        "admin", "user", "add", "frank", "--reopen", "--password", typed="frank-two\n"
    )
    assert again.exit_code == 0
    administrator.login(UserPlan("frank", "frank-two", 0), "--profile", "frank")


def test_a_user_is_called_by_a_display_name(administrator: Drink) -> None:
    made = administrator(
        "admin", "user", "add", "ivan", "--password", "--display-name", "Ivan I.", typed="i-1\n"
    )
    administrator.login(UserPlan("ivan", "i-1", 0), "--profile", "ivan")

    said = administrator("--profile", "ivan", "whoami").output
    changed = administrator("admin", "user", "change", "ivan", "--display-name", "Ivan J.")
    listed = administrator("--json", "admin", "user", "list", "ivan").output
    table = administrator("admin", "user", "list", "ivan").output
    refused = administrator("admin", "user", "change", "ivan", "--display-name", "a\x1b[2J")
    removed = administrator("admin", "user", "change", "ivan", "--display-name", "")

    assert made.output == "ivan can spend 0 credits; called Ivan I.\n"
    assert said.startswith("Ivan I. (ivan), member, at ")
    assert changed.output == "ivan can spend 0 credits; called Ivan J.\n"
    assert [each["display_name"] for each in json.loads(listed)] == ["Ivan J."]
    assert "CALLED" in table
    assert "Ivan J." in table
    assert (refused.exit_code, "display_name" in refused.stderr) == (Exit.USAGE, True)
    assert removed.output == "ivan can spend 0 credits\n"


def test_the_last_administrator_stays_one(administrator: Drink) -> None:
    assert administrator("admin", "user", "change", "admin", "--no-admin").exit_code == Exit.REFUSED


def test_a_change_without_one_is_a_wrong_usage(administrator: Drink) -> None:
    assert administrator("admin", "user", "change", "bob").exit_code == Exit.USAGE
    both = ("--ibutton", "0" * 16, "--no-ibutton")
    assert administrator("admin", "user", "change", "bob", *both).exit_code == Exit.USAGE


def test_another_password_ends_the_logins_of_before(administrator: Drink) -> None:
    administrator("admin", "user", "add", "grace", "--password", typed="grace-one\n")
    administrator.login(UserPlan("grace", "grace-one", 0), "--profile", "grace")

    administrator("admin", "user", "password", "grace", typed="grace-two\n")

    assert administrator("--profile", "grace", "balance").exit_code == Exit.LOGIN
    administrator.login(UserPlan("grace", "grace-two", 0), "--profile", "grace")


def test_users_are_listed_by_name(administrator: Drink) -> None:
    everybody = json.loads(administrator("--json", "admin", "user", "list").output)

    names = [each["account"] for each in everybody]
    assert names == sorted(names)
    assert {"admin", "alice", "bob"} <= set(names)
    assert "bob can spend" in administrator("admin", "user", "show", "bob").output
    assert administrator("admin", "user", "show", "nobody").exit_code == Exit.NOT_FOUND


def test_credits_are_given_and_taken_back(administrator: Drink) -> None:
    before = json.loads(administrator("--json", "admin", "user", "show", "bob").output)["available"]

    given = json.loads(administrator("--json", "admin", "credits", "add", "bob", "70").output)
    taken = json.loads(administrator("--json", "admin", "credits", "add", "bob", "-70").output)

    assert (given["available"], taken["available"]) == (before + 70, before)


def test_a_repeated_gift_is_given_once(administrator: Drink) -> None:
    gift = ("--json", "admin", "credits", "add", "bob", "7", "--request-id", "gift-of-today")

    first, again = (json.loads(administrator(*gift).output)["available"] for _ in range(2))

    assert first == again


@pytest.mark.parametrize("number", ["0", "1000001", "x"])
def test_what_is_no_gift_is_refused(administrator: Drink, number: str) -> None:
    assert administrator("admin", "credits", "add", BOB.name, number).exit_code == Exit.USAGE


def test_credits_are_set_to_a_number_that_was_seen_before(administrator: Drink) -> None:
    def posted() -> int:
        shown = json.loads(administrator("--json", "admin", "user", "show", "bob").output)
        return int(shown["posted"])

    before = posted()
    change = ("admin", "credits", "set", "bob")
    stale = administrator(*change, "5", "--expected", str(before + 1))
    done = administrator(*change, "5", "--expected", str(before), "--why", "counted again")
    assert (stale.exit_code, done.exit_code, posted()) == (Exit.REFUSED, Exit.DONE, 5)
    administrator(*change, str(before), "--expected", "5")
    assert posted() == before


def test_a_user_may_owe_up_to_the_limit(administrator: Drink) -> None:
    before = json.loads(administrator("--json", "admin", "user", "show", "bob").output)
    changed = administrator("admin", "user", "change", "bob", "--credit-limit", "30")
    assert f"bob can spend {before['available'] + 30} credits" in changed.output
    assert "may owe 30" in changed.output
    wrong = administrator("admin", "user", "change", "bob", "--credit-limit", "-1")
    assert wrong.exit_code == Exit.USAGE
    administrator("admin", "user", "change", "bob", "--credit-limit", "0")


def test_a_user_is_renamed_and_erased_and_the_name_is_free(administrator: Drink) -> None:
    drink = administrator
    first = json.loads(drink("--json", "admin", "user", "add", "moved").output)
    renamed = json.loads(drink("--json", "admin", "user", "rename", "MOVED", "again").output)
    assert (renamed["account"], renamed["id"]) == ("again", first["id"])
    assert drink("admin", "user", "rename", "again", "alice").exit_code == Exit.REFUSED
    assert drink("admin", "user", "rename", "again", "a b").exit_code == Exit.USAGE
    assert drink("admin", "user", "erase", "again").exit_code == Exit.REFUSED
    assert drink("admin", "user", "change", "again", "--close").exit_code == Exit.DONE

    said = drink("admin", "user", "erase", "again")

    assert said.output == f"erased; in the books it is {first['id']}\n"
    assert drink("admin", "user", "show", "again").exit_code == Exit.NOT_FOUND
    assert drink("admin", "user", "show", first["id"]).exit_code == Exit.DONE
    assert drink("admin", "user", "add", "again").exit_code == Exit.DONE
