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
"""The repository, where the nursery finds the tests."""

START_LIMIT_S = 60
"""Seconds until a nursery answers; its service's imports take 2 s of a processor."""


class Nursery:
    """A nursery of one service's processes; a context manager.

    Args:
        points: The module of the service's kill points.
    """

    def __init__(self, points: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.nursery", points, str(theirs.fileno())],
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
    """A process of a nursery, for who expects one of his own."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        # Nothing of its base's: it is not this process's child.
        self.args = ()
        self.pid = pid
        self.returncode = None
        self._nursery = nursery

    def __del__(self) -> None:
        """Nothing to clean up."""

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.ask(poll=self.pid)
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


class Victim(Process):
    """A process whose lives end at named points.

    Args:
        nursery: Where it is born.
        name: See `Process`.
        arguments: See `Process`.
        folder: See `Process`.
    """

    def __init__(self, nursery: Nursery, name: str, arguments: Sequence[str], folder: Path) -> None:
        super().__init__(name, arguments, folder)
        self._nursery = nursery
        self.lives: list[str] = []
        """Where it is to die in its next lives; afterwards it lives on."""
        self.unsynced_is_lost = False
        """Whether what it has written and not synced dies with it."""
        self.plant = ""
        """A fault to put into its program, `module:function`."""
        self.point = ""
        """Where it is to die in this life."""

    def start(self) -> None:
        """Starts its next life."""
        assert not self.running, f"{self.name} runs already"
        self.log.touch()
        self._log_start = self.log.stat().st_size
        self.point = self.lives.pop(0) if self.lives else ""
        pid = self._nursery.ask(
            arguments=self._arguments,
            folder=str(self._folder.absolute()),
            log=str(self.log.absolute()),
            point=self.point,
            unsynced_is_lost=self.unsynced_is_lost,
            plant=self.plant,
        )
        self._process = _Child(self._nursery, pid)

    def bury(self) -> str:
        """The point at which it has died.

        Raises:
            ProcessFailedError: it ended in any other way, or elsewhere.
        """
        code = self.wait()
        died_at = [event["point"] for event in self.events() if event.get("event") == "killed"]
        if code != -signal.SIGKILL or died_at != [self.point]:
            raise self._failed(f"ended with {code} at {died_at}, not at {self.point or 'no point'}")
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
