"""Users and their credits, from the command line."""

import sqlite3
from pathlib import Path

import pytest

from drink_frontend.domain.errors import CredentialsInvalidError
from tests.frontend.admin.conftest import Operator

SECRET = "correct-horse"


def test_a_user_with_a_password_can_log_in(operator: Operator) -> None:
    answer = operator.admin("user", "add", "alice", "--password", text=f"{SECRET}\n")
    assert SECRET not in answer
    account = operator.look(lambda drink: drink.accounts.login_password("alice", SECRET, "here"))
    assert (account.name, account.admin, account.available) == ("alice", False, 0)


def test_an_ibutton_logs_in(operator: Operator) -> None:
    operator.admin("user", "add", "alice", "--ibutton", "00AABBCCDDEEFF01")
    login = operator.look(lambda drink: drink.accounts.login_ibutton("00aabbccddeeff01", "here"))
    assert login.account.name == "alice"


def test_a_user_is_renamed_and_erased(operator: Operator) -> None:
    operator.admin("user", "add", "alice", "--password", text=f"{SECRET}\n")
    account = operator.look(lambda drink: drink.accounts.named("alice"))
    operator.admin("user", "rename", "Alice", "anna")
    found = operator.look(lambda drink: drink.accounts.login_password("ANNA", SECRET, "here"))
    assert (found.id, found.name) == (account.id, "anna")
    assert "ACCOUNT_OPEN" in operator.refused("user", "erase", "anna")
    operator.admin("user", "change", "anna", "--closed")
    assert operator.admin("user", "erase", "anna") == f"erased; in the books it is {account.id}\n"
    assert "anna" not in operator.admin("user", "list")
    operator.admin("user", "add", "anna")
    assert operator.look(lambda drink: drink.accounts.named("anna")).id != account.id


def test_a_user_is_called_by_a_display_name(operator: Operator) -> None:
    operator.admin("user", "add", "alice", "--display-name", "Alice A.")
    assert operator.admin("user", "list").splitlines()[1].endswith("  Alice A.")
    operator.admin("user", "change", "alice", "--display-name", "Alice B.")
    operator.admin("user", "change", "alice", "--credit-limit", "5")
    assert operator.admin("user", "list").splitlines()[1].endswith("  Alice B.")
    assert "display_name" in operator.refused("user", "change", "alice", "--display-name", "a\x1b")
    operator.admin("user", "change", "alice", "--display-name", "")
    assert "Alice" not in operator.admin("user", "list")


def test_cards_are_added_listed_and_removed(operator: Operator, tmp_path: Path) -> None:
    number = "04a2b3c4d5e6f708"
    operator.admin("user", "add", "alice")
    said = operator.refused("user", "add-card", "alice", text=f"{number}\n")
    assert said.startswith("CARD_KEY_UNAVAILABLE: ")
    key = tmp_path / "card.key"
    key.write_text("x" * 31, encoding="utf-8")
    operator.set("accounts.card_key_file", key)
    assert "it is no key for cards" in operator.refused("user", "list")
    key.write_text("x" * 32, encoding="utf-8")

    said = operator.admin("user", "add-card", "alice", "--label", "blue", text=f"{number}\n")
    card = said.split()[0]
    assert number not in said
    operator.admin("user", "add-card", "alice", "--barcode", text="4006381333931\n")

    first, second = operator.admin("user", "cards", "Alice").splitlines()[1:]
    assert first.startswith(f"{card}  chip")
    assert first.endswith("blue")
    assert "barcode" in second
    operator.admin("user", "remove-card", "alice", card)
    assert card not in operator.admin("user", "cards", "alice")
    assert "CARD_NOT_FOUND" in operator.refused("user", "remove-card", "alice", card)


def test_a_change_changes_what_is_given_and_nothing_else(operator: Operator) -> None:
    operator.admin("user", "add", "alice", "--password", text=f"{SECRET}\n")
    operator.admin("user", "change", "alice", "--admin")
    assert operator.look(lambda drink: drink.accounts.named("alice")).admin
    operator.admin("user", "change", "alice", "--password", text="battery-staple\n")
    account = operator.look(
        lambda drink: drink.accounts.login_password("alice", "battery-staple", "here")
    )
    assert account.admin
    assert "LAST_ADMINISTRATOR" in operator.refused("user", "change", "alice", "--closed")
    operator.admin("user", "change", "alice", "--closed", "--force")
    with pytest.raises(CredentialsInvalidError):
        operator.look(
            lambda drink: drink.accounts.login_password("alice", "battery-staple", "here")
        )
    operator.admin("user", "change", "alice", "--open")
    refused = operator.refused("user", "change", "alice", "--no-admin")
    assert refused == (
        "LAST_ADMINISTRATOR: alice is the last administrator; make another one first"
    )
    operator.admin("user", "change", "Alice", "--no-admin", "--force")
    assert not operator.look(lambda drink: drink.accounts.named("alice")).admin


