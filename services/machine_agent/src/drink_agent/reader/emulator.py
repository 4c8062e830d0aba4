"""`card-reader-emulator`: a serial reader without hardware, for trying things out and for tests.

It makes a pseudo terminal, puts a link to it where an agent expects its reader, and prints a line
there for each line of its standard input, as a reader does for each card.
"""

import argparse
import os
import pty
import sys
import tty
from collections.abc import Sequence
from pathlib import Path


class EmulatedReader:
    """A pseudo terminal that prints what a reader would.

    Args:
        link: Path of the link to the terminal; replaced if it is there.
    """

    def __init__(self, link: Path) -> None:
        self._link = link
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        new = link.with_name(f"{link.name}.new")
        new.unlink(missing_ok=True)
        new.symlink_to(os.ttyname(self._slave))
        new.replace(link)

    def tap(self, number: str) -> None:
        """Holds a card to the reader."""
        self.print(number.encode() + b"\r\n")

    def print(self, data: bytes) -> None:
        """Prints bytes. What nobody reads gets lost, as at a real port."""
        try:
            os.write(self._master, data)
        except BlockingIOError:
            return

    def unplug(self) -> None:
        """Takes the reader away."""
        self._link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints each line of the standard input as a card, until its end."""
    parser = argparse.ArgumentParser(prog="card-reader-emulator", description=__doc__)
    parser.add_argument("link", type=Path, help="where the agent's reader.port is")
    reader = EmulatedReader(parser.parse_args(arguments).link)
    print("type the number of a card and Enter; Ctrl-D ends", file=sys.stderr)
    try:
        for line in sys.stdin:
            if number := line.strip():
                reader.tap(number)
    except KeyboardInterrupt:
        pass
    finally:
        reader.unplug()
    return 0
