import json

import pytest

from drink_cli.errors import Exit
from scripts.local_system import LocalSystem
from tests.cli.conftest import ADMIN, ALICE, BOB, Drink


def test_a_login_lasts_for_the_commands_that_follow(drink: Drink) -> None:
    said = drink.login(BOB).output

    assert "bob can spend" in said
    assert BOB.password not in said
    assert drink("whoami").output.startswith("bob, member, at ")


def test_a_wrong_password_is_told_and_changes_nothing(drink: Drink) -> None:
    drink.login(BOB)

    result = drink("login", "alice", typed="wrong")

    assert result.exit_code == Exit.LOGIN
    assert drink("whoami").output.startswith("bob")


def test_without_a_login_the_way_to_it_is_told(drink: Drink) -> None:
    result = drink("balance")

    assert result.exit_code == Exit.LOGIN
    assert "drink login" in result.stderr


def test_a_token_that_the_server_does_not_know_is_told(
    drink: Drink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRINK_SERVER", drink.server)
    monkeypatch.setenv("DRINK_TOKEN", "nobodys")

    result = drink("balance")

    assert result.exit_code == Exit.LOGIN
    assert "nobodys" not in result.output


def test_after_a_logout_nobody_is_logged_in(alice: Drink) -> None:
    assert alice("logout").exit_code == 0
    assert alice("balance").exit_code == Exit.LOGIN
    assert "nobody was logged in" in alice("logout").output


def test_two_profiles_have_a_login_each(drink: Drink) -> None:
    drink.login(ALICE)
    drink.login(ADMIN, "--profile", "root")

    assert drink("whoami").output.startswith("alice, member")
    assert drink("--profile", "root", "whoami").output.startswith("admin, administrator")


def test_credits_are_sent(alice: Drink, system: LocalSystem) -> None:
    before = json.loads(alice("--json", "balance").output)

    said = json.loads(alice("--json", "send", "5", "bob").output)

    assert (said["sent"], said["to"]) == (5, "bob")
    assert said["available"] == before["available"] - 5


def test_more_than_there_is_is_not_sent(alice: Drink) -> None:
    assert alice("send", "999999", "bob").exit_code == Exit.REFUSED
    assert alice("send", "5", "nobody").exit_code == Exit.NOT_FOUND
    assert alice("send", "0", "bob").exit_code == Exit.USAGE
