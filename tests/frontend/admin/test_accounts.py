"""Users and their credits, from the command line."""

import sqlite3

import pytest

from drink_frontend.domain.errors import CredentialsInvalidError
from tests.frontend.admin.conftest import Desk

SECRET = "correct-horse"


def test_a_user_with_a_password_can_log_in(desk: Desk) -> None:
    answer = desk.admin("user", "add", "alice", "--password", text=f"{SECRET}\n")
    assert SECRET not in answer
    account = desk.look(lambda drink: drink.accounts.login_password("alice", SECRET, "here"))
    assert (account.name, account.admin, account.available) == ("alice", False, 0)


def test_an_ibutton_logs_in(desk: Desk) -> None:
    desk.admin("user", "add", "alice", "--ibutton", "00AABBCCDDEEFF01")
    account = desk.look(lambda drink: drink.accounts.login_ibutton("00aabbccddeeff01", "here"))
    assert account.name == "alice"


def test_a_change_changes_what_is_given_and_nothing_else(desk: Desk) -> None:
    desk.admin("user", "add", "alice", "--password", text=f"{SECRET}\n")
    desk.admin("user", "change", "alice", "--admin")
    assert desk.look(lambda drink: drink.accounts.balance("alice")).admin
    desk.admin("user", "change", "alice", "--password", text="battery-staple\n")
    account = desk.look(
        lambda drink: drink.accounts.login_password("alice", "battery-staple", "here")
    )
    assert account.admin
    assert "LAST_ADMINISTRATOR" in desk.refused("user", "change", "alice", "--closed")
    desk.admin("user", "change", "alice", "--closed", "--force")
    with pytest.raises(CredentialsInvalidError):
        desk.look(lambda drink: drink.accounts.login_password("alice", "battery-staple", "here"))
    desk.admin("user", "change", "alice", "--open")
    refused = desk.refused("user", "change", "alice", "--no-admin")
    assert refused == (
        "LAST_ADMINISTRATOR: alice is the last administrator; make another one first"
    )
    desk.admin("user", "change", "Alice", "--no-admin", "--force")
    assert not desk.look(lambda drink: drink.accounts.balance("alice")).admin


def test_credits_below_zero_are_a_number_and_no_option(desk: Desk) -> None:
    desk.admin("user", "add", "alice")
    desk.admin("credits", "add", "alice", "500")
    said = desk.admin("credits", "add", "Alice", "-50", "--request-id", "back")
    assert said == "alice: 450 credits available, 0 held\n"
    assert desk.admin("credits", "add", "--request-id=back", "alice", "-50") == said
    assert desk.admin("credits", "add", "alice", "--", "-50").startswith("alice: 400 ")
    for wrong in (("alice", "-x"), ("alice", "--amount", "5"), ("alice", "5", "-9")):
        assert desk.type("admin", "credits", "add", *wrong).exit_code == 2


def test_a_gift_of_one_name_is_given_once_by_all_operators(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.admin("user", "add", "alice")
    for login in ("ann", "root", "ann"):
        monkeypatch.setenv("LOGNAME", login)
        monkeypatch.setenv("SUDO_USER", login)
        desk.admin("credits", "add", "alice", "500", "--request-id", "gift")
    assert desk.look(lambda drink: drink.accounts.balance("alice")).available == 500
    assert "REQUEST_ID_REUSED" in desk.refused("credits", "add", "alice", "9", "--request-id=gift")


def test_what_release_0_1_0_left_is_told_by_verify_and_migrate(desk: Desk) -> None:
    desk.admin("user", "add", "alice")
    with sqlite3.connect(desk.settings.storage.path) as person:
        person.execute(
            "INSERT INTO accounts SELECT 'Alice', kind, admin, closed, password_hash,"
            " ibutton_digest, created_ms, 0, 0, 0, 0 FROM accounts WHERE name = 'alice'"
        )
    person.close()
    note = "note: the accounts Alice and alice differ only in case"
    assert desk.admin("verify").startswith(note)
    migrated = desk.type("migrate")
    assert migrated.exit_code == 0
    assert migrated.stdout.startswith(note)
    assert "ACCOUNT_NOT_FOUND" in desk.refused("credits", "add", "ALICE", "5")
    desk.admin("credits", "add", "Alice", "5")


def test_credits_are_given_taken_back_and_listed(desk: Desk) -> None:
    desk.admin("user", "add", "alice")
    assert desk.admin("credits", "add", "alice", "50") == "alice: 50 credits available, 0 held\n"
    answer = desk.admin("credits", "add", "alice", "--", "-20")
    assert answer == "alice: 30 credits available, 0 held\n"
    header, line = desk.admin("user", "list").splitlines()
    assert header.split() == ["user", "available", "held", "admin", "closed"]
    assert line.split() == ["alice", "30", "0"]


def test_a_gift_with_a_name_is_given_once(desk: Desk) -> None:
    desk.admin("user", "add", "alice")
    for _ in range(2):
        answer = desk.admin("credits", "add", "alice", "50", "--request-id", "birthday")
    assert answer == "alice: 50 credits available, 0 held\n"
    refusal = desk.refused("credits", "add", "alice", "60", "--request-id", "birthday")
    assert refusal.startswith("REQUEST_ID_REUSED")


@pytest.mark.parametrize(
    ("arguments", "text", "reason"),
    [
        (("user", "add", "no blanks"), "", "FIELD_INVALID"),
        (("user", "add", "bob"), "", "ALREADY_EXISTS"),
        (("user", "add", "carol", "--ibutton", "12"), "", "FIELD_INVALID"),
        (("user", "add", "carol", "--password"), "\n", "FIELD_INVALID"),
        (("user", "change", "nobody", "--admin"), "", "ACCOUNT_NOT_FOUND"),
        (("credits", "add", "nobody", "5"), "", "ACCOUNT_NOT_FOUND"),
        (("credits", "add", "bob", "0"), "", "FIELD_INVALID"),
        (("credits", "add", "bob", "2000000"), "", "FIELD_INVALID"),
        (("credits", "add", "bob", "--", "-1"), "", "INSUFFICIENT_CREDITS"),
    ],
)
def test_bad_input_is_refused_with_its_reason(
    desk: Desk, arguments: tuple[str, ...], text: str, reason: str
) -> None:
    desk.admin("user", "add", "bob")
    assert desk.refused(*arguments, text=text).startswith(f"{reason}: ")
    assert [account.name for account in desk.look(lambda drink: drink.accounts.list_users())] == [
        "bob"
    ]
