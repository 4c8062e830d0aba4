"""Closes connections on which much arrives beside calls, such as frames without end.

gRPC answers and discards such frames without any hook, so the operating system is asked how many
bytes arrived on each connection. Bytes that calls do not account for are noise.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.rpc.calls import Peer
from drink_frontend.rpc.settings import ConnectionSettings

log = structlog.get_logger(__name__)

CALL_BYTES = 8_192
"""Bytes that a call accounts for, eight times what one with a token takes."""

LOOKS_TOO_MUCH = 3
"""Consecutive looks with too many bytes after which a connection is closed. A single message that
is too large is refused by gRPC and does not close the connection."""

LINES, LINES_S = 6, 60
"""How many closed connections are logged in how many seconds."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A connection at one look.

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
class _Account:
    """Bytes received on a connection.

    Attributes:
        peer: The other end.
        at: Time of the last look.
        received: Bytes received by then.
        beside: Bytes beside calls, less what was allowed in the meantime.
        too_much: Consecutive looks at which that was too much and still grew.
        called: Whether a call has ever begun on it.
    """

    peer: Peer
    at: float
    received: int = 0
    beside: float = 0
    too_much: int = 0
    called: bool = False


class Noise:
    """Finds connections that send much beside calls.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self._limits = settings
        self._calls: Counter[Peer] = Counter()
        self._accounts: dict[int, _Account] = {}
        self._cuts = LogRateLimiter(LINES, LINES_S)

    def called(self, peer: Peer) -> None:
        """A call has begun on a connection."""
        self._calls[peer] += 1

    def places_without_call(self) -> Counter[str]:
        """Connections at the last look on which no call has begun, counted by place."""
        return Counter(
            account.peer.place for account in self._accounts.values() if not account.called
        )

    def judge(self, there: Iterable[Heard], now: float) -> Sequence[Heard]:
        """Selects the connections of `there` that must be closed.

        Args:
            there: All open connections.
            now: Monotonic seconds.
        """
        accounts: dict[int, _Account] = {}
        noisy = []
        for heard in there:
            account = self._accounts.pop(heard.inode, None)
            if account is None:
                account = _Account(heard.peer, now)
            accounts[heard.inode] = account
            if not self._bears(account, heard, now):
                noisy.append(heard)
        self._accounts = accounts
        self._calls.clear()
        self._log(noisy, now)
        return noisy

    def _bears(self, account: _Account, heard: Heard, now: float) -> bool:
        """Counts the bytes since the last look; returns False if they are too many."""
        calls = self._calls[heard.peer]
        account.called = account.called or bool(calls or heard.owner)
        if heard.received is None:
            return True
        # Links carry messages without calls, and gateways other people's; both have other limits.
        if heard.owner.startswith(("machine", "gateway")):
            return True
        limits, allowed = self._limits, self._limits.noise_bytes_per_s * (now - account.at)
        # A call that began at the last look may have sent its message since.
        beside = heard.received - account.received - (calls + account.called) * CALL_BYTES
        account.at, account.received = now, heard.received
        account.beside = max(0.0, account.beside + beside - allowed)
        is_too_much = beside > allowed and account.beside > limits.noise_bytes_burst
        account.too_much = account.too_much + 1 if is_too_much else 0
        return account.too_much < LOOKS_TOO_MUCH

    def _log(self, noisy: Sequence[Heard], now: float) -> None:
        for heard in noisy:
            unlogged = self._cuts.passes(now)
            if unlogged is not None:
                log.warning(
                    "connection_cut",
                    kind=heard.owner.partition(" ")[0] or "stranger",
                    owner=heard.owner.partition(" ")[2],
                    address=heard.peer.address,
                    why="it sends much beside calls",
                    unlogged=unlogged,
                )
