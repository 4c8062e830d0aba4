"""Kills this process with SIGKILL at one named point of the service's code."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn


class KillSwitch:
    """Kills this process the first time that it reaches a point.

    The wrappers around the real code call it at each point. Without a point nothing happens, except
    that each point is logged once when it is passed.

    Args:
        point: Where to kill; empty for nowhere.
        unsynced_is_lost: Whether written and unsynced data is lost too, as in a power cut.
    """

    def __init__(self, point: str = "", *, unsynced_is_lost: bool = False) -> None:
        self._point = point
        self.unsynced_is_lost = unsynced_is_lost
        self._passed: set[str] = set()
        self._callbacks: list[Callable[[], None]] = []
        self._killing = threading.Lock()

    def before_kill(self, callback: Callable[[], None]) -> None:
        """Registers what runs right before the kill, such as the loss of unsynced data."""
        self._callbacks.append(callback)

    def is_due(self, point: str) -> bool:
        """Whether the process is to be killed at this point, halfway through what it does there."""
        if self._killing.locked():
            self._wait_for_end()
        if point not in self._passed:
            self._passed.add(point)
            _log("point", point)
        return point == self._point

    def reach(self, point: str) -> None:
        """Kills the process if this is the point."""
        if self.is_due(point):
            self.kill()

    def kill(self) -> NoReturn:
        """Kills the process; no other thread passes a further point."""
        if self._killing.acquire(blocking=False):
            for callback in self._callbacks:
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
    """Replaces a function, method or class method by one that wraps it."""
    assert hasattr(owner, name), f"there is no {name} any more"
    setattr(owner, name, wrapped)
