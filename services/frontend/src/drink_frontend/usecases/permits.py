"""Ends watches, waits and sessions whose credential is no longer valid.

A watch, a wait for a drop and a logged-in session hold a permit as long as they last. A commit that
revokes a credential names the account (`ChangeSet.revoked`), at every frontend of the database. The
permits of that account are then checked, and invalid ones are ended. All permits are also checked
at intervals, since tokens expire.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import StorageUnavailableError, TokenInvalidError
from drink_frontend.domain.ports import Clock
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction

log = structlog.get_logger(__name__)

LOOK_INTERVAL_S = 60.0
"""Seconds between checks of all permits; the longest time that an expired token is still used."""

RETRY_INTERVAL_S = 1.0
"""Seconds until the next attempt after the database did not answer."""

LOOKED_UP_MAX = 256
"""Most permits checked in one query, which takes a reader thread about 10 ms."""


@dataclass(frozen=True, slots=True)
class Permit:
    """The credential by which an account was authenticated.

    Attributes:
        account: Id of the account.
        token: Digest of the bearer token, if it was one.
        ibutton: Digest of the iButton or card, if it was one.
        password_hash: Hash of the password, if it was neither.
    """

    account: str
    token: str | None = field(default=None, repr=False)
    ibutton: str | None = field(default=None, repr=False)
    password_hash: str | None = field(default=None, repr=False)

    def account_now(self, tx: Transaction, now_ms: int) -> Account | None:
        """The account, if the credential is still valid for it."""
        if self.token is not None:
            bearer = tx.tokens.holder(self.token, now_ms)
            account = None if bearer is None else bearer.account
        elif self.ibutton is not None:
            account = tx.cards.holder(self.ibutton)
        else:
            account = tx.accounts.get(self.account)
            if account is not None and account.password_hash != self.password_hash:
                return None
        is_good = account is not None and not account.closed and account.id == self.account
        return account if is_good else None


class Permits:
    """The permits that are held in this process.

    Args:
        storage: The database.
        clock: Time.
    """

    def __init__(self, storage: Database, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._held: dict[str, dict[object, tuple[Permit, Callable[[], None]]]] = {}
        self._to_check: set[str] = set()
        self._wake = asyncio.Event()
        self._revoked_at = float("-inf")
        storage.changes.add_listener(self._on_commit)

    def hold(self, permit: Permit, end: Callable[[], None]) -> Callable[[], None]:
        """Registers `end` to be called, once, when the permit is no longer valid.

        Args:
            permit: The credential, which was valid a moment ago.
            end: Ends the use of the credential. Called on the event loop; must not raise.

        Returns:
            A function that releases the permit; may be called more than once, and after `end`.
        """
        key = object()
        held = self._held.setdefault(permit.account, {})
        held[key] = (permit, end)
        if self._clock.monotonic() - self._revoked_at < LOOK_INTERVAL_S:
            # It may have been revoked after its validation and before this call.
            self._check_soon(permit.account)

        def give_back() -> None:
            held.pop(key, None)
            if not held and self._held.get(permit.account) is held:
                del self._held[permit.account]

        return give_back

    @asynccontextmanager
    async def required(self, permit: Permit, message: str) -> AsyncIterator[None]:
        """Ends the block in this context when the permit is no longer valid.

        Raises:
            TokenInvalidError: the permit has ended; its text is `message`.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as wait:
                give_back = self.hold(permit, lambda: wait.reschedule(loop.time()))
                try:
                    yield
                finally:
                    give_back()
        except TimeoutError:
            if wait.expired():
                raise TokenInvalidError(message) from None
            raise

    async def run(self) -> None:
        """Checks permits that may be invalid, and all permits at intervals, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await self._wake.wait()
            except TimeoutError:
                self._to_check.update(self._held)
            self._wake.clear()
            to_check, self._to_check = self._to_check, set()
            try:
                await self._look_up(to_check)
            except StorageUnavailableError:
                self._to_check |= to_check
                self._wake.set()
                await asyncio.sleep(RETRY_INTERVAL_S)

    async def _look_up(self, accounts: set[str]) -> None:
        permits = [
            permit
            for name in accounts
            for permit in {permit for permit, _ in self._held.get(name, {}).values()}
        ]
        for begin in range(0, len(permits), LOOKED_UP_MAX):
            some, now_ms = permits[begin : begin + LOOKED_UP_MAX], self._clock.now_ms()
            bad = await self._storage.read(
                lambda tx, some=some, now_ms=now_ms: {  # type: ignore[misc]
                    permit for permit in some if permit.account_now(tx, now_ms) is None
                }
            )
            for permit in bad:
                self._end(permit)

    def _end(self, ended: Permit) -> None:
        held = self._held.get(ended.account, {})
        for key, (permit, end) in list(held.items()):
            if permit == ended and held.pop(key, None) is not None:
                end()
        if not held:
            self._held.pop(ended.account, None)
        log.info("permit_ended", account=ended.account)

    def _on_commit(self, changed: ChangeSet | None) -> None:
        revoked = set(self._held) if changed is None else changed.revoked
        if changed is None or changed.revoked:
            self._revoked_at = self._clock.monotonic()
        for account in revoked:
            self._check_soon(account)

    def _check_soon(self, account: str) -> None:
        if account in self._held:
            self._to_check.add(account)
            self._wake.set()
