"""What every admin command shares."""

import errno
import os
import pwd
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from drink_frontend.admin.command import operator, operator_account
from tests.frontend.admin.conftest import Operator
from tests.support import programs


@pytest.fixture
def nobody_logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container: no login led here, and nothing in the environment says who asks."""

    def getlogin() -> str:
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))

    monkeypatch.setattr(os, "getlogin", getlogin)
    for variable in ("SUDO_USER", "DOAS_USER", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.usefixtures("nobody_logged_in")
def test_the_operator_is_the_system_s_user() -> None:
    assert operator() == f"operator:{pwd.getpwuid(os.getuid()).pw_name}"
    assert operator_account().admin
    assert operator_account().name == operator()


@pytest.mark.usefixtures("nobody_logged_in")
@pytest.mark.parametrize("variable", ["SUDO_USER", "DOAS_USER"])
def test_the_operator_is_who_became_another_user(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("LOGNAME", "drink-frontend")
    monkeypatch.setenv(variable, "ann")
    assert operator() == "operator:ann"


def test_the_operator_is_who_logged_in_before_su(
    monkeypatch: pytest.MonkeyPatch, nobody_logged_in: None
) -> None:
    monkeypatch.setenv("LOGNAME", "drink-frontend")
    monkeypatch.setenv("SUDO_USER", "root")
    monkeypatch.setattr(os, "getlogin", lambda: "ann")
    assert operator() == "operator:ann"


@pytest.mark.usefixtures("nobody_logged_in")
def test_a_user_id_without_a_name_is_an_operator_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1_234_567)
    assert operator() == "operator:uid-1234567"
    monkeypatch.setenv("SUDO_USER", "an\x1bn")
    assert operator() == "operator:uid-1234567"


RECORDED = [
    ("user", "add", "bob"),
    ("user", "change", "bob", "--admin"),
    ("credits", "add", "bob", "5"),
    ("machine", "add", "d", "Big Drink"),
    ("machine", "change", "d", "--location", "here"),
    ("machine", "token", "d"),
    ("slot", "add", "d", "1", "--item", "Coke", "--price", "50"),
    ("slot", "change", "d", "1", "--price", "45"),
]


def test_every_record_has_the_name_that_the_operator_gives(
    operator: Operator, tmp_path: Path
) -> None:
    for command in RECORDED:
        operator.admin(*command, "--by", "ann")
    (tmp_path / "plan.toml").write_text("[[users]]\nname = 'carl'\ncredits = 5\n")
    operator.admin("import", "--by=ann", str(tmp_path / "plan.toml"))
    with closing(sqlite3.connect(operator.settings.storage.path)) as books:
        actors = books.execute("SELECT actor FROM audit UNION SELECT actor FROM transfers")
        assert {actor for (actor,) in actors} == {"operator:ann"}


@pytest.mark.parametrize("name", ["", " ann", "a\nb", "x" * 65])
def test_a_name_that_cannot_be_one_is_refused(operator: Operator, name: str) -> None:
    result = operator.type("admin", "user", "add", "bob", "--by", name)
    assert result.exit_code == 2
    assert "printable characters" in result.stderr
    assert operator.look(lambda drink: drink.accounts.list_users()) == []


UNKNOWN_UID = """
import os, sys
from drink_frontend.cli import main

def run(*arguments):
    assert not main(["admin", *arguments], standalone_mode=False)

main(["migrate"], standalone_mode=False)
os.chmod(os.environ["DRINK_STORAGE__PATH"], 0o660)
run("user", "list")  # what is loaded from here on may be out of the other user's reach
folder = os.path.dirname(os.environ["DRINK_STORAGE__PATH"])
os.chmod(folder, 0o770)
os.setgroups([]); os.setgid(0); os.setuid(1_234_567)
run("user", "add", "bob")
run("user", "list")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_commands_run_under_a_random_user_id_with_group_0() -> None:
    # pytest's own folders are closed to others.
    with tempfile.TemporaryDirectory() as folder:
        run_under_a_random_user_id(Path(folder))


def run_under_a_random_user_id(folder: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH"}}
    done = programs.run(
        *(sys.executable, "-c", UNKNOWN_UID),
        env={**kept, "DRINK_STORAGE__PATH": str(folder / "drink.db")},
    )
    assert done.returncode == 0, done.stderr
    assert "bob" in done.stdout
    with closing(sqlite3.connect(folder / "drink.db")) as books:
        assert books.execute("SELECT actor FROM audit").fetchall() == [("operator:uid-1234567",)]


def test_without_a_database_the_command_says_what_to_do(tmp_path: Path) -> None:
    refusal = Operator(tmp_path / "absent.db").refused("user", "list")
    assert "migrate makes it" in refusal


def test_tables_are_aligned_under_their_headers(operator: Operator) -> None:
    operator.admin("user", "add", "al")
    operator.admin("user", "add", "somebody-with-a-long-name")
    header, first, second = operator.admin("user", "list").splitlines()
    column = header.index("available")
    assert (first[column], second[column]) == ("0", "0")
