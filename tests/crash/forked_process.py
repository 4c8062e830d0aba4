"""Processes that are killed at named points, and started again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.processes import POLL_S, Process, ProcessFailedError

ROOT = Path(__file__).resolve().parent.parent.parent
"""The repository, where the fork_server finds the tests."""

START_LIMIT_S = 60
"""Seconds until a fork_server answers; its service's imports take 2 s of a processor."""


class ForkServer:
    """A fork_server of one service's processes; a context manager.

    Args:
        points: The module of the service's kill points.
    """

    def __init__(self, points: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.fork_server", points, str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        ours.settimeout(START_LIMIT_S)
        self._channel = ours
        self._lines = ours.makefile("rwb")

    def ask(self, **request: Any) -> Any:
        """Sends a request and returns the answer."""
        self._lines.write(json.dumps(request).encode() + b"\n")
        self._lines.flush()
        return json.loads(self._lines.readline())

    def close(self) -> None:
        """Ends it and all its processes."""
        self._lines.close()
        self._channel.close()
        self._process.wait(START_LIMIT_S)


class _Child(subprocess.Popen[bytes]):
    """A process of a fork_server, for who expects one of his own."""

    def __init__(self, fork_server: ForkServer, pid: int) -> None:
        # Nothing of its base's: it is not this process's child.
        self.args = ()
        self.pid = pid
        self.returncode = None
        self._fork_server = fork_server

    def __del__(self) -> None:
        """Nothing to clean up."""

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._fork_server.ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        give_up_at = time.monotonic() + (START_LIMIT_S if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > give_up_at:
                raise subprocess.TimeoutExpired(self.args, timeout or START_LIMIT_S)
            time.sleep(POLL_S)
        return code

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


class ForkedProcess(Process):
    """A process whose kill_points end at named points.

    Args:
        fork_server: Where it is born.
        name: See `Process`.
        arguments: See `Process`.
        folder: See `Process`.
    """

    def __init__(
        self, fork_server: ForkServer, name: str, arguments: Sequence[str], folder: Path
    ) -> None:
        super().__init__(name, arguments, folder)
        self._fork_server = fork_server
        self.kill_points: list[str] = []
        """Where it is to die in its next kill_points; afterwards it kill_points on."""
        self.unsynced_is_lost = False
        """Whether what it has written and not synced dies with it."""
        self.bug = ""
        """A fault to put into its program, `module:function`."""
        self.point = ""
        """Where it is to die in this life."""

    def start(self) -> None:
        """Starts its next life."""
        assert not self.running, f"{self.name} runs already"
        self.log.touch()
        self._log_start = self.log.stat().st_size
        self.point = self.kill_points.pop(0) if self.kill_points else ""
        pid = self._fork_server.ask(
            arguments=self._arguments,
            folder=str(self._folder.absolute()),
            log=str(self.log.absolute()),
            point=self.point,
            unsynced_is_lost=self.unsynced_is_lost,
            bug=self.bug,
        )
        self._process = _Child(self._fork_server, pid)

    def wait_killed(self) -> str:
        """The point at which it has died.

        Raises:
            ProcessFailedError: it ended in any other way, or elsewhere.
        """
        code = self.wait()
        killed_at = [event["point"] for event in self.events() if event.get("event") == "killed"]
        if code != -signal.SIGKILL or killed_at != [self.point]:
            raise self._failed(
                f"ended with {code} at {killed_at}, not at {self.point or 'no point'}"
            )
        return self.point

    def run(self) -> str:
        """Lives one life to its end, and returns what it said.

        Raises:
            ProcessFailedError: it failed.
        """
        self.start()
        code = self.wait()
        said = self.log.read_bytes()[self._log_start :].decode(errors="replace")
        if code != 0:
            raise ProcessFailedError(f"{self.name} ended with {code}:\n{said}")
        return said
