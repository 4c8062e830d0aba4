import csv
import io
import json
from collections.abc import Callable

import pytest

from drink_cli.api import Api
from drink_cli.commands.admin_export import cell
from drink_cli.errors import Exit
from drink_cli.text import printable
from tests.cli.conftest import ADMIN, ALICE, Drink

Lines = Callable[..., list[dict[str, object]]]


@pytest.fixture
def administrator(drink: Drink) -> Drink:
    drink.login(ADMIN)
    return drink


@pytest.fixture
def bought(administrator: Drink) -> str:
    """A drop that Alice has bought."""
    administrator.login(ALICE, "--profile", "alice")
    result = administrator("--json", "--profile", "alice", "drop", "d/1")
    return str(json.loads(result.output)["drop"])


@pytest.fixture
def lines(administrator: Drink) -> Lines:
    """What an export writes, line by line."""

    def read(*arguments: str) -> list[dict[str, object]]:
        result = administrator("admin", "export", *arguments)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    return read


def test_every_kind_has_its_rows(bought: str, lines: Lines) -> None:
    assert lines("drops", "--account", "alice")[0]["drop"] == bought
    assert bought in {row["drop"] for row in lines("drops")}
    paid = [row for row in lines("entries") if row["drop"] == bought]
    assert {row["account"] for row in paid} == {"alice"}
    assert sum(int(str(row["posted_change"])) for row in paid) == -50
    sold = [row for row in lines("movements") if row["drop"] == bought]
    assert [(row["kind"], row["change"], row["slot"]) for row in sold] == [("sold", -1, "d/1")]
    assert sold[0]["time"]
    balances = {row["account"]: row for row in lines("balances")}
    assert {"alice", "bob", "admin"} <= balances.keys()
    assert balances["admin"]["admin"] is True


def test_pages_are_followed_to_the_end(
    bought: str, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lines("entries", "--account", "alice")
    assert len(whole) > 3
    monkeypatch.setattr("drink_cli.api.PAGE_ROWS_MAX", 2)
    pages = []
    call = Api.call

    def counted(api: Api, method: object, request: object) -> object:
        pages.append(request)
        return call(api, method, request)  # type: ignore[arg-type]

    monkeypatch.setattr(Api, "call", counted)
    assert lines("entries", "--account", "alice") == whole
    assert len(pages) >= len(whole) // 2
    assert bought in {row["drop"] for row in whole}


@pytest.mark.parametrize("what", ["drops", "entries", "balances", "movements"])
def test_csv_has_the_same_rows(what: str, bought: str, administrator: Drink, lines: Lines) -> None:
    result = administrator("admin", "export", what, "--csv")
    header, *rows = csv.reader(io.StringIO(result.stdout))
    expected = lines(what)
    assert header == list(expected[0])
    assert len(rows) == len(expected)
    assert all(len(row) == len(header) for row in rows)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1"])
def test_no_text_is_a_formula(text: str) -> None:
    assert cell(text) == "'" + printable(text)
    assert cell(-5) == -5
    assert (cell(None), cell(True), cell("plain")) == ("", "yes", "plain")
    assert cell("a\x1b[2J\nb") == "a\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nothing",), Exit.USAGE),
        (("balances", "--since", "2026-01-01"), Exit.USAGE),
        (("movements", "--account", "alice"), Exit.USAGE),
        (("drops", "--account", "nobody"), Exit.NOT_FOUND),
        (("entries", "--account", "nobody"), Exit.NOT_FOUND),
    ],
)
def test_what_cannot_be_exported_is_told(
    arguments: tuple[str, ...], code: Exit, administrator: Drink
) -> None:
    result = administrator("admin", "export", *arguments)
    assert result.exit_code == code
    assert result.stdout == ""


@pytest.mark.parametrize("what", ["drops", "entries", "balances", "movements"])
def test_users_export_nothing(what: str, drink: Drink) -> None:
    drink.login(ALICE)
    result = drink("admin", "export", what)
    assert (result.exit_code, result.stdout) == (Exit.FORBIDDEN, "")
