"""Detects misuse of connections that gRPC does not report: bytes beside calls, and no calls at all.

gRPC's C library answers and discards frames without end, bytes that are not HTTP/2, metadata that
is too large and TLS handshakes that fail, without any hook. So the operating system is asked how
many bytes arrived on each connection, and gRPC's own numbering how many connections there were.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.rpc.calls import Peer
from drink_frontend.rpc.settings import ConnectionSettings

log = structlog.get_logger(__name__)

CALL_BYTES = 8_192
"""Bytes that a call accounts for, eight times what one with a token takes."""

CHECKS_TOO_MUCH = 3
"""Consecutive checks with too many bytes after which a connection is closed. A single message that
is too large is refused by gRPC and does not close the connection."""

LINES, LINES_S = 6, 60
"""How many closed connections are logged in how many seconds."""

LOOK_S = 2.0
"""Seconds between two counts: an attack is logged that soon. A count takes some ten milliseconds of
a thread."""

CALLERS_MAX = 4_096
"""Connections remembered as callers; those seen first are forgotten first."""

CHANNELZ = ("grpc.enable_channelz", 1)
"""The option with which gRPC numbers the connections of a server, and its channels."""


@dataclass(frozen=True, slots=True)
class ConnectionTraffic:
    """A connection at one check.

    Attributes:
        inode: Identifies its socket.
        peer: The other end.
        owner: The account or machine that has called on it; empty while none has.
        received: Bytes received on it so far; None if the operating system does not count them.
    """

    inode: int
    peer: Peer
    owner: str
    received: int | None


@dataclass(slots=True)
class _Meter:
    """Bytes received on a connection.

    Attributes:
        peer: The other end.
        at: Time of the last check.
        received: Bytes received by then.
        beside: Bytes beside calls, less the bytes allowed in the meantime.
        too_much: Consecutive checks at which `beside` was too large and still grew.
        called: Whether a call has ever begun on it.
    """

    peer: Peer
    at: float
    received: int = 0
    beside: float = 0
    too_much: int = 0
    called: bool = False


class TrafficMeter:
    """Finds connections that send much beside calls.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self._limits = settings
        self._calls: Counter[Peer] = Counter()
        self._carried: Counter[Peer] = Counter()
        self._meters: dict[int, _Meter] = {}
        self._cuts = LogRateLimiter(LINES, LINES_S)

    def called(self, peer: Peer) -> None:
        """Counts a call that begins on a connection."""
        self._calls[peer] += 1

    def carried(self, peer: Peer, size: int) -> None:
        """Counts the bytes of a message beyond the first one of a call."""
        self._carried[peer] += size

    def places_without_call(self) -> Counter[str]:
        """Connections at the last check on which no call has begun, counted by place."""
        return Counter(meter.peer.place for meter in self._meters.values() if not meter.called)

    def excessive(
        self, there: Iterable[ConnectionTraffic], now: float
    ) -> Sequence[ConnectionTraffic]:
        """Selects the connections of `there` that must be closed.

        Args:
            there: All open connections whose bytes count.
            now: Monotonic seconds.
        """
        meters: dict[int, _Meter] = {}
        noisy = []
        for connection in there:
            meter = self._meters.pop(connection.inode, None)
            if meter is None:
                meter = _Meter(connection.peer, now)
            meters[connection.inode] = meter
            if not self._is_acceptable(meter, connection, now):
                noisy.append(connection)
        self._meters = meters
        self._calls.clear()
        self._carried.clear()
        self._log(noisy, now)
        return noisy

    def _is_acceptable(self, meter: _Meter, connection: ConnectionTraffic, now: float) -> bool:
        """Counts the bytes since the last check; returns False if they are too many."""
        calls = self._calls[connection.peer]
        meter.called = meter.called or bool(calls or connection.owner)
        if connection.received is None:
            return True
        limits, allowed = self._limits, self._limits.noise_bytes_per_s * (now - meter.at)
        # A call that began before the last check may have sent its message since.
        beside = connection.received - meter.received - (calls + meter.called) * CALL_BYTES
        beside -= self._carried[connection.peer]
        meter.at, meter.received = now, connection.received
        meter.beside = max(0.0, meter.beside + beside - allowed)
        is_too_much = beside > allowed and meter.beside > limits.noise_bytes_burst
        meter.too_much = meter.too_much + 1 if is_too_much else 0
        return meter.too_much < CHECKS_TOO_MUCH

    def _log(self, noisy: Sequence[ConnectionTraffic], now: float) -> None:
        for connection in noisy:
            unlogged = self._cuts.passes(now)
            if unlogged is not None:
                log.warning(
                    "connection_cut",
                    kind=connection.owner.partition(" ")[0] or "stranger",
                    owner=connection.owner.partition(" ")[2],
                    address=connection.peer.address,
                    why="it sends much beside calls",
                    unlogged=unlogged,
                )


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


class UncalledConnections:
    """Counts the connections that are opened and those of them that call, and logs the difference.

    The first `report_min` connections without a call within `interval_s` are logged at once, all
    that follow once in each `interval_s`.

    Args:
        interval_s: Seconds in which connections are counted together.
        report_min: ConnectionLimits without a call in that time from which on they are logged.

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
        """Counts a call that begins on a connection."""
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
            opened: ConnectionLimits that finished their handshake.
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
