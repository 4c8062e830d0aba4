"""How fast calls may begin: whoever calls without a pause is refused before anything is done.

A call that is refused costs a fifth of one that is answered, but it costs something. So who goes on
in spite of refusals loses the connection; a client of gRPC waits for a second then, and longer each
time.
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
"""Why a call is refused."""

REFUSALS_LOGGED = 6
"""Refused calls and closed connections that are logged in REFUSALS_S seconds each."""

REFUSALS_S = 60
"""See REFUSALS_LOGGED."""

REFUSAL_INTERVAL_S = 1.0
"""Seconds after which a connection may have one more call refused without being closed."""


class CallRates:
    """The rates of all calls.

    Args:
        settings: The limits.
        cut: Ends a connection; says whether it could.
        clock: Seconds of a monotonic clock.
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
        """A call begins; to be asked before anything else is done for it.

        Args:
            kind: Its class.
            owner: The account or machine; empty for strangers.
            peer: The other end of its connection.
            place: Where it comes from, which is not the peer's place behind a gateway.

        Raises:
            RateLimitedError: it comes too soon after those before it.
        """
        turns = self._turns.get(kind)
        if turns is None:
            return  # What a machine's agents may send is limited by its link.
        connection = f"{peer.address} {peer.port}"
        key = {Kind.ACCOUNT: owner, Kind.STRANGER: place}.get(kind, connection)
        now = self._clock()
        wait_s = turns.take_if_free(key, now)
        if not wait_s:
            if kind is Kind.STRANGER:
                self._watch_strangers(place, now)
            return
        self._log_refusal(kind, owner, place, now)
        # A gateway's connection carries others' calls too.
        if self._refusals.take_if_free(connection, now) and place == peer.place:
            self._close(kind, owner, peer, now)
        raise RateLimitedError(TOO_FAST, retry_after_seconds=max(1, math.ceil(wait_s)))

    def _watch_strangers(self, place: str, now: float) -> None:
        """Tells of strangers who are too many together, though none of them calls too fast."""
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
