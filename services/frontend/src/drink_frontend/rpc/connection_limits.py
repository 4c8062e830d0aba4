"""Limits the number of gRPC connections, and closes strangers' connections first.

gRPC accepts a number of connections and refuses all others, whoever opens them. So that strangers
cannot keep users and agents out, some places are kept free: connections on which no account and no
machine has called are closed, the oldest ones of the address with most of them first.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.rpc.calls import Peer, peer_at
from drink_frontend.rpc.connection_abuse import ConnectionTraffic, TrafficMeter
from drink_frontend.rpc.settings import ConnectionSettings
from drink_frontend.system.connection_rates import ConnectionRates
from drink_frontend.system.sockets import Accepted, AcceptedConnections

log = structlog.get_logger(__name__)

COMFORTABLE = 0.75
"""Share of the allowed connections above which strangers' are closed. The rest is for connections
that are opened between two checks, so that none of them is refused."""

CUTS_LOGGED = 2
"""Checks that closed connections and are logged in CUTS_S seconds."""

CUTS_S = 10
"""Seconds in which CUTS_LOGGED checks are logged."""

UNMETERED = ("machine", "gateway")
"""Owners whose bytes are not counted beside calls: links carry messages without new calls, gateways
those of others; both have other limits."""


@dataclass(slots=True)
class Use:
    """The calls on a connection, which may not have been found yet.

    Attributes:
        owner: The account or machine that has called on it; empty while none has.
        calls: Calls in flight on it.
        checks_without: Consecutive checks that did not find the connection.
    """

    owner: str = ""
    calls: int = 0
    checks_without: int = 0


@dataclass(slots=True)
class Connection:
    """An open connection.

    Attributes:
        accepted: Its socket, as the operating system lists it.
        peer: The other end.
        age: Counts connections in the order in which they were first found.
        use: The calls on it.
        closed: Whether it was closed here; gRPC needs a moment to notice.
    """

    accepted: Accepted
    peer: Peer
    age: int
    use: Use
    closed: bool = False


@dataclass(slots=True)
class Listener:
    """A port and the connections allowed on it.

    Attributes:
        port: The TCP port.
        connections_max: Most connections to it.
        rates: How often each place connects to it.
        crowded: Whether strangers' connections had to be closed at the last check.
    """

    port: int
    connections_max: int
    rates: ConnectionRates
    crowded: bool = field(default=False)


class ConnectionLimits:
    """All gRPC connections of this process.

    Args:
        settings: The limits.
        accepted: Lists and closes connections.
        clock: Monotonic time in seconds.
        called: Called with the peer of each call that begins.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        accepted: AcceptedConnections,
        clock: Callable[[], float],
        called: Callable[[Peer], None] = lambda _: None,
    ) -> None:
        self._limits = settings
        self._accepted = accepted
        self._clock = clock
        self._called = called
        self._listeners: dict[int, Listener] = {}
        self._unfound: dict[Peer, Use] = {}
        self._seen: dict[int, Connection] = {}
        self._by_peer: dict[Peer, Connection] = {}
        self._unmetered: frozenset[int] = frozenset()
        self._ages = 0
        self._cuts = LogRateLimiter(CUTS_LOGGED, CUTS_S)
        self._traffic = TrafficMeter(settings)

    def add_listener(self, port: int, connections_max: int) -> None:
        """Adds a listener whose connections are limited."""
        ignore = partial(self._accepted.ignore, port)
        rates = ConnectionRates(f"rpc {port}", self._limits.opening, ignore)
        self._listeners[port] = Listener(port, connections_max, rates)

    @property
    def crowded(self) -> bool:
        """Whether strangers' connections had to be closed at the last check."""
        return any(listener.crowded for listener in self._listeners.values())

    def places_without_call(self) -> Counter[str]:
        """Connections at the last check on which no call has begun, counted by place."""
        return self._traffic.places_without_call()

    def began(self, peer: Peer) -> None:
        """Counts a call that begins on a connection."""
        self._use(peer).calls += 1
        self._traffic.called(peer)
        self._called(peer)

    def carried(self, peer: Peer, size: int) -> None:
        """Counts the bytes of a message in a stream that an account sends on a connection."""
        self._traffic.carried(peer, size)

    def ended(self, peer: Peer) -> None:
        """Counts a call that has ended on a connection."""
        connection = self._by_peer.get(peer)
        use = self._unfound.get(peer) if connection is None else connection.use
        if use is not None:
            use.calls -= 1
            if connection is None and not use.calls and not use.owner:
                del self._unfound[peer]

    def set_owner(self, peer: Peer, owner: str) -> None:
        """Notes which account or machine, or that a gateway, has called on the connection."""
        use = self._use(peer)
        connection = self._by_peer.get(peer)
        if connection is not None and not use.owner:
            self._rates(connection).uncount(peer.place)
        use.owner = owner

    def _use(self, peer: Peer) -> Use:
        connection = self._by_peer.get(peer)
        if connection is not None:
            return connection.use
        return self._unfound.setdefault(peer, Use())

    def is_suspect(self, peer: Peer) -> bool:
        """Whether another connection from the place of this one was misused lately."""
        connection = self._by_peer.get(peer)
        return connection is not None and self._rates(connection).is_suspect(
            peer.place, self._clock()
        )

    def list_open(self) -> Sequence[Accepted]:
        """Lists all open connections; may run on a thread, one call at a time."""
        return self._accepted.look(self._listeners.keys(), self._unmetered)

    def enforce(self, found: Sequence[Accepted]) -> None:
        """Closes connections above the limits.

        Args:
            found: All open connections, from `list_open`.
        """
        self._update(found)
        for listener in self._listeners.values():
            there = [
                each for each in self._seen.values() if each.accepted.local_port == listener.port
            ]
            victims = to_close(there, listener.connections_max, self._limits)
            listener.crowded = len(there) > listener.connections_max * COMFORTABLE
            for victim in victims:
                if self._close(victim):
                    crowded_cost = self._limits.opening.crowded_cost
                    listener.rates.count(victim.peer.place, self._clock(), crowded_cost)
            if victims:
                self._log(listener, victims)
            listener.rates.resume(self._clock())
        self._close_excessive()

    def _close_excessive(self) -> None:
        received = self._accepted.received
        unmetered = frozenset(
            inode for inode, each in self._seen.items() if each.use.owner.startswith(UNMETERED)
        )
        there = [
            ConnectionTraffic(inode, each.peer, each.use.owner, received.get(inode))
            for inode, each in self._seen.items()
            if inode not in unmetered
        ]
        for each in self._traffic.excessive(there, self._clock()):
            self._close_misused(self._seen[each.inode])
        self._unmetered = unmetered

    def cut(self, peer: Peer) -> bool:
        """Closes one connection that is misused; returns False if it is already closed."""
        connection = self._by_peer.get(peer)
        if connection is None:
            self._update(self.list_open())
            connection = self._by_peer.get(peer)
        return connection is not None and self._close_misused(connection)

    def _close_misused(self, connection: Connection) -> bool:
        if not self._close(connection):
            return False
        if not connection.use.owner:
            place, cost = connection.peer.place, self._limits.misused_cost
            self._rates(connection).misused(place, self._clock(), cost)
        return True

    def _close(self, connection: Connection) -> bool:
        if connection.closed or not self._accepted.cut(connection.accepted):
            return False
        connection.closed = True
        return True

    def _rates(self, connection: Connection) -> ConnectionRates:
        return self._listeners[connection.accepted.local_port].rates

    def _update(self, found: Sequence[Accepted]) -> None:
        there = {accepted.inode: accepted for accepted in found}
        for inode in self._seen.keys() - there.keys():
            gone = self._seen.pop(inode)
            if self._by_peer.get(gone.peer) is gone:
                del self._by_peer[gone.peer]
                self._unfound[gone.peer] = gone.use
        for inode in sorted(there.keys() - self._seen.keys()):
            self._add(there[inode])
        for peer, use in list(self._unfound.items()):
            if not use.calls:
                # The first time, the connection may have been opened after the check.
                use.checks_without += 1
                if use.checks_without > 1:
                    del self._unfound[peer]

    def _add(self, accepted: Accepted) -> None:
        peer = peer_at(accepted.address, accepted.port)
        use = self._unfound.pop(peer, None) or Use()
        use.checks_without = 0
        self._ages += 1
        connection = Connection(accepted, peer, self._ages, use)
        if not use.owner:
            self._rates(connection).count(peer.place, self._clock())
        self._seen[accepted.inode] = self._by_peer[peer] = connection

    def _log(self, listener: Listener, victims: Sequence[Connection]) -> None:
        unlogged = self._cuts.passes(self._clock())
        if unlogged is not None:
            places = Counter(victim.peer.place for victim in victims)
            log.warning(
                "connections_closed",
                port=listener.port,
                closed=len(victims),
                connections_max=listener.connections_max,
                most_from=places.most_common(1)[0][0],
                unlogged=unlogged,
            )


