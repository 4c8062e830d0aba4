import json

import pytest

from drink_cli.errors import Exit
from drink_cli.profile import load_profile, make_profile, save_profile
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


def test_a_logout_ends_the_login_at_the_server(
    alice: Drink, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = load_profile().token()

    alice("logout")

    monkeypatch.setenv("DRINK_TOKEN", token)
    assert alice("balance").exit_code == Exit.LOGIN


def test_a_logout_without_the_server_forgets_the_token_and_says_so(alice: Drink) -> None:
    save_profile(make_profile("default", "127.0.0.1:1", None, plain=False))

    assert alice("logout").exit_code == Exit.UNREACHABLE
    assert load_profile().token() == ""


def test_another_password_ends_every_other_login(drink: Drink) -> None:
    drink.login(BOB)
    drink.login(BOB, "--profile", "other")

    result = drink("password", typed=f"{BOB.password}\nanother-one\n")

    assert result.output == "the password is changed; every other login has ended\n"
    assert drink("balance").exit_code == 0
    assert drink("--profile", "other", "balance").exit_code == Exit.LOGIN
    assert drink("password", typed=f"another-one\n{BOB.password}\n").exit_code == 0


def test_the_password_of_now_is_asked_for(drink: Drink) -> None:
    drink.login(BOB)

    assert drink("password", typed="wrong\nanother-one\n").exit_code == Exit.LOGIN
    assert drink("password", typed=f"{BOB.password}\nno blanks\n").exit_code == Exit.USAGE
    drink.login(BOB)
