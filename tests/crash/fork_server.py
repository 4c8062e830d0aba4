"""Starts processes of a service without importing it anew for each.

`python -m tests.crash.fork_server MODULE FD` imports MODULE, which wraps the kill points of a
service, and with it the whole service. It then answers requests, one JSON line each, on the socket
FD. For each requested process it forks a child that runs the service's real command.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

from tests.crash.kill_switch import KillSwitch


class ForkServer:
    """Forks processes on request, see `tests.crash.forked_process.ForkServerClient`."""

    def __init__(self) -> None:
        self._statuses: dict[int, int | None] = {}

    def serve(self, channel: socket.socket) -> Mapping[str, Any] | None:
        """Answers requests until the channel is closed.

        Returns:
            In a forked process, its request; None in the server itself.
        """
        with channel, channel.makefile("rwb") as lines:
            for line in lines:
                request = json.loads(line)
                if "poll" in request:
                    answer = self._poll(request["poll"])
                elif (answer := os.fork()) == 0:
                    return dict(request)
                else:
                    self._statuses[answer] = None
                lines.write(json.dumps(answer).encode() + b"\n")
                lines.flush()
        return None

    def end(self) -> None:
        """Kills the processes that still run."""
        for pid, status in self._statuses.items():
            if status is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _poll(self, pid: int) -> int | None:
        """The exit code of a process, negative for a signal; None while it runs."""
        if self._statuses[pid] is None:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._statuses[pid] = os.waitstatus_to_exitcode(status)
        return self._statuses[pid]


def set_up_process(request: Mapping[str, Any]) -> None:
    """Gives a forked process its own session, folder, log and arguments."""
    os.setsid()
    os.chdir(request["folder"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.closerange(3, max(nothing, log) + 1)
    sys.argv = [*request["arguments"]]


def main() -> None:
    """Imports, forks on request, and runs the command in each fork."""
    points = importlib.import_module(sys.argv[1])
    gc.freeze()
    fork_server = ForkServer()
    try:
        request = fork_server.serve(socket.socket(fileno=int(sys.argv[2])))
    except BaseException:
        fork_server.end()
        raise
    if request is None:
        fork_server.end()
        return
    set_up_process(request)
    if request["bug"]:
        module, function = request["bug"].split(":")
        getattr(importlib.import_module(module), function)()
    points.install(KillSwitch(request["point"], unsynced_is_lost=request["unsynced_is_lost"]))
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