def to_close(
    connections: Iterable[Connection], connections_max: int, limits: ConnectionSettings
) -> Sequence[Connection]:
    """Selects the connections of one listener that must be closed; a pure function.

    Args:
        connections: All connections of the listener.
        connections_max: Most connections of the listener.
        limits: The limits per address and per account.
    """
    rest = {each.age: each for each in connections}
    closed: list[Connection] = []

    def close(victims: Iterable[Connection]) -> None:
        closed.extend(rest.pop(victim.age) for victim in victims)

    close(_above(limits.per_address_max, list(rest.values()), _place_of, _stranger))
    known = [each for each in rest.values() if each.use.owner]
    close(_above(limits.per_account_max, known, _owner_of, _idle))
    comfortable = int(connections_max * COMFORTABLE)
    for candidates, group in ((_stranger, _place_of), (_idle, _owner_of)):
        surplus = len(rest) - comfortable
        if surplus > 0:
            close(_from_largest(_grouped(filter(candidates, rest.values()), group), surplus))
    return closed


def _stranger(connection: Connection) -> bool:
    return not connection.use.owner


def _idle(connection: Connection) -> bool:
    return not connection.use.calls


def _place_of(connection: Connection) -> str:
    return connection.peer.place


def _owner_of(connection: Connection) -> str:
    return connection.use.owner


