"""`drink`, killed or interrupted at a point of a purchase, without loading it anew for each.

`python -m tests.cli.killed` answers requests on its standard input, a line of JSON each:
`arguments` of `drink`, `point` for the number of the point, from 0, and `output`, the file for what
it prints. For each it forks a child, which sends itself `signal` at that point: points are the
beginnings and ends of the functions that a purchase goes through, each when it is first reached.
The answer is the child's exit code, negative for a signal.
"""

import gc
import json
import os
import signal
import sys
from types import FrameType
from typing import Any

from drink_cli import api, files, follow, purchase
from drink_cli.commands import drops
from drink_cli.main import run

MODULES = {module.__file__ for module in (api, files, follow, purchase, drops)}


class Killer:
    """Sends this process a signal at a point.

    Args:
        point: Its number, from 0.
        number: The signal.
    """

    def __init__(self, point: int, number: int) -> None:
        self._point = point
        self._signal = number
        self._seen: set[tuple[str, str]] = set()

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        """See `sys.setprofile`."""
        if event not in {"call", "return"} or frame.f_code.co_filename not in MODULES:
            return
        here = (frame.f_code.co_qualname, event)
        if here not in self._seen:
            self._seen.add(here)
            if len(self._seen) == self._point + 1:
                os.kill(os.getpid(), self._signal)


def _child(request: dict[str, Any]) -> None:
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["drink", *request["arguments"]]
    # A job in the background ignores Ctrl-C, and so would this one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.setprofile(Killer(request["point"], request["signal"]))
    run()


def main() -> None:
    """Forks on request."""
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _child(request)
            return
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
