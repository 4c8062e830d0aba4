import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from drink_cli.api import Api
from drink_cli.errors import Exit
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan, import_toml
from tests.cli.conftest import Drink

Import = Callable[..., Result]


def _house(mark: str) -> Plan:
    """A house with names that no other test has."""
    slots = (SlotPlan(1, "=1+1", 50, 7), SlotPlan(2, "<b>Dew</b>", 45, 0))
    users = (UserPlan(f"u-{mark}", "a-password", 300), UserPlan(f"v-{mark}", "another", 0))
    return Plan(machines=(MachinePlan(f"m-{mark}", "[red]Mate[/]", slots),), users=users)


@pytest.fixture
def import_(administrator: Drink, tmp_path: Path) -> Import:
    """Imports a house."""

    def run(text: str, *options: str) -> Result:
        file = tmp_path / "house.toml"
        file.write_text(text, encoding="utf-8")
        return administrator("--json", "admin", "import", str(file), *options)

    return run


def _steps(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def _state(drink: Drink, mark: str) -> Any:
    """What the server has of a house."""
    users = [drink("--json", "admin", "user", "show", f"{each}-{mark}") for each in "uv"]
    return (
        [json.loads(each.stdout)["posted"] for each in users],
        [
            (row["slot"], row["item"], row["price"], row["available"])
            for row in json.loads(drink("--json", "machines", f"m-{mark}").stdout)
        ],
    )


def _expected(mark: str) -> Any:
    slots = [(f"m-{mark}/1", "=1+1", 50, 7), (f"m-{mark}/2", "<b>Dew</b>", 45, 0)]
    return [300, 0], slots


def test_a_house_is_set_up_once(import_: Import, administrator: Drink, tmp_path: Path) -> None:
    text = import_toml(_house("once"))

    made = _steps(import_(text))
    again = _steps(import_(text))

    assert [each["what"] for each in made] == [
        "machine m-once", "slot m-once/1", "slot m-once/2", "token of m-once",
        "user u-once", "credits of u-once", "user v-once",
    ]  # fmt: skip
    assert all(each["made"] for each in made)
    assert [each["what"] for each in again if each["made"]] == ["credits of u-once"]
    assert _state(administrator, "once") == _expected("once")
    token = tmp_path / "m-once.token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert len(token.read_text(encoding="utf-8").split()) == 1


def test_a_dry_run_changes_nothing(import_: Import, administrator: Drink, tmp_path: Path) -> None:
    steps = _steps(import_(import_toml(_house("dry")), "--dry-run"))

    assert all(each["would_be_made"] and not each["made"] for each in steps)
    assert administrator("machines", "m-dry").exit_code == Exit.NOT_FOUND
    assert administrator("admin", "user", "show", "u-dry").exit_code == Exit.NOT_FOUND
    assert not (tmp_path / "m-dry.token").exists()


def test_people_read_a_sentence_of_each_step(administrator: Drink, tmp_path: Path) -> None:
    file = tmp_path / "house.toml"
    file.write_text(import_toml(_house("told")), encoding="utf-8")

    would = administrator("admin", "import", str(file), "--dry-run").stdout.splitlines()
    made = administrator("admin", "import", str(file)).stdout.splitlines()

    assert would[0] == "machine m-told: would be made: [red]Mate[/]"
    assert made[0] == "machine m-told: [red]Mate[/]"
    assert made[1] == "slot m-told/1: =1+1 for 50 credits, 7 in it"
    assert made[-2:] == ["credits of u-told: 300, given once", "user v-told: a member"]


@pytest.mark.parametrize("is_answered", [False, True])
def test_an_import_that_is_cut_off_at_any_call_is_finished_by_the_next(
    import_: Import,
    administrator: Drink,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    is_answered: bool,
) -> None:
    call = Api.call
    for number in count():
        mark = f"cut{number}-{int(is_answered)}"
        text, calls = import_toml(_house(mark)), count()

        def cut(api: Api, *arguments: Any, **options: Any) -> Any:
            if next(calls) == number:  # noqa: B023
                if is_answered:
                    call(api, *arguments, **options)
                raise KeyboardInterrupt
            return call(api, *arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Api, "call", cut)
            code = import_(text).exit_code

        _steps(import_(text))
        assert _state(administrator, mark) == _expected(mark)
        assert (tmp_path / f"m-{mark}.token").read_text(encoding="utf-8").strip()
        if code == 0:
            assert number > 7
            return
        assert code == Exit.INTERRUPTED


def test_the_token_of_a_machine_that_was_there_is_not_replaced(import_: Import) -> None:
    machine = '[[machines]]\nname = "d"\ndisplay_name = "D"\ntoken_file = "d.token"\n'

    steps = _steps(import_(machine))

    assert [each["made"] for each in steps] == [False, False]
    assert "drink admin machine token d --output" in steps[1]["text"]


def test_what_has_changed_in_the_file_changes_nothing(
    import_: Import, administrator: Drink
) -> None:
    text = '[[users]]\nname = "changed"\ncredits = 10\n'
    _steps(import_(text))

    steps = _steps(import_(text.replace("10", "20")))

    assert not any(each["made"] for each in steps)
    assert "other credits under this name" in steps[1]["text"]
    shown = administrator("--json", "admin", "user", "show", "changed")
    assert json.loads(shown.stdout)["posted"] == 10


def test_a_closed_user_stays_closed(import_: Import, administrator: Drink) -> None:
    text = '[[users]]\nname = "leaver"\n'
    _steps(import_(text))
    administrator("admin", "user", "change", "leaver", "--close")

    assert [each["text"] for each in _steps(import_(text + "credits = 5\n"))] == [
        "is closed, and stays as it is"
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[users]]\nname = 3\n", "house.toml:2: name: must be"),
        ("[[users]\n", "house.toml:1: Expected"),
        ('[[users]]\nname = "ALICE"\n', "house.toml:1: the user alice differs only in case"),
    ],
)
def test_mistakes_are_told_with_file_and_line(import_: Import, text: str, told: str) -> None:
    result = import_(text)

    assert result.exit_code in {Exit.USAGE, Exit.REFUSED}
    assert told in result.stderr


def test_what_the_server_refuses_is_told_with_its_line(import_: Import) -> None:
    text = (
        '[[users]]\nname = "first"\nibutton = "00000000000000AA"\n\n'
        '[[users]]\nname = "second"\nibutton = "00000000000000aa"\n'
    )

    result = import_(text)

    assert result.exit_code == Exit.REFUSED
    assert "house.toml:5: " in result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["what"] == "user first"


def test_files_that_cannot_be_read_are_told(administrator: Drink, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"# ok\n# \xff\n")

    missing = administrator("admin", "import", str(tmp_path / "missing"))
    latin = administrator("admin", "import", str(tmp_path / "latin"))

    assert (missing.exit_code, latin.exit_code) == (Exit.USAGE, Exit.USAGE)
    assert "latin:2: not UTF-8" in latin.stderr


def test_a_token_file_of_another_house_is_not_overwritten(import_: Import, tmp_path: Path) -> None:
    (tmp_path / "m-other.token").write_text("another token\n", encoding="utf-8")

    result = import_(import_toml(_house("other")))

    assert result.exit_code == Exit.REFUSED
    assert "move the file away" in result.stderr
    assert (tmp_path / "m-other.token").read_text(encoding="utf-8") == "another token\n"
