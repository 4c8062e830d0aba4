import pytest

from drink_cli.errors import Exit
from tests.cli.conftest import Drink

ASKED = [
    ("user", "list"),
    ("user", "show", "bob"),
    ("user", "add", "eve"),
    ("user", "change", "bob", "--close"),
    ("user", "password", "bob"),
    ("credits", "add", "alice", "5"),
    ("machine", "add", "x", "X"),
    ("machine", "change", "d", "--disable"),
    ("machine", "token", "d"),
    ("slot", "add", "d/3", "--item", "Tea", "--price", "1"),
    ("slot", "change", "d/1", "--price", "1"),
    ("drops", "list"),
    ("drops", "resolve", "0" * 26, "--dispensed", "--why", "seen"),
]


@pytest.mark.parametrize("arguments", ASKED, ids=" ".join)
def test_a_member_may_do_nothing_of_it(alice: Drink, arguments: tuple[str, ...]) -> None:
    result = alice("admin", *arguments, typed="secret-1\n")

    assert result.exit_code == Exit.FORBIDDEN


@pytest.mark.parametrize("arguments", ASKED, ids=" ".join)
def test_without_a_login_nothing_of_it_is_asked(drink: Drink, arguments: tuple[str, ...]) -> None:
    assert drink("admin", *arguments, typed="secret-1\n").exit_code == Exit.LOGIN
