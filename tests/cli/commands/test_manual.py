import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import Result

from drink_cli.errors import Exit
from drink_cli.main import main

Drink = Callable[..., Result]


def commands(group: Any, path: str) -> Iterator[str]:
    for name, each in group.commands.items():
        full = f"{path} {name}"
        if hasattr(each, "commands"):
            yield from commands(each, full)
        else:
            yield full


def test_the_page_names_every_command_and_exit_code(drink: Drink) -> None:
    page = drink("man").stdout.replace("\\-", "-")
    for command in commands(typer.main.get_command(main), "drink"):
        assert f".SS {command}\n" in page or f".SS {command} " in page
    for code in Exit:
        assert f".B {code.value}\n" in page


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_page_is_sound(drink: Drink) -> None:
    ended = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww"],
        input=drink("man").stdout,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""
    assert "drop a can from anywhere" in ended.stdout


def test_the_page_is_written_where_man_finds_it(
    drink: Drink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert drink("man", "--install").exit_code == 0
    page = tmp_path / "man" / "man1" / "drink.1"
    assert page.read_text(encoding="utf-8") == drink("man").stdout


def test_a_page_that_cannot_be_written_is_said(
    drink: Drink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "man").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    ended = drink("man", "--install")
    assert ended.exit_code == Exit.FAULT
    assert "cannot write" in ended.stderr
