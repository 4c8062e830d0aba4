"""Real processes of an installation: started, watched by their own log lines, killed at will."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

BIN = Path(sys.executable).parent
"""Where this environment's commands are."""

POLL_S = 0.02
"""Seconds between looks at a log or a condition."""


class ProcessFailedError(Exception):
    """A process ended or did not do in time what was waited for."""


def wait_until(condition: Callable[[], T | None], what: str, limit_s: float = 30) -> T:
    """The first true value of `condition`.

    Raises:
        TimeoutError: there was none within `limit_s` seconds; the message names `what`.
    """
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {limit_s:g} s")
        time.sleep(POLL_S)
    return value


class Process:
    """One process of an installation, which can be started again after its end.

    Args:
        name: For people, and of its log file.
        arguments: Command and arguments; a command without a slash is one of this environment's.
        folder: Working directory; its log goes to `<name>.log` in it.
        environment: Added to this process's environment.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        command, *rest = arguments
        self.name = name
        self.log = folder / f"{name}.log"
        self.prefix: Sequence[str] = ()
        """What runs the command, such as a tracer that leaves it its process id."""
        self._arguments = [command if "/" in command else str(BIN / command), *rest]
        self._folder = folder
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it; its log goes on where it was."""
        assert not self.running, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [*self.prefix, *self._arguments],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Ends it with SIGKILL, as a crash would."""
        self._end(signal.SIGKILL, 10)

    def stop(self, limit_s: float = 40) -> int:
        """Ends it with SIGTERM; with SIGKILL if it takes longer than `limit_s`.

        Returns:
            Its exit code, negative for a signal.
        """
        return self._end(signal.SIGTERM, limit_s)

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def wait(self, limit_s: float = 40) -> int:
        """Waits for its end.

        Returns:
            Its exit code, negative for a signal.

        Raises:
            ProcessFailedError: it still runs after `limit_s`.
        """
        assert self._process is not None
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise self._failed(f"still runs after {limit_s:g} s") from None

    def mark(self) -> None:
        """Lets `events` and `wait_for` begin here."""
        self._log_start = self.log.stat().st_size

    def events(self) -> Iterator[dict[str, Any]]:
        """The JSON lines it has logged since its last start or `mark`."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            for line in log:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict):
                    yield event

    def wait_for(self, event: str, limit_s: float = 30, **facts: Any) -> dict[str, Any]:
        """The first log line since its last start or `mark` with that `event` and `facts`.

        Raises:
            ProcessFailedError: it ended before, or did not log it in time.
        """
        deadline = time.monotonic() + limit_s
        while True:
            ended = not self.running
            for logged in self.events():
                if logged.items() >= {"event": event, **facts}.items():
                    return logged
            if ended:
                raise self._failed(f"ended before {event}")
            if time.monotonic() > deadline:
                raise self._failed(f"no {event} within {limit_s:g} s")
            time.sleep(POLL_S)

    def _end(self, number: signal.Signals, limit_s: float) -> int:
        if self._process is None:
            return 0
        if self.running:
            self.send(number)
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _failed(self, what: str) -> ProcessFailedError:
        tail = self.log.read_text(errors="replace").splitlines()[-20:]
        return ProcessFailedError("\n".join([f"{self.name}: {what}", *tail]))


def run(arguments: Sequence[str], folder: Path, text: str = "") -> str:
    """Runs one of this environment's commands to its end, and returns what it printed.

    Raises:
        ProcessFailedError: it failed; with what it printed.
    """
    command, *rest = arguments
    done = subprocess.run(
        [str(BIN / command), *rest],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ProcessFailedError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout
