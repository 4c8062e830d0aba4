"""Setting up a house from a file."""

from pathlib import Path

import pytest

from tests.frontend.admin.conftest import Operator

DEMO = """
[[machines]]
name = "d"
display_name = "Big Drink"
location = "NRH (North)"
token_file = "d.token"
[[machines.slots]]
number = 1
item = "Coke"
price = 50
available = 10
[[users]]
name = "alice"
password = "correct-horse"
credits = 500
[[users]]
name = "root"
ibutton = "00aabbccddeeff01"
admin = true
"""


SLOT = "[[machines]]\nname = 'd'\ndisplay_name = 'D'\n[[machines.slots]]\n{}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A house to set up."""
    path = tmp_path / "house.toml"
    path.write_text(DEMO)
    return path


def test_everything_in_the_file_is_made(operator: Operator, file: Path) -> None:
    assert "correct-horse" not in operator.admin("import", str(file))
    machine = operator.look(lambda drink: drink.machines.get("d"))
    assert machine.display_name == "Big Drink"
    assert [(slot.item, slot.price, slot.on_hand) for slot in machine.slots] == [("Coke", 50, 10)]
    alice = operator.look(
        lambda drink: drink.accounts.login_password("alice", "correct-horse", "x")
    )
    assert alice.available == 500
    login = operator.look(lambda drink: drink.accounts.login_ibutton("00AABBCCDDEEFF01", "x"))
    assert login.account.admin
    token = file.with_name("d.token")
    assert token.stat().st_mode & 0o777 == 0o600
    assert (
        operator.look(lambda drink: drink.machines.authenticate(token.read_text().strip())) == "d"
    )


def test_a_file_may_begin_with_a_byte_order_mark(operator: Operator, file: Path) -> None:
    file.write_text("\ufeff" + DEMO, encoding="utf-8", newline="\r\n")
    operator.admin("import", str(file))
    assert operator.look(lambda drink: drink.machines.get("d")).display_name == "Big Drink"


def test_a_second_import_changes_nothing_and_gives_nothing_twice(
    operator: Operator, file: Path
) -> None:
    operator.admin("import", str(file))
    token = file.with_name("d.token").read_text()
    operator.admin("slot", "change", "d", "1", "--price", "45", "--available", "3")
    operator.admin("import", str(file))

    slot = operator.look(lambda drink: drink.machines.get("d")).slots[0]
    assert (slot.price, slot.on_hand) == (45, 3)
    assert operator.look(lambda drink: drink.accounts.named("alice")).available == 500
    assert file.with_name("d.token").read_text() == token


def test_what_is_new_in_the_file_is_added(operator: Operator, file: Path) -> None:
    operator.admin("import", str(file))
    file.write_text(DEMO + '[[users]]\nname = "bob"\ncredits = 5\n')
    operator.admin("import", str(file))
    assert operator.look(lambda drink: drink.accounts.named("bob")).available == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[machines]]\nname = 'd'", "machines.0.display_name"),
        ("[[users]]\nname = 'a'\ncredit = 5", "users.0.credit"),
        ("[[users]]\nname = 'a'\ncredits = 'many'", "users.0.credits"),
        ("= =", "house.toml"),
        ("[[users]]\nname = 'a b'", "users.0.name: must be 1 to 32 characters"),
        ("[[users]]\nname = 2026-11-29", "users.0.name: Input should be a valid string"),
        ("[[users]]\nname = 'a'\ncredits = true", "users.0.credits: Input should be a valid int"),
        ("[[users]]\nname = 'a'\ncredits = '10'", "users.0.credits: Input should be a valid int"),
        ("[[users]]\nname = 'a'\ncredits = 1e3", "users.0.credits: Input should be a valid int"),
        ("[[users]]\nname = 'a'\ncredits = nan", "users.0.credits: Input should be"),
        ("[[users]]\nname = 'a'\ncredits = -inf", "users.0.credits: Input should be"),
        ("[[users]]\nname = 'a'\ncredits = -5", "users.0.credits: must be 0 to"),
        ("[[users]]\nname = 'a'\ncredits = [5]", "users.0.credits: Input should be a valid int"),
        ("[[users]]\nname = 'a'\nadmin = 1", "users.0.admin: Input should be a valid boolean"),
        ("[[users]]\nname = 'a'\nadmin = 'yes'", "users.0.admin: Input should be a valid bool"),
        ("[[users]]\nname = 'a'\npassword = 5", "users.0.password: Input should be a valid str"),
        ("[[users]]\nname = 'a'\npassword = 'a b'", "users.0.password: must be 1 to 128"),
        ("[[users]]\nname = 'a'\nibutton = '12'", "users.0.ibutton: must be 16 hexadecimal"),
        ("users = 'all'", "users: Input should be a valid array"),
        (SLOT.format("number = 1.0"), "machines.0.slots.0.number: Input should be a valid int"),
        (SLOT.format("number = '1'"), "machines.0.slots.0.number: Input should be a valid int"),
        (SLOT.format("number = 0"), "machines.0.slots.0.number: must be 1 to"),
        (SLOT.format("number = 1\nprice = false"), "machines.0.slots.0.price: Input should be"),
        (SLOT.format("number = 1\nprice = -1"), "machines.0.slots.0.price: must be 0 to"),
        (SLOT.format("number = 1\nprice = 5\navailable = 1.5"), "machines.0.slots.0.available: "),
        (SLOT.format("number = 1\nprice = 5\nitem = 7"), "machines.0.slots.0.item: Input should"),
        ("[[machines]]\nname = 'd'\ndisplay_name = 'D'\ntoken_file = 3", "machines.0.token_file"),
    ],
)
def test_a_bad_file_is_refused_with_the_key(
    operator: Operator, file: Path, text: str, words: str
) -> None:
    file.write_text(text)
    assert words in operator.refused("import", str(file))
    assert operator.look(lambda drink: drink.accounts.list_users()) == []


def test_nothing_is_imported_of_a_file_with_one_bad_key(operator: Operator, file: Path) -> None:
    file.write_text(DEMO + "[[users]]\nname = 'bob'\ncredits = '5'\n")
    assert "users.2.credits: Input should be a valid integer" in operator.refused(
        "import", str(file)
    )
    assert operator.look(lambda drink: drink.accounts.list_users()) == []
    assert operator.look(lambda drink: drink.machines.list()) == []
    assert not file.with_name("d.token").exists()


def test_a_secret_in_a_bad_file_is_not_repeated(operator: Operator, file: Path) -> None:
    file.write_text("[[users]]\nname = 'a'\npassword = ['hush-hush']")
    assert "hush-hush" not in operator.refused("import", str(file))


def test_a_missing_file_is_refused(operator: Operator, tmp_path: Path) -> None:
    assert "absent.toml" in operator.refused("import", str(tmp_path / "absent.toml"))
