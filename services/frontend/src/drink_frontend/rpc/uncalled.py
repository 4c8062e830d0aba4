"""Notices connections on which nobody calls, of which gRPC tells nothing.

Bytes that are not HTTP/2, metadata that is too large and TLS handshakes that fail are answered and
forgotten by gRPC's C library; a stranger could send them without end and nobody would know.
"""

import asyncio
import json
import threading
from typing import Any

import grpc
import structlog
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from drink_frontend.rpc.peers import Peer

log = structlog.get_logger(__name__)

CALLERS_MAX = 4_096
"""Connections that are known to have called; the ones first seen are forgotten first."""

CHANNELZ = ("grpc.enable_channelz", 1)
"""The option with which gRPC numbers the connections of a server, and its channels."""


class Handshakes:
    """Counts the TLS handshakes that have begun; gRPC's threads tell of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = 0

    def begun(self) -> None:
        """One more has begun."""
        with self._lock:
            self._begun += 1

    def take(self) -> int:
        """How many have begun since the last time."""
        with self._lock:
            begun, self._begun = self._begun, 0
        return begun


class Uncalled:
    """Counts connections that come and the ones of them that call; logs where few do.

    Args:
        interval_s: Seconds between two counts.
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

    def called(self, peer: Peer) -> None:
        """A call has begun on a connection."""
        if peer not in self._callers:
            if len(self._callers) >= CALLERS_MAX:
                del self._callers[next(iter(self._callers))]
            self._callers[peer] = None
            self._new_callers += 1

    async def follow(self) -> None:
        """Counts again and again, until cancelled."""
        number = await asyncio.to_thread(next_number, 0)
        while True:
            await asyncio.sleep(self._interval_s)
            last, number = number, await asyncio.to_thread(next_number, number)
            # One of the numbers is the one that asks.
            self._report(number - last - 1)

    def _report(self, opened: int) -> None:
        handshakes, called = self.handshakes.take(), self._new_callers
        self._new_callers = 0
        uncalled = max(opened, handshakes) - called
        if uncalled >= self._report_min:
            log.warning(
                "connections_without_calls",
                connections=uncalled,
                failed_handshakes=max(0, handshakes - opened),
                seconds=self._interval_s,
            )


def next_number(last: int) -> int:
    """The number that gRPC gives to whatever is opened next, connection or channel.

    It numbers all of them in one row, so that the difference of two answers tells how many
    connections were accepted in between. Takes some ten milliseconds.

    Args:
        last: What it said the last time.
    """
    with grpc.insecure_channel("ipv4:127.0.0.1:1", [CHANNELZ]):
        known: dict[str, Any] = json.loads(cygrpc.channelz_get_top_channels(last))
        return max(int(each["ref"]["channelId"]) for each in known["channel"])
