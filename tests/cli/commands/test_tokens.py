"""Logins with some rights only, the list of logins, and their end."""

import json
from typing import Any

from drink_cli.errors import Exit
from tests.cli.conftest import ADMIN, ALICE, BOB, Drink


def logins(drink: Drink, *options: str) -> list[dict[str, Any]]:
    found = json.loads(drink("--json", *options, "tokens", "list").output)
    assert isinstance(found, list)
    return found


def login(drink: Drink, profile: str, *options: str) -> None:
    result = drink(
        *("--profile", profile, "login", BOB.name, "--server", drink.server, *options),
        typed=BOB.password,
    )
    assert result.exit_code == 0, result.output


def test_a_login_that_may_only_drop_drops_and_nothing_else(drink: Drink) -> None:
    login(drink, "phone", "--scope", "drop", "--name", "my phone")

    assert drink("--profile", "phone", "drop", "d/1").exit_code == Exit.DONE
    refused = drink("--profile", "phone", "balance")
    assert refused.exit_code == Exit.FORBIDDEN
    assert "DROP" in refused.stderr
    assert drink("--profile", "phone", "logout").exit_code == Exit.DONE


def test_a_login_that_may_only_look_buys_nothing(drink: Drink) -> None:
    login(drink, "wall", "--scope", "read", "--name", "the wall")

    assert drink("--profile", "wall", "balance").exit_code == Exit.DONE
    assert drink("--profile", "wall", "drop", "d/1").exit_code == Exit.FORBIDDEN
    (mine,) = [each for each in logins(drink, "--profile", "wall") if each["current"]]
    assert (mine["scope"], mine["name"]) == ("read", "the wall")


def test_logins_are_shown_without_their_tokens(drink: Drink) -> None:
    login(drink, "laptop", "--name", "the laptop")

    shown = drink("--profile", "laptop", "tokens", "list").output

    assert "the laptop" in shown
    assert "all" in shown
    assert "yes" in shown


def test_a_login_is_ended(drink: Drink) -> None:
    login(drink, "one")
    login(drink, "two", "--name", "two")
    (two,) = [each["token"] for each in logins(drink, "--profile", "two") if each["current"]]

    assert drink("--profile", "one", "tokens", "revoke", two).exit_code == Exit.DONE

    assert drink("--profile", "two", "whoami").exit_code == Exit.LOGIN
    assert drink("--profile", "one", "tokens", "revoke", two).exit_code == Exit.NOT_FOUND
    assert drink("--profile", "one", "tokens", "revoke", "x").exit_code == Exit.USAGE
    assert drink("--profile", "one", "tokens", "revoke").exit_code == Exit.USAGE


def test_all_others_are_ended(drink: Drink) -> None:
    login(drink, "one")
    login(drink, "two")

    said = drink("--profile", "one", "tokens", "revoke", "--others")

    assert said.output.endswith("ended\n")
    assert len(logins(drink, "--profile", "one")) == 1
    assert drink("--profile", "two", "whoami").exit_code == Exit.LOGIN
    assert drink("--profile", "one", "tokens", "revoke", "--all").output == "1 login ended\n"
    assert drink("--profile", "one", "whoami").exit_code == Exit.LOGIN


def test_an_administrator_sees_and_ends_those_of_others(drink: Drink) -> None:
    drink.login(ADMIN)
    login(drink, "bob")
    assert drink("tokens", "list", "--account", "bob").exit_code == Exit.DONE
    assert drink("--profile", "bob", "tokens", "list", "--account", "alice").exit_code == (
        Exit.FORBIDDEN
    )
    assert drink("tokens", "revoke", "--all", "--account", "bob").exit_code == Exit.DONE
    assert drink("--profile", "bob", "whoami").exit_code == Exit.LOGIN
    assert drink("tokens", "list", "--account", "nobody").exit_code == Exit.NOT_FOUND


def test_an_unknown_scope_is_wrong_usage(drink: Drink) -> None:
    result = drink("login", ALICE.name, "--server", drink.server, "--scope", "everything")
    assert result.exit_code == Exit.USAGE
