"""What every admin command shares."""

from pathlib import Path

from drink_frontend.admin.command import operator, operator_account
from tests.frontend.admin.conftest import Desk


def test_the_operator_is_the_system_s_user() -> None:
    assert operator().startswith("operator:")
    assert operator_account().admin
    assert operator_account().name == operator()


def test_without_a_database_the_command_says_what_to_do(tmp_path: Path) -> None:
    refusal = Desk(tmp_path / "absent.db").refused("user", "list")
    assert "migrate makes it" in refusal


def test_tables_are_aligned_under_their_headers(desk: Desk) -> None:
    desk.admin("user", "add", "al")
    desk.admin("user", "add", "somebody-with-a-long-name")
    header, first, second = desk.admin("user", "list").splitlines()
    column = header.index("available")
    assert (first[column], second[column]) == ("0", "0")
