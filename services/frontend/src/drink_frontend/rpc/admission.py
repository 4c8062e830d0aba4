"""Limits the calls in flight, counted from the moment that their headers have come.

Each call belongs to one of five classes with limits of their own, so that no class can use up the
share of another one. A call with a token that is in no cache has a class of its own until the token
is looked up. At a limit, a stranger's new call takes the place of the oldest call that still waits
for its message. So a client that sends its message at once is served, even at the address of
clients that never send one.
"""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog

from drink_frontend.domain.cache import Cache
from drink_frontend.domain.errors import RateLimitedError
from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.rpc.calls import Call, Kind, Peer, current_call, set_current_call
from drink_frontend.rpc.settings import AdmissionSettings

log = structlog.get_logger(__name__)

REFUSALS_LOGGED = 2
"""Refused or ended calls that are logged per class in REFUSALS_S seconds, so that their clients
cannot fill the disk. The next line contains the number of the others."""

REFUSALS_S = 10
"""Seconds in which REFUSALS_LOGGED calls per class are logged."""

MACHINES_KNOWN_MAX = 1_024
"""Machines' tokens that are cached, some 200 KB."""

WAITING_OF_SUSPECTS_MAX = 2
"""Strangers' calls that may wait for their message on one connection from a suspected place:
another connection from there was closed because of such calls, and most others are like it."""

OTHERS_WAIT = "the message did not come, and others wait"
"""Why a call is ended in favour of another one."""


class _Turns:
    """The look-ups of tokens for calls from one place.

    Attributes:
        semaphore: Limits the look-ups at a time.
        users: Calls that hold the semaphore or wait for it.
    """

    __slots__ = ("semaphore", "users")

    def __init__(self, most: int) -> None:
        self.semaphore = asyncio.Semaphore(most)
        self.users = 0


