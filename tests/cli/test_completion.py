"""Completion, installed by the command and asked by the shells themselves."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.processes import BIN

ASK = {
    "bash": (
        "source ~/.bash_completions/drink.sh; COMP_WORDS=(drink mach); COMP_CWORD=1;"
        ' _drink_completion drink; echo "${COMPREPLY[@]}"'
    ),
    "fish": 'complete --do-complete "drink mach"',
    # Its completion runs at a prompt only: the function is read, and asked what the prompt would.
    "zsh": (
        "zsh -n ~/.zfunc/_drink && _TYPER_COMPLETE_ARGS='drink mach' _DRINK_COMPLETE=complete_zsh"
        " drink"
    ),
}


@pytest.mark.parametrize("shell", ASK)
def test_a_shell_completes_commands_after_the_installation(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    environment = {"HOME": str(tmp_path), "PATH": f"{BIN}:{os.environ['PATH']}", "LANG": "C.UTF-8"}

    def run(text: str) -> str:
        # The shell stays the parent of the command, which asks who it is.
        done = subprocess.run(
            [program, "-c", f"{text}; true"],
            env=environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        return done.stdout

    assert f"{shell} completion installed" in run("drink --install-completion")
    assert "machines" in run(ASK[shell])
