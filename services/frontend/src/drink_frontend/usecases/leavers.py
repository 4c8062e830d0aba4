"""Closes the accounts of who has left the directory, and takes rights that it no longer gives.

A leaver's account is closed: its logins end at once and it buys nothing, and its credits stay. The
next login at the directory opens it again, unless a person has decided about it since. Of several
frontends the one that started first looks, of those that the database knows; that two look for a
moment does no harm.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from drink_frontend.domain.alarms import HOUSE, Alarm, AlarmKind
from drink_frontend.domain.entities import Account, AuditKind, AuditRecord
from drink_frontend.domain.errors import LastAdministratorError, StorageUnavailableError
from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.domain.identities import Identity, Presence
from drink_frontend.domain.ports import Clock, Directory
from drink_frontend.domain.sign_in_errors import DirectoryUnavailableError
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.alarms import close_for_frontend
from drink_frontend.usecases.identities import follow_rights
from drink_frontend.usecases.users import check_administered

log = structlog.get_logger(__name__)

FAILURES_MAX = 3
"""Looks one after another that fail before an alarm is raised: half an hour by default."""


@dataclass(frozen=True, slots=True)
class LookTimes:
    """When it is looked.

    Attributes:
        interval_s: Seconds between two looks.
        first_s: Seconds from the start to the first look.
        retry_s: Seconds until the next look after one that failed, and until a frontend looks
            whether it is the one that started first.
    """

    interval_s: float
    first_s: float = 60
    retry_s: float = 600


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a look has found.

    Attributes:
        linked: Open accounts that are linked to the directory.
        missing: Those whose owners are not there, or not in the group of members.
        closed: Those that were closed.
        is_shrunk: Whether so many were missing that nobody was closed.
    """

    linked: int
    missing: int
    closed: int
    is_shrunk: bool


class Leavers:
    """Looks from time to time who of the linked persons is still at the directory.

    Args:
        storage: The database.
        directory: The directory.
        clock: Time.
        me: This frontend.
        times: When it looks.
        share_max: Largest share of the linked accounts that one look closes; one is always closed
            if others are still there.
        sleep: Waits for that many seconds.
    """

    def __init__(
        self,
        storage: Database,
        directory: Directory,
        clock: Clock,
        me: FrontendInstance,
        times: LookTimes,
        *,
        share_max: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._storage = storage
        self._directory = directory
        self._clock = clock
        self._me = me
        self._times = times
        self._share_max = share_max
        self._sleep = sleep
        self._failures = 0

    async def run(self) -> None:
        """Looks until cancelled. No error of it disturbs the sales."""
        await self._sleep(self._times.first_s)
        while True:
            pause_s = self._times.retry_s
            try:
                if await self._leads() and await self.look() is not None:
                    pause_s = self._times.interval_s
            except StorageUnavailableError:
                log.warning("leavers_postponed")
            except Exception:
                log.exception("leavers_failed")
            await self._sleep(pause_s)

    async def look(self) -> Outcome | None:
        """Looks once, and closes who has left; None if the directory did not answer.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        linked = await self._storage.read(self._linked)
        try:
            present = await self._directory.present([each.subject for each in linked])
        except DirectoryUnavailableError as error:
            self._failures += 1
            if self._failures >= FAILURES_MAX:
                await self._raise(AlarmKind.DIRECTORY_AWAY, {"error": str(error)[:200]})
            return None
        self._failures = 0
        missing = [each for each in linked if _is_missing(present.get(each.subject))]
        allowed = max(1, int(self._share_max * len(linked)))
        # Nobody at all is what an empty directory looks like.
        is_shrunk = len(missing) > allowed or 0 < len(missing) == len(linked)
        over, closed = [AlarmKind.DIRECTORY_AWAY], 0
        if is_shrunk:
            facts = {"linked": len(linked), "missing": len(missing)}
            await self._raise(AlarmKind.DIRECTORY_SHRUNK, facts)
        else:
            over.append(AlarmKind.DIRECTORY_SHRUNK)
            for each in missing:
                closed += await self._storage.write(partial(self._close, each))
        await self._storage.write(lambda tx: self._follow(tx, linked, present, over))
        log.info("leavers_looked_for", linked=len(linked), missing=len(missing), closed=closed)
        return Outcome(len(linked), len(missing), closed, is_shrunk)

    async def _leads(self) -> bool:
        return await self._storage.read(lambda tx: tx.frontends.leads(self._me.id))

    def _linked(self, tx: Transaction) -> Sequence[Identity]:
        """The identities of the directory whose accounts are open."""
        return [
            each
            for each in tx.identities.of_source(self._directory.source)
            if _open_account(tx, each) is not None
        ]

    def _close(self, missing: Identity, tx: Transaction) -> bool:
        """Closes a leaver's account, if nothing has changed meanwhile; whether it did."""
        identity = tx.identities.get(missing.source, missing.subject)
        account = None if identity is None else _open_account(tx, identity)
        # Whoever has logged in meanwhile was there.
        if identity is None or account is None or identity.login_ms != missing.login_ms:
            return False
        try:
            check_administered(tx, account)
        except LastAdministratorError:
            log.warning("leaver_administers_alone", account=account.id)
            return False
        now_ms = self._clock.now_ms()
        follow_rights(tx, replace(identity, left_ms=now_ms), False, now_ms)
        tx.accounts.update(account.id, closed=True)
        tx.tokens.remove_all(account.id)
        facts = {"closed": True, "left": identity.source}
        tx.audit.add(
            AuditRecord(
                AuditKind.ACCOUNT_CHANGED, now_ms, identity.source, account=account.id, facts=facts
            )
        )
        return True

    def _follow(
        self,
        tx: Transaction,
        linked: Sequence[Identity],
        present: Mapping[str, Presence],
        over: Sequence[AlarmKind],
    ) -> None:
        """Takes rights that the directory no longer gives, and closes alarms that are over."""
        now_ms = self._clock.now_ms()
        for each in linked:
            found = present.get(each.subject)
            identity = tx.identities.get(each.source, each.subject)
            is_taken = found is not None and found.is_administrator is False
            if is_taken and identity is not None and identity.admin:
                follow_rights(tx, identity, False, now_ms)
        for kind in over:
            alarm = tx.alarms.open_one(kind, HOUSE)
            if alarm is not None:
                close_for_frontend(tx, alarm, now_ms)

    async def _raise(self, kind: AlarmKind, facts: Mapping[str, str | int]) -> None:
        now_ms = self._clock.now_ms()
        alarm = Alarm(kind, HOUSE, None, now_ms, now_ms, 1, dict(facts))
        await self._storage.write(lambda tx: tx.alarms.add(alarm))
        log.warning("alarm_raised", kind=kind, subject=HOUSE)


def _is_missing(found: Presence | None) -> bool:
    """Whether a person has left; not if that was not found out."""
    return found is None or found.is_member is False


def _open_account(tx: Transaction, identity: Identity) -> Account | None:
    account = tx.accounts.get(identity.account)
    return None if account is None or account.closed else account
