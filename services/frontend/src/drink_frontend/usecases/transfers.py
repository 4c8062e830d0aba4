"""Transfers: credits that are granted, taken back or sent, and the entries of an account."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drink_frontend.domain.entities import ALL_ENTRIES, Account, EntrySelection, LedgerEntry
from drink_frontend.domain.errors import (
    AdminRequiredError,
    BalanceChangedError,
    FieldInvalidError,
    RateLimitedError,
    RequestIdReusedError,
)
from drink_frontend.domain.ledger import CREDITS_MAX, FUNDING_ACCOUNT, Transfer, TransferKind
from drink_frontend.domain.limits import check_range, check_request_id, check_text
from drink_frontend.domain.ports import Clock, Randomness
from drink_frontend.domain.rate_limiter import RateLimiter
from drink_frontend.storage.database import Database
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.settings import AccountSettings
from drink_frontend.usecases.users import check_parties, user, user_of, user_shown

_POSTED_MAX = 2**53
"""Highest number of credits that a caller may expect; more than an account will ever own."""


class Transfers:
    """Transfers of credits between accounts, for users and administrators.

    Args:
        storage: The database.
        clock: Time.
        randomness: Ids.
        settings: Limits.
    """

    def __init__(
        self, storage: Database, clock: Clock, randomness: Randomness, settings: AccountSettings
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._randomness = randomness
        self._sent = RateLimiter(
            burst=settings.transfers_burst, interval_s=1 / settings.transfers_per_s
        )

    async def entries(
        self,
        caller: Account,
        name: str,
        before: int | None,
        limit: int,
        selection: EntrySelection = ALL_ENTRIES,
    ) -> Sequence[LedgerEntry]:
        """Up to `limit` selected entries with a sequence below `before`, newest first.

        Raises:
            NotOwnerError: they are not the caller's, who is no administrator.
            AccountNotFoundError: there is no such user.
        """

        def read(tx: Transaction) -> Sequence[LedgerEntry]:
            account = user_shown(tx, caller, name, "entries")
            return tx.ledger.entries(account.id, before, limit, selection)

        return await self._storage.read(read)

    async def add_credits(
        self,
        actor: Account,
        request_id: str,
        name: str,
        credits_added: int,
        *,
        reason: str = "",
    ) -> Account:
        """Moves credits from the funding account to a user, or back if negative.

        Args:
            actor: The administrator.
            request_id: Chosen by the caller; the same request moves credits once.
            name: The user.
            credits_added: How many.
            reason: Why, for people; empty for none.

        Returns:
            The user's account after it.

        Raises:
            AdminRequiredError: `actor` is no administrator.
            FieldInvalidError: credits are zero or too many, or the request_id is malformed.
            AccountNotFoundError: there is no such user.
            AccountClosedError: the user's account is closed.
            InsufficientCreditsError: the user does not have that many to take back.
            RequestIdReusedError: the request_id was used for something else.
        """
        if not actor.admin:
            raise AdminRequiredError("only administrators add credits")
        check_range(credits_added, "credits", -CREDITS_MAX, CREDITS_MAX)
        if credits_added == 0:
            raise FieldInvalidError("credits", "must not be 0")
        payer, payee = (None, name) if credits_added > 0 else (name, None)
        order = _Order(actor.id, request_id, payer, payee, abs(credits_added), reason)
        return await self._storage.write(self._movement(order), order.needs())

    async def set_posted(
        self,
        actor: Account,
        request_id: str,
        name: str,
        wanted: int,
        expected: int,
        *,
        reason: str = "",
    ) -> Account:
        """Sets the posted credits of a user to a number, by a transfer of the difference.

        Reading, comparing and moving are one unit of work: credits that move at the same moment are
        refused or counted, and never lost.

        Args:
            actor: The administrator.
            request_id: Chosen by the caller; the same request moves credits once.
            name: The user.
            wanted: What the user shall own, held credits counted.
            expected: What the caller believes that the user owns now.
            reason: Why, for people; empty for none.

        Returns:
            The user's account after it.

        Raises:
            BalanceChangedError: the user does not own what was expected.
            DrinkError: as `add_credits`.
        """
        if not actor.admin:
            raise AdminRequiredError("only administrators set credits")
        check_range(wanted, "posted_credits", -CREDITS_MAX, CREDITS_MAX)
        check_range(expected, "expected_posted_credits", -_POSTED_MAX, _POSTED_MAX)
        check_range(wanted, "posted_credits", expected - CREDITS_MAX, expected + CREDITS_MAX)
        payer, payee = (None, name) if wanted > expected else (name, None)
        order = _Order(actor.id, request_id, payer, payee, abs(wanted - expected), reason)
        move = self._movement(order, expected)
        return await self._storage.write(move, order.needs())

    async def send(
        self,
        sender: Account,
        request_id: str,
        recipient: str,
        credits_sent: int,
        *,
        reason: str = "",
    ) -> Account:
        """Sends credits of one user to another.

        Args:
            sender: Who pays.
            request_id: Chosen by the caller; the same request moves credits once.
            recipient: Who receives.
            credits_sent: How many.
            reason: What for; empty for none. Both see it.

        Returns:
            The sender's account after it.

        Raises:
            FieldInvalidError: credits are not positive or too many, or the recipient is the sender.
            AccountNotFoundError: there is no such recipient.
            AccountClosedError: the sender's or the recipient's account is closed.
            InsufficientCreditsError: the sender does not have that many.
            RequestIdReusedError: the request_id was used for something else.
            RateLimitedError: the sender made too many transfers in a short time.
        """
        check_range(credits_sent, "credits", 1, CREDITS_MAX)
        if wait_s := self._sent.take_if_free(sender.id, self._clock.monotonic()):
            raise RateLimitedError("too many transfers", retry_after_seconds=math.ceil(wait_s))
        order = _Order(sender.id, request_id, sender.id, recipient, credits_sent, reason)
        return await self._storage.write(self._movement(order), order.needs())

    def _movement(
        self, order: "_Order", expected: int | None = None
    ) -> Callable[[Transaction], Account]:
        """The unit of work that moves credits once.

        It returns the payer's account after it; the payee's where funding pays.

        Args:
            order: What to move.
            expected: What the user must own before; None for anything.
        """
        check_request_id(order.request_id)
        check_text(order.reason, "reason")
        transfer_id, now_ms = self._randomness.id(), self._clock.now_ms()

        def move(tx: Transaction) -> Account:
            names = (order.payer, order.payee)
            parties = [None if name is None else user(tx, name) for name in names]
            debit, credit = (FUNDING_ACCOUNT if party is None else party.id for party in parties)
            if debit == credit:
                raise FieldInvalidError("recipient", "must be another account")
            transfer = Transfer(
                id=transfer_id,
                kind=TransferKind.MOVE,
                debit_account=debit,
                credit_account=credit,
                amount=order.amount,
                created_ms=now_ms,
                actor=order.actor,
                request_id=order.request_id,
                reason=order.reason or None,
            )
            if not _is_made(tx, transfer):
                _check_expected(parties, expected)
                check_parties(parties, order.amount)
                if order.amount:
                    tx.ledger.add(transfer)
            return user_of(tx, credit if order.payer is None else debit)

        return move


@dataclass(frozen=True, slots=True)
class _Order:
    """A movement of credits between two users, or, where one is None, between one and funding."""

    actor: str
    request_id: str
    payer: str | None
    payee: str | None
    amount: int
    reason: str

    def needs(self) -> Needs:
        """What its unit of work reads."""
        names = {name for name in (self.payer, self.payee) if name is not None}
        return Needs(
            names=names,
            moves={(self.actor, self.request_id)},
            grants={self.request_id} if len(names) == 1 else set(),
            new_transfers=1,
        )


def _check_expected(parties: Sequence[Account | None], expected: int | None) -> None:
    owner = next(party for party in parties if party is not None)
    if expected is not None and owner.posted != expected:
        raise BalanceChangedError("the account owns another number", posted=owner.posted)


def _is_made(tx: Transaction, transfer: Transfer) -> bool:
    """Whether the same request has made the transfer before.

    A grant is identified by its request_id alone, whichever administrator makes it: a repeat by
    another administrator must not grant twice.

    Raises:
        RequestIdReusedError: the request has made another transfer.
    """
    assert transfer.actor is not None
    assert transfer.request_id is not None
    own = tx.ledger.by_request(transfer.actor, transfer.request_id)
    earlier = [] if own is None else [own]
    if FUNDING_ACCOUNT in {transfer.debit_account, transfer.credit_account}:
        earlier += tx.ledger.grants(transfer.request_id)
    if earlier and not any(_is_same(transfer, made) for made in earlier):
        raise RequestIdReusedError("request_id was used for another transfer")
    return bool(earlier)


def _is_same(one: Transfer, other: Transfer) -> bool:
    return (one.debit_account, one.credit_account, one.amount, one.reason) == (
        other.debit_account,
        other.credit_account,
        other.amount,
        other.reason,
    )