def test_credits_below_zero_are_a_number_and_no_option(operator: Operator) -> None:
    operator.admin("user", "add", "alice")
    operator.admin("credits", "add", "alice", "500")
    said = operator.admin("credits", "add", "Alice", "-50", "--request-id", "back")
    assert said == "alice: 450 credits available, 0 held\n"
    assert operator.admin("credits", "add", "--request-id=back", "alice", "-50") == said
    assert operator.admin("credits", "add", "alice", "--", "-50").startswith("alice: 400 ")
    for wrong in (("alice", "-x"), ("alice", "--amount", "5"), ("alice", "5", "-9")):
        assert operator.type("admin", "credits", "add", *wrong).exit_code == 2


def test_a_gift_of_one_name_is_given_once_by_all_operators(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.admin("user", "add", "alice")
    for login in ("ann", "root", "ann"):
        monkeypatch.setenv("LOGNAME", login)
        monkeypatch.setenv("SUDO_USER", login)
        operator.admin("credits", "add", "alice", "500", "--request-id", "gift")
    assert operator.look(lambda drink: drink.accounts.named("alice")).available == 500
    assert "REQUEST_ID_REUSED" in operator.refused(
        "credits", "add", "alice", "9", "--request-id=gift"
    )


def test_what_release_0_1_0_left_is_told_by_verify_and_migrate(operator: Operator) -> None:
    operator.admin("user", "add", "alice")
    with sqlite3.connect(operator.settings.storage.path) as person:
        person.execute(
            "INSERT INTO accounts SELECT '~ALICE00001', kind, admin, closed, password_hash,"
            " ibutton_digest, created_ms, 0, 0, 0, 0, 0, 'Alice', NULL FROM accounts"
            " WHERE name = 'alice'"
        )
    person.close()
    note = "note: the accounts Alice and alice differ only in case"
    assert operator.admin("verify").startswith(note)
    migrated = operator.type("migrate")
    assert migrated.exit_code == 0
    assert migrated.stdout.startswith(note)
    assert "ACCOUNT_NOT_FOUND" in operator.refused("credits", "add", "ALICE", "5")
    operator.admin("credits", "add", "Alice", "5")


def test_credits_are_given_taken_back_and_listed(operator: Operator) -> None:
    operator.admin("user", "add", "alice")
    assert (
        operator.admin("credits", "add", "alice", "50") == "alice: 50 credits available, 0 held\n"
    )
    answer = operator.admin("credits", "add", "alice", "--", "-20")
    assert answer == "alice: 30 credits available, 0 held\n"
    header, line = operator.admin("user", "list").splitlines()
    columns = ["user", "available", "held", "admin", "closed", "owned", "limit", "called"]
    assert header.split() == columns
    assert line.split() == ["alice", "30", "0", "30", "0"]


def test_a_gift_with_a_name_is_given_once(operator: Operator) -> None:
    operator.admin("user", "add", "alice")
    for _ in range(2):
        answer = operator.admin("credits", "add", "alice", "50", "--request-id", "birthday")
    assert answer == "alice: 50 credits available, 0 held\n"
    refusal = operator.refused("credits", "add", "alice", "60", "--request-id", "birthday")
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
    operator: Operator, arguments: tuple[str, ...], text: str, reason: str
) -> None:
    operator.admin("user", "add", "bob")
    assert operator.refused(*arguments, text=text).startswith(f"{reason}: ")
    assert [
        account.name for account in operator.look(lambda drink: drink.accounts.list_users())
    ] == ["bob"]


def test_credits_are_set_if_they_are_what_was_expected(operator: Operator) -> None:
    operator.admin("user", "add", "alice")
    operator.admin("credits", "add", "alice", "50", "--why", "a gift")
    refusal = operator.refused("credits", "set", "alice", "7", "--expected", "51")
    assert refusal.startswith("BALANCE_CHANGED")
    answer = operator.admin("credits", "set", "alice", "7", "--expected", "50", "--why", "counted")
    assert answer == "alice: 7 credits available, 0 held\n"


def test_a_user_may_owe_up_to_the_limit(operator: Operator) -> None:
    operator.admin("user", "add", "alice")
    operator.admin("user", "change", "alice", "--credit-limit", "30", "--by", "ann")
    assert operator.admin("credits", "add", "alice", "--", "-30").startswith("alice: 0 credits")
    assert "INSUFFICIENT_CREDITS" in operator.refused("credits", "add", "alice", "--", "-1")
    assert operator.admin("user", "list").splitlines()[1].split() == [
        "alice",
        "0",
        "0",
        "-30",
        "30",
    ]
    assert operator.admin("verify") == "The books agree.\n"