class Admission:
    """The calls in flight.

    Args:
        settings: The limits.
        calls_max: Most calls of strangers and accounts together that are in flight.
        cut: Closes a connection; returns False if it is already closed.
        is_suspect: Whether another connection from the same place was misused lately.
    """

    def __init__(
        self,
        settings: AdmissionSettings,
        calls_max: int,
        cut: Callable[[Peer], bool],
        is_suspect: Callable[[Peer], bool],
    ) -> None:
        self._limits = settings
        self._cut = cut
        self._is_suspect = is_suspect
        self._silent: Counter[tuple[Peer, str]] = Counter()
        self._calls_max = calls_max
        self._of_kind: Counter[Kind] = Counter()
        self._of_owner: Counter[tuple[Kind, str]] = Counter()
        self._of_place: Counter[str] = Counter()
        self._of_connection: Counter[tuple[Peer, str]] = Counter()
        self._waiting: defaultdict[object, dict[Call, None]] = defaultdict(dict)
        self._machines = Cache[str, str](MACHINES_KNOWN_MAX)
        self._look_ups_in_all = asyncio.Semaphore(settings.look_ups_max)
        self._look_ups: dict[str, _Turns] = {}
        self._refusals = {kind: LogRateLimiter(REFUSALS_LOGGED, REFUSALS_S) for kind in Kind}

    def __len__(self) -> int:
        return self._of_kind.total()

    def count(self, kind: Kind) -> int:
        """The number of calls of a class that are in flight."""
        return self._of_kind[kind]

    def enter(self, kind: Kind, owner: str, peer: Peer, place: str = "") -> Call:
        """Admits a call, which the current task serves.

        Args:
            kind: Its class, as far as it is known.
            owner: The account or machine; empty for strangers.
            peer: The other end of its connection.
            place: The place of its client; empty for the place of the peer.

        Raises:
            RateLimitedError: its class is full, and no call can be ended for this one.
        """
        task = asyncio.current_task()
        assert task is not None
        call = Call(kind, owner, peer, place or peer.place, task)
        self._take(call)
        set_current_call(call)
        return call

    def identified(self, kind: Kind, owner: str) -> None:
        """Moves the current call to the class of an account or machine.

        Raises:
            RateLimitedError: the account or machine has too many calls in flight.
        """
        call = current_call()
        if (call.kind, call.owner) != (kind, owner):
            self._give_back(call)
            call.kind, call.owner = kind, owner
            self._take(call)

    def message_came(self, call: Call, *, uncount: bool) -> None:
        """Notes that a call's message has come; the call is not ended for another one any more.

        Args:
            call: The call.
            uncount: Whether the call no longer takes a place in its class, since it is counted
                elsewhere.
        """
        if call.waiting:
            call.waiting = False
            self._stop_waiting(call)
            self._silent.pop(call.connection, None)
        if uncount:
            self._give_back(call)

    def waits_again(self, call: Call) -> None:
        """Notes that a stranger's call waits for the next message of its stream."""
        if call.kind is Kind.STRANGER and call.counted:
            call.waiting = True
            self._wait(call)

    def left(self, call: Call) -> None:
        """Removes a call that has ended."""
        self._give_back(call)
        if call.connection not in self._of_connection:
            self._silent.pop(call.connection, None)

    def silent(self, call: Call, why: str) -> None:
        """Notes that a call was ended because its message did not come.

        After some such calls of strangers their connection is closed; after the first one if its
        place is suspected.
        """
        self.log_refusal(call, why)
        # The connection of a gateway carries calls of other clients too.
        if call.kind in (Kind.STRANGER, Kind.HEALTH) and call.place == call.peer.place:
            self._silent[call.connection] += 1
            is_much = self._silent[call.connection] >= self._limits.silent_calls_max
            if is_much or self._is_suspect(call.peer):
                del self._silent[call.connection]
                self._cut(call.peer)

    def machine_of(self, token_digest: str) -> str | None:
        """The machine of a token when it was last looked up; None if it is not cached."""
        return self._machines.get_cached(token_digest)

    def remember_machine(self, token_digest: str, machine: str) -> None:
        """Caches the machine of a token."""
        self._machines.keep(token_digest, machine)

    def forget_machine(self, token_digest: str) -> None:
        """Removes a token from the cache, since it was found to be invalid."""
        self._machines.forget(token_digest)

    @contextlib.asynccontextmanager
    async def look_up(self) -> AsyncIterator[None]:
        """Waits for the right to look up the token of the current call.

        Look-ups are limited per place and in all, so that guessed tokens do not occupy the
        database. A token that is cached is looked up again without waiting.
        """
        call = current_call()
        if call.kind not in (Kind.STRANGER, Kind.UNKNOWN):
            yield
            return
        place = call.place
        turns = self._look_ups.get(place)
        if turns is None:
            turns = self._look_ups[place] = _Turns(self._limits.look_ups_per_address_max)
        turns.users += 1
        try:
            async with turns.semaphore, self._look_ups_in_all:
                yield
        finally:
            turns.users -= 1
            if not turns.users:
                del self._look_ups[place]

    def log_refusal(self, call: Call, why: str, **facts: Any) -> None:
        """Logs a refused or ended call, within the limits of its class."""
        unlogged = self._refusals[call.kind].passes(asyncio.get_running_loop().time())
        if unlogged is not None:
            log.warning(
                "calls_refused",
                kind=call.kind.value,
                owner=call.owner,
                place=call.place,
                why=why,
                unlogged=unlogged,
                **facts,
            )

    def _take(self, call: Call) -> None:
        for full, victim in self._bounds(call):
            if full():
                self._make_room(call, victim)
        self._of_kind[call.kind] += 1
        if call.owner:
            self._of_owner[call.kind, call.owner] += 1
        if call.kind is Kind.STRANGER:
            self._of_place[call.place] += 1
            self._of_connection[call.connection] += 1
        if call.waiting:
            self._wait(call)
        call.counted = True

    def _bounds(
        self, call: Call
    ) -> list[tuple[Callable[[], bool], Callable[[], Call | None] | None]]:
        """The limits of a call's class: whether each is reached, and which call to end then."""
        limits, connection, place = self._limits, call.connection, call.place
        match call.kind:
            case Kind.STRANGER:
                return [
                    (
                        lambda: self._waits_too_much(call),
                        lambda: self._oldest(connection),
                    ),
                    (
                        lambda: (
                            self._of_connection[connection] >= limits.strangers_per_connection_max
                        ),
                        lambda: self._oldest(connection),
                    ),
                    (
                        lambda: self._of_place[place] >= limits.strangers_per_address_max,
                        lambda: self._oldest((Kind.STRANGER, place)),
                    ),
                    (
                        lambda: self._of_kind[Kind.STRANGER] >= limits.strangers_max,
                        self._oldest_of_most_crowded,
                    ),
                    (self._is_full, self._oldest_of_most_crowded),
                ]
            case Kind.UNKNOWN:
                return [
                    (
                        lambda: self._of_kind[Kind.UNKNOWN] >= limits.unknown_tokens_max,
                        lambda: self._oldest_of_most_crowded(Kind.UNKNOWN),
                    )
                ]
            case Kind.ACCOUNT:
                mine = (call.kind, call.owner)
                return [
                    (lambda: self._of_owner[mine] >= limits.calls_per_account_max, None),
                    (self._is_full, self._oldest_of_most_crowded),
                ]
            case Kind.MACHINE:
                machine = (call.kind, call.owner)
                return [(lambda: self._of_owner[machine] >= limits.calls_per_machine_max, None)]
            case Kind.HEALTH:
                return [
                    (
                        lambda: self._of_kind[Kind.HEALTH] >= limits.health_max,
                        lambda: self._oldest(Kind.HEALTH),
                    )
                ]

    def _waits_too_much(self, call: Call) -> bool:
        waiting = self._waiting_at(call.connection)
        return waiting >= self._limits.waiting_per_connection_max or (
            waiting >= WAITING_OF_SUSPECTS_MAX and self._is_suspect(call.peer)
        )

    def _is_full(self) -> bool:
        return self._of_kind[Kind.STRANGER] + self._of_kind[Kind.ACCOUNT] >= self._calls_max

    def _make_room(self, call: Call, victim: Callable[[], Call | None] | None) -> None:
        other = victim() if victim is not None else None
        if other is None:
            self.log_refusal(call, "too many calls are under way")
            raise RateLimitedError("too many calls are under way")
        self._give_back(other)
        other.end(OTHERS_WAIT)
        self.silent(other, OTHERS_WAIT)

    def _wait(self, call: Call) -> None:
        """Adds a call to the groups of which another call may end the oldest one."""
        if call.kind is Kind.HEALTH:
            self._waiting[Kind.HEALTH][call] = None
        elif call.kind is Kind.UNKNOWN:
            self._waiting[Kind.UNKNOWN, call.place][call] = None
        elif call.kind is Kind.STRANGER:
            self._waiting[call.connection][call] = None
            self._waiting[Kind.STRANGER, call.place][call] = None

    def _stop_waiting(self, call: Call) -> None:
        for group in (call.kind, call.connection, (call.kind, call.place)):
            if group in self._waiting:
                self._waiting[group].pop(call, None)
                if not self._waiting[group]:
                    del self._waiting[group]

    def _waiting_at(self, group: object) -> int:
        return len(self._waiting[group]) if group in self._waiting else 0

    def _oldest(self, group: object) -> Call | None:
        return next(iter(self._waiting[group]), None) if group in self._waiting else None

    def _oldest_of_most_crowded(self, kind: Kind = Kind.STRANGER) -> Call | None:
        groups = [group for group in self._waiting if isinstance(group, tuple) and group[0] is kind]
        if not groups:
            return None
        return self._oldest(max(groups, key=lambda group: len(self._waiting[group])))

    def _give_back(self, call: Call) -> None:
        self._stop_waiting(call)
        if not call.counted:
            return
        call.counted = False
        self._of_kind[call.kind] -= 1
        if call.owner:
            _decrease(self._of_owner, (call.kind, call.owner))
        if call.kind is Kind.STRANGER:
            _decrease(self._of_place, call.place)
            _decrease(self._of_connection, call.connection)


def _decrease(counter: Counter[Any], key: object) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
