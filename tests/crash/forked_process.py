"""Processes that are forked by a fork server, killed at named points, and started again."""

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
"""The repository, from which the fork server imports the tests."""

START_LIMIT_S = 60
"""Seconds until a fork server answers; its service's imports take 2 s of a processor."""


class ForkServerClient:
    """Starts a fork server of one service and sends it requests.

    Args:
        points: The module that wraps the service's kill points.
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
    """A child of the fork server with the interface of a child of this process."""

    def __init__(self, fork_server: ForkServerClient, pid: int) -> None:
        # The base's __init__ would start a process.
        self.args = ()
        self.pid = pid
        self.returncode = None
        self._fork_server = fork_server

    def __del__(self) -> None:
        """Replaces the base's, which warns of a process that still runs."""

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
    """A process whose runs are killed at named points.

    Args:
        fork_server: What forks it.
        name: See `Process`.
        arguments: See `Process`.
        folder: See `Process`.
    """

    def __init__(
        self, fork_server: ForkServerClient, name: str, arguments: Sequence[str], folder: Path
    ) -> None:
        super().__init__(name, arguments, folder)
        self._fork_server = fork_server
        self.kill_points: list[str] = []
        """Where its next runs are killed, one point per run; later runs are not killed."""
        self.unsynced_is_lost = False
        """Whether a kill also loses written and unsynced data."""
        self.bug = ""
        """A bug to plant into its program, `module:function`."""
        self.point = ""
        """Where this run is killed."""

    def start(self) -> None:
        """Starts the next run."""
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
        """Waits for the end of this run.

        Returns:
            The point at which it was killed.

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
        """Runs it to its end and returns what it printed.

        Raises:
            ProcessFailedError: it failed.
        """
        self.start()
        code = self.wait()
        printed = self.log.read_bytes()[self._log_start :].decode(errors="replace")
        if code != 0:
            raise ProcessFailedError(f"{self.name} ended with {code}:\n{printed}")
        return printed
