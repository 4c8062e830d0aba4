"""The command as its script runs it, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import programs

START = "import sys; from drink_frontend.start import main; sys.argv = ['drink-frontend', *{!r}]; "


def _run(arguments: list[str], afterwards: str) -> subprocess.CompletedProcess[str]:
    code = (
        START.format(arguments)
        + f"import atexit, gc; atexit.register(lambda: {afterwards}); main()"
    )
    return programs.run(sys.executable, "-c", code)


def test_nothing_that_is_not_needed_is_loaded() -> None:
    done = _run(["config", "check"], "print('rich' in sys.modules, 'sqlalchemy' in sys.modules)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False False"


def test_garbage_is_collected_again_once_all_is_loaded() -> None:
    done = _run(["config", "check"], "print(gc.isenabled(), gc.get_freeze_count() > 10_000)")
    assert done.stdout.splitlines()[-1] == "True True"


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["admin", "nonsense"], 2)])
def test_help_and_refusals_come_as_ever(arguments: list[str], code: int) -> None:
    done = _run(arguments, "None")
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "drink-frontend" in done.stdout + done.stderr


def test_an_answer_that_cannot_be_printed_is_told_in_a_sentence() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        told = subprocess.run(
            [sys.executable, "-c", START.format(["config", "check"]) + "main()"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert told.returncode == 1
    assert told.stderr == (
        "drink-frontend: the answer cannot be printed (No space left on device);"
        " what was asked for may be done\n"
    )
