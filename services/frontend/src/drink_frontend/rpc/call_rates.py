"""Limits how many calls per second may begin; a call above the limit is refused at once.

A refused call costs a fifth of the CPU time of an answered one. A client that continues in spite of
refusals loses its connection; gRPC clients wait for a second before they connect again, and longer
each time.
"""

import math
from collections.abc import Callable

import structlog

from drink_frontend.domain.errors import RateLimitedError
from drink_frontend.domain.rate_limiter import RateLimiter
from drink_frontend.loglines.filter import LogRateLimiter
from drink_frontend.rpc.calls import Kind, Peer
from drink_frontend.rpc.settings import PaceSettings

log = structlog.get_logger(__name__)

TOO_FAST = "too many calls a second"
"""Message of the refusal."""

REFUSALS_LOGGED = 6
"""Refused calls and closed connections that are logged in REFUSALS_S seconds each."""

REFUSALS_S = 60
"""Seconds in which REFUSALS_LOGGED refused calls and as many closed connections are logged."""

REFUSAL_INTERVAL_S = 1.0
"""Seconds after which one more call on a connection may be refused without closing it."""


class CallRates:
    """The rates at which calls begin.

    Args:
        settings: The limits.
        cut: Closes a connection; returns False if it is already closed.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self, settings: PaceSettings, cut: Callable[[Peer], bool], clock: Callable[[], float]
    ) -> None:
        self._cut = cut
        self._clock = clock
        self._turns = {
            Kind.ACCOUNT: _turns(settings.account_calls_per_s, settings.account_calls_burst),
            Kind.STRANGER: _turns(settings.stranger_calls_per_s, settings.stranger_calls_burst),
            Kind.HEALTH: _turns(settings.health_checks_per_s, settings.health_checks_burst),
        }
        self._all_strangers = _turns(
            settings.strangers_busy_per_s, max(1, round(settings.strangers_busy_per_s))
        )
        self._busy = LogRateLimiter(1, REFUSALS_S)
        self._refusals = RateLimiter(burst=settings.refusals_burst, interval_s=REFUSAL_INTERVAL_S)
        self._refused = LogRateLimiter(REFUSALS_LOGGED, REFUSALS_S)
        self._closed = LogRateLimiter(REFUSALS_LOGGED, REFUSALS_S)

    def begin(self, kind: Kind, owner: str, peer: Peer, place: str) -> None:
        """Counts a call that begins, before anything else is done for it.

        Args:
            kind: Its class.
            owner: The account or machine; empty for strangers.
            peer: The other end of its connection.
            place: The place of its client, which differs from the peer's behind a gateway.

        Raises:
            RateLimitedError: too many calls have begun in the last seconds.
        """
        turns = self._turns.get(kind)
        if turns is None:
            return  # The link limits the messages of a machine's agents.
        connection = f"{peer.address} {peer.port}"
        key = {Kind.ACCOUNT: owner, Kind.STRANGER: place}.get(kind, connection)
        now = self._clock()
        wait_s = turns.take_if_free(key, now)
        if not wait_s:
            if kind is Kind.STRANGER:
                self._watch_strangers(place, now)
            return
        self._log_refusal(kind, owner, place, now)
        # The connection of a gateway carries calls of other clients too.
        if self._refusals.take_if_free(connection, now) and place == peer.place:
            self._close(kind, owner, peer, now)
        raise RateLimitedError(TOO_FAST, retry_after_seconds=max(1, math.ceil(wait_s)))

    def _watch_strangers(self, place: str, now: float) -> None:
        """Logs that all strangers together call often, although each is below its own limit."""
        if self._all_strangers.take_if_free("", now) and self._busy.passes(now) is not None:
            log.warning("strangers_busy", latest_from=place)

    def _close(self, kind: Kind, owner: str, peer: Peer, now: float) -> None:
        cut = self._cut(peer)
        unlogged = self._closed.passes(now)
        if unlogged is not None:
            log.warning(
                "connection_cut",
                kind=kind.value,
                owner=owner,
                address=peer.address,
                why=TOO_FAST,
                cut=cut,
                unlogged=unlogged,
            )

    def _log_refusal(self, kind: Kind, owner: str, place: str, now: float) -> None:
        unlogged = self._refused.passes(now)
        if unlogged is not None:
            log.warning(
                "calls_refused",
                kind=kind.value,
                owner=owner,
                place=place,
                why=TOO_FAST,
                unlogged=unlogged,
            )


def _turns(per_s: float, burst: int) -> RateLimiter:
    return RateLimiter(burst=burst, interval_s=1 / per_s)
