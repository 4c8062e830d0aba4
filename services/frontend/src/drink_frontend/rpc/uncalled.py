"""Counts gRPC connections on which no call begins, and logs them.

gRPC's C library answers and discards bytes that are not HTTP/2, metadata that is too large and TLS
handshakes that fail, without any hook. A stranger could send them without end and leave no trace.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import structlog
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from drink_frontend.rpc.calls import Peer

log = structlog.get_logger(__name__)

LOOK_S = 2.0
"""Seconds between two counts: an attack is logged that soon. A count takes some ten milliseconds of
a thread."""

CALLERS_MAX = 4_096
"""Connections remembered as callers; those seen first are forgotten first."""

CHANNELZ = ("grpc.enable_channelz", 1)
"""The option with which gRPC numbers the connections of a server, and its channels."""


class Handshakes:
    """Counts TLS handshakes that have begun; called from gRPC's threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = 0

    def begun(self) -> None:
        """One more has begun."""
        with self._lock:
            self._begun += 1

    def take(self) -> int:
        """How many have begun since the last call of this method."""
        with self._lock:
            begun, self._begun = self._begun, 0
        return begun


class Uncalled:
    """Counts the connections that are opened and those of them that call, and logs the difference.

    The first `report_min` connections without a call within `interval_s` are logged at once, all
    that follow once in each `interval_s`.

    Args:
        interval_s: Seconds in which connections are counted together.
        report_min: Connections without a call in that time from which on they are logged.

    Attributes:
        handshakes: Those of the listeners with TLS.
    """

    def __init__(self, interval_s: float, report_min: int) -> None:
        self._interval_s = interval_s
        self._report_min = report_min
        self.handshakes = Handshakes()
        self._callers: dict[Peer, None] = {}
        self._new_callers = 0
        self._begins = 0.0
        self._uncalled = 0
        self._failed = 0
        self._reported = False

    def called(self, peer: Peer) -> None:
        """A call has begun on a connection."""
        if peer not in self._callers:
            if len(self._callers) >= CALLERS_MAX:
                del self._callers[next(iter(self._callers))]
            self._callers[peer] = None
            self._new_callers += 1

    async def follow(self, places: Callable[[], Counter[str]]) -> None:
        """Counts again and again, until cancelled.

        Args:
            places: Counts the open connections without a call by place.
        """
        clock = asyncio.get_running_loop().time
        self._begins = clock()
        number = await asyncio.to_thread(next_number, 0)
        while True:
            await asyncio.sleep(min(LOOK_S, self._interval_s))
            last, number = number, await asyncio.to_thread(next_number, number)
            # One of the numbers belongs to the channel that asks.
            self.count(number - last - 1, clock(), places)

    def count(self, opened: int, now: float, places: Callable[[], Counter[str]]) -> None:
        """Counts what has happened since the last call of this method; logs it when it is due.

        Args:
            opened: Connections that finished their handshake.
            now: Monotonic seconds.
            places: Counts the open connections without a call by place.
        """
        handshakes, called = self.handshakes.take(), self._new_callers
        self._new_callers = 0
        self._failed += max(0, handshakes - opened)
        # A connection may be opened before one count and called on before the next.
        self._uncalled = max(0, self._uncalled + max(opened, handshakes) - called)
        seconds = now - self._begins
        is_over = seconds >= self._interval_s
        is_due = self._uncalled >= self._report_min and (is_over or not self._reported)
        if is_due:
            self._log(seconds, places())
        if is_due or is_over:
            self._begins, self._uncalled, self._failed = now, 0, 0
            self._reported = is_due

    def _log(self, seconds: float, places: Counter[str]) -> None:
        most = places.most_common(1)
        log.warning(
            "connections_without_calls",
            connections=self._uncalled,
            failed_handshakes=self._failed,
            seconds=round(seconds, 1),
            most_from=most[0][0] if most else "",
        )


def next_number(last: int) -> int:
    """The number that gRPC gives to whatever is opened next, connection or channel.

    gRPC numbers both in one sequence, so that the difference of two answers is the number of
    connections accepted in between. Takes some ten milliseconds.

    Args:
        last: The previous answer.
    """
    with grpc.insecure_channel("ipv4:127.0.0.1:1", [CHANNELZ]):
        known: dict[str, Any] = json.loads(cygrpc.channelz_get_top_channels(last))
        return max(int(each["ref"]["channelId"]) for each in known["channel"])
