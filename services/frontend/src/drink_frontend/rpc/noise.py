"""What comes on gRPC connections beside calls: frames without end, connections without a call.

gRPC answers and forgets such things by itself and tells nobody, so the operating system is asked
how much came on each connection. What is not accounted for by calls is noise.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.rpc.peers import Peer
from drink_frontend.rpc.settings import ConnectionSettings

log = structlog.get_logger(__name__)

CALL_BYTES = 8_192
"""Bytes that a call accounts for, eight times what one with a token takes."""

LOOKS_TOO_MUCH = 3
"""Looks in a row at which too much has come until the connection is closed. One message that is too
large is refused by gRPC, and is no reason."""

LOOKS_WITHOUT_CALL = 5
"""Looks after which a connection counts as one without a call, although it is still there."""

WITHOUT_CALL_LOGGED = 5
"""Connections without a call that are worth a line. Most that come and go at once are never seen,
since they are looked at once a second."""

LINES, LINES_S = 6, 60
"""How many closed connections are logged in how many seconds."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a connection at one look.

    Attributes:
        inode: What tells it from every other one.
        peer: The other end.
        owner: The account or machine that has called on it; empty while none has.
        received: Bytes that have come on it so far; None if the system does not tell.
    """

    inode: int
    peer: Peer
    owner: str
    received: int | None


@dataclass(slots=True)
class _Account:
    """What has come on a connection.

    Attributes:
        peer: The other end.
        at: When it was looked at last.
        received: Bytes that had come by then.
        beside: Bytes beside calls, less what it may send in the meantime.
        too_much: Looks in a row at which that was too much and became more.
        looks: How often it was looked at.
        called: Whether a call has ever begun on it.
        told: Whether it was counted as one without a call.
    """

    peer: Peer
    at: float
    received: int = 0
    beside: float = 0
    too_much: int = 0
    looks: int = 0
    called: bool = False
    told: bool = field(default=False)


class Noise:
    """Finds connections that send much beside calls, and counts those without a call.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self._limits = settings
        self._calls: Counter[Peer] = Counter()
        self._accounts: dict[int, _Account] = {}
        self._without: Counter[str] = Counter()
        self._cuts = LogRateLimiter(LINES, LINES_S)
        # A load balancer that looks whether the port is open makes some all the time.
        self._passers = LogRateLimiter(1, LINES_S)

    def called(self, peer: Peer) -> None:
        """A call has begun on a connection."""
        self._calls[peer] += 1

    def judge(self, there: Iterable[Heard], now: float) -> Sequence[Heard]:
        """The connections of `there` that are to be closed.

        Args:
            there: All connections that there are.
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
        gone, self._accounts = self._accounts, accounts
        self._count_without(gone, accounts)
        self._calls.clear()
        self._log(noisy, now)
        return noisy

    def _bears(self, account: _Account, heard: Heard, now: float) -> bool:
        """Takes note of what came on a connection since the last look; False if it is too much."""
        account.looks += 1
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

    def _count_without(self, gone: Mapping[int, _Account], there: Mapping[int, _Account]) -> None:
        for account in gone.values():
            if not account.called and not account.told and not self._calls[account.peer]:
                self._without[account.peer.place] += 1
        for account in there.values():
            if account.looks >= LOOKS_WITHOUT_CALL and not account.called and not account.told:
                account.told = True
                self._without[account.peer.place] += 1

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
        if self._without.total() >= WITHOUT_CALL_LOGGED and self._passers.passes(now) is not None:
            log.warning(
                "connections_without_calls",
                connections=self._without.total(),
                most_from=self._without.most_common(1)[0][0],
            )
            self._without.clear()
