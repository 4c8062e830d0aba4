import pytest
import typer

from drink_cli.context import command
from drink_cli.errors import CommandError, Exit


def test_an_error_is_a_sentence_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    @command
    def refused() -> None:
        raise CommandError("no such slot", Exit.NOT_FOUND)

    with pytest.raises(typer.Exit) as ended:
        refused()

    assert ended.value.exit_code == Exit.NOT_FOUND
    assert capsys.readouterr() == ("", "drink: no such slot\n")


def test_ctrl_c_has_an_exit_code() -> None:
    @command
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as ended:
        interrupted()

    assert ended.value.exit_code == Exit.INTERRUPTED


def test_a_command_may_end_with_a_code() -> None:
    @command
    def unknown() -> Exit:
        return Exit.UNKNOWN

    with pytest.raises(typer.Exit) as ended:
        unknown()

    assert ended.value.exit_code == Exit.UNKNOWN
