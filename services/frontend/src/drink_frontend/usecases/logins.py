"""Rate limits of logins: guessing is slow, and a correct password is accepted.

A failed attempt consumes turns; an attempt without a free turn waits, and is refused only if it
would wait too long. A successful attempt consumes none. Turns are counted

- for each account from each place, whatever else happens there,
- for each place, over all accounts: one count for accounts that have logged in from there before,
  and one for all others, so that guesses at strange names keep none of the former waiting,
- for each account, over all places from which it has not logged in before. A site that has hardly
  failed for the account yet is not delayed by that: an owner is not locked out at a new address.

`LoginSettings` has the numbers. A guesser at the same account from the same place cannot be told
from its owner, and shares the turns with the owner.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from drink_frontend.domain.errors import CredentialsInvalidError, DrinkError, RateLimitedError
from drink_frontend.domain.origin import place, site
from drink_frontend.domain.ports import Clock
from drink_frontend.domain.rate_limiter import RateLimiter
from drink_frontend.usecases.settings import LoginSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")

_Lane = tuple[RateLimiter, str]
"""A limiter, and the key in it."""


class Logins:
    """The turns of attempts to log in.

    Args:
        clock: Time.
        settings: Rates and limits.
        sleep: Waits for that many seconds of the clock.
    """

    def __init__(
        self,
        clock: Clock,
        settings: LoginSettings,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._wait_max_s = settings.wait_max_s
        self._known_max = settings.known_max
        self._by_pair = RateLimiter(burst=settings.failures_free, interval_s=settings.interval_s)
        self._by_place = RateLimiter(
            burst=settings.place_failures_free, interval_s=settings.place_interval_s
        )
        self._by_known = RateLimiter(
            burst=settings.known_failures_free, interval_s=settings.known_interval_s
        )
        self._by_account = RateLimiter(
            burst=settings.account_failures_free, interval_s=settings.account_interval_s
        )
        self._by_site = RateLimiter(
            burst=settings.site_failures_free, interval_s=settings.site_interval_s
        )
        self._known: OrderedDict[str, None] = OrderedDict()
        self.results = {"accepted": 0, "refused": 0, "limited": 0}
        """Attempts since the start by their result: `refused` were wrong, `limited` too many."""

    async def attempt(
        self, origin: str, account: str, verify: Callable[[], Awaitable[T | None]]
    ) -> T:
        """Verifies an attempt, and returns the result once its turn has come.

        Args:
            origin: Address that the attempt comes from.
            account: The account in one spelling, or another credential that is guessed at.
            verify: Returns the account that the attempt logs in to; None if the attempt is wrong.

        Raises:
            CredentialsInvalidError: it is wrong.
            RateLimitedError: its turn would come too late, or verifying took too much at once.
            DrinkError: `verify` raised it; no turn is consumed.
        """
        pair = f"{account} {place(origin)}"
        turns = (
            await self._turn(origin, account, pair) if self._wait_s(origin, account, pair) else []
        )
        try:
            found = await verify()
        except DrinkError:
            _give_back(turns)
            raise
        if not turns and (found is None or self._wait_s(origin, account, pair)):
            # A correct guess among many concurrent ones is answered no sooner than the others,
            # all of which began before the first one had failed.
            turns = await self._turn(origin, account, pair)
        if found is None:
            self.results["refused"] += 1
            log.info("login_failed", origin=origin)
            raise CredentialsInvalidError("the credentials do not match")
        _give_back(turns)
        self.results["accepted"] += 1
        self._remember(pair)
        return found

    def lane(self, origin: str, account: str) -> tuple[str, str]:
        """Group and lane in which an attempt's hash waits for its turn.

        Attempts for an account from a place where it has logged in before wait in the group
        `known`, in the account's lane. All others wait in the group `new`, in the lane of their
        place. So neither guesses from many places nor one account that logs in without a pause keep
        other accounts waiting.
        """
        if f"{account} {place(origin)}" in self._known:
            return "known", account
        return "new", place(origin)

    async def _turn(self, origin: str, account: str, pair: str) -> list[_Lane]:
        """Takes a turn in each lane and waits until all have come."""
        wait_s = self._wait_s(origin, account, pair)
        if wait_s > self._wait_max_s:
            self.results["limited"] += 1
            retry_s = max(1, math.ceil(wait_s - self._wait_max_s))
            raise RateLimitedError("too many failed attempts", retry_after_seconds=retry_s)
        lanes, now = self._lanes(origin, account, pair), self._clock.monotonic()
        for turns, key in lanes:
            turns.take(key, now)
        if wait_s:
            try:
                await self._sleep(wait_s)
            except BaseException:
                _give_back(lanes)
                raise
        return lanes

    def _wait_s(self, origin: str, account: str, pair: str) -> float:
        now = self._clock.monotonic()
        return max(turns.wait_s(key, now) for turns, key in self._lanes(origin, account, pair))

    def _lanes(self, origin: str, account: str, pair: str) -> list[_Lane]:
        here = place(origin)
        if pair in self._known:
            return [(self._by_pair, pair), (self._by_known, here)]
        by_site = (self._by_site, f"{account} {site(origin)}")
        is_free = by_site[0].wait_s(by_site[1], self._clock.monotonic()) == 0
        everywhere = by_site if is_free else (self._by_account, account)
        return [(self._by_pair, pair), (self._by_place, here), everywhere]

    def _remember(self, pair: str) -> None:
        self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > self._known_max:
            self._known.popitem(last=False)


def _give_back(lanes: list[_Lane]) -> None:
    for turns, key in lanes:
        turns.give_back(key)
