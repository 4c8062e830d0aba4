import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from drink_cli.errors import Exit
from drink_cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_it_tells_its_version() -> None:
    result = CliRunner().invoke(main, ["--version"])

    assert result.output == f"drink {version('drink-cli')}\n"


def test_an_unknown_command_is_a_wrong_usage() -> None:
    assert CliRunner().invoke(main, ["dorp"]).exit_code == Exit.USAGE


@pytest.mark.parametrize("name", ["machines", "drop", "admin"])
def test_each_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])

    assert result.exit_code == 0
    assert "Usage" in result.output


def test_the_page_lists_every_command() -> None:
    page = PAGE.read_text(encoding="utf-8")
    names = list(_names(get_command(main)))

    missing = [name for name in names if f"drink {name}" not in page]

    assert not missing


def _names(group: Any, prefix: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _names(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}"


def test_the_page_lists_every_exit_code() -> None:
    rows = re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert [int(row) for row in rows] == sorted(Exit)
