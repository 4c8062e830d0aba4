"""The emulated reader as a command."""

import os
import subprocess
import sys
from pathlib import Path

from scripts.processes import wait_until


def test_lines_of_the_input_are_cards(tmp_path: Path) -> None:
    link = tmp_path / "reader"
    command = [sys.executable, "-c", "from drink_agent.reader.emulator import main; main()"]
    with subprocess.Popen([*command, str(link)], stdin=subprocess.PIPE, text=True) as process:
        wait_until(link.is_symlink, "the emulated reader")
        terminal = os.open(link, os.O_RDONLY | os.O_NOCTTY)
        assert process.stdin is not None
        process.stdin.write("04A2B3C4\n\n 04A2B3C5 \n")
        process.stdin.flush()
        printed = b""
        while printed.count(b"\n") < 2:
            printed += os.read(terminal, 100)
        assert printed == b"04A2B3C4\r\n04A2B3C5\r\n"
        os.close(terminal)
        process.stdin.close()
        assert process.wait(20) == 0
    assert not link.is_symlink()
