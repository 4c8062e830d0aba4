"""Where a process is to die, and how: by SIGKILL of its own hand, at one named point."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn


class KillSwitch:
    """Ends this process at a point, the first time it gets there.

    What is wrapped around the real code asks at each point; without a point nothing happens, but
    each point that is passed is logged once.

    Args:
        point: Where to die; empty for nowhere.
        unsynced_is_lost: Whether what was written and not synced dies too, as in a power cut.
    """

    def __init__(self, point: str = "", *, unsynced_is_lost: bool = False) -> None:
        self._point = point
        self.unsynced_is_lost = unsynced_is_lost
        self._passed: set[str] = set()
        self._before_kill: list[Callable[[], None]] = []
        self._killing = threading.Lock()

    def before_kill(self, callback: Callable[[], None]) -> None:
        """Has something done at the very end, such as a disk forgetting what it was not told."""
        self._before_kill.append(callback)

    def is_due(self, point: str) -> bool:
        """Whether the process is to die at this point, halfway through what it does there."""
        if self._killing.locked():
            self._wait_for_end()
        if point not in self._passed:
            self._passed.add(point)
            _log("point", point)
        return point == self._point

    def reach(self, point: str) -> None:
        """Dies if the process is to die at this point."""
        if self.is_due(point):
            self.kill()

    def kill(self) -> NoReturn:
        """Ends the process; none of its threads does anything more."""
        if self._killing.acquire(blocking=False):
            for callback in self._before_kill:
                callback()
            _log("killed", self._point)
            os.kill(os.getpid(), signal.SIGKILL)
        self._wait_for_end()

    def _wait_for_end(self) -> NoReturn:
        while True:
            time.sleep(1)


def _log(event: str, point: str) -> None:
    os.writev(2, [json.dumps({"event": event, "point": point}).encode(), b"\n"])


def replace(owner: Any, name: str, wrapped: Any) -> None:
    """Puts what wraps a function, method or class method in its place."""
    assert hasattr(owner, name), f"there is no {name} any more"
    setattr(owner, name, wrapped)
