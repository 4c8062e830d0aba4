"""The packaged systemd unit."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.support import programs

UNIT = Path("services/machine_agent/systemd/drink-machine-agent.service")
DROP_IN = UNIT.with_name(UNIT.name + ".d") / "board-password.conf"
EXPOSURE_MAX = 15  # tenths, as systemd-analyze security counts


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_accepts_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    program = "/opt/drink-machine-agent/bin/drink-machine-agent"
    assert program in UNIT.read_text()
    unit.write_text(UNIT.read_text().replace(program, sys.executable))
    for words in (["verify"], ["security", "--offline=yes", f"--threshold={EXPOSURE_MAX}"]):
        done = programs.run("systemd-analyze", *words, unit)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_accepts_the_drop_in_for_a_boards_password(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    program = "/opt/drink-machine-agent/bin/drink-machine-agent"
    unit.write_text(UNIT.read_text().replace(program, sys.executable))
    shutil.copytree(DROP_IN.parent, tmp_path / DROP_IN.parent.name)
    done = programs.run("systemd-analyze", "verify", unit)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_drop_in_hands_over_what_the_agent_is_told_to_read() -> None:
    lines = DROP_IN.read_text().splitlines()
    assert "LoadCredential=board-password:/etc/drink-machine-agent/board-password" in lines
    assert "Environment=DRINK_AGENT_BOARD__PASSWORD_FILE=%d/board-password" in lines


def test_an_exit_that_needs_a_person_is_not_repeated() -> None:
    assert "RestartPreventExitStatus=2 3\n" in UNIT.read_text()