def _order(connection: Connection) -> tuple[bool, int]:
    """Sort key: connections without calls first, older ones before newer ones."""
    return bool(connection.use.calls), connection.age


def _above(
    most: int,
    connections: Sequence[Connection],
    key: Callable[[Connection], str],
    may_close: Callable[[Connection], bool],
) -> list[Connection]:
    """What groups of more than `most` have too much, as far as it may be closed."""
    candidates = list(filter(may_close, connections))
    # Most looks find none, and do not even count.
    if len(connections) <= most or not candidates:
        return []
    sizes = Counter(map(key, connections))
    return [
        victim
        for there in _grouped(candidates, key)
        for victim in sorted(there, key=_order)[: max(0, sizes[key(there[0])] - most)]
    ]


def _grouped(
    connections: Iterable[Connection], key: Callable[[Connection], str]
) -> list[list[Connection]]:
    groups: defaultdict[str, list[Connection]] = defaultdict(list)
    for connection in connections:
        groups[key(connection)].append(connection)
    return list(groups.values())


def _from_largest(groups: Iterable[list[Connection]], most: int) -> list[Connection]:
    """Up to `most` connections, each taken from the group that is largest at that moment."""
    heap = [
        (-len(group), number, sorted(group, key=_order, reverse=True))
        for number, group in enumerate(groups)
    ]
    heapq.heapify(heap)
    taken: list[Connection] = []
    while heap and len(taken) < most:
        size, number, group = heapq.heappop(heap)
        taken.append(group.pop())
        if group:
            heapq.heappush(heap, (size + 1, number, group))
    return taken
