"""Transfers: credits that are granted, taken back or sent, and the entries of an account."""

import math
from collections.abc import Sequence

from drink_frontend.domain.entities import Account, LedgerEntry
from drink_frontend.domain.errors import (
    AdminRequiredError,
    FieldInvalidError,
    RateLimitedError,
    RequestIdReusedError,
)
from drink_frontend.domain.ledger import CREDITS_MAX, FUNDING_ACCOUNT, Transfer, TransferKind
from drink_frontend.domain.limits import check_range, check_request_id
from drink_frontend.domain.ports import Clock, Randomness
from drink_frontend.domain.rate_limiter import RateLimiter
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.settings import AccountSettings
from drink_frontend.usecases.users import check_parties, user, user_shown


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
        self, caller: Account, name: str, before: int | None, limit: int
    ) -> Sequence[LedgerEntry]:
        """Up to `limit` entries with a sequence below `before`, newest first.

        Raises:
            NotOwnerError: they are not the caller's, who is no administrator.
            AccountNotFoundError: there is no such user.
        """

        def read(tx: Transaction) -> Sequence[LedgerEntry]:
            account = user_shown(tx, caller, name, "entries")
            return tx.ledger.entries(account.name, before, limit)

        return await self._storage.read(read)

    async def add_credits(
        self, actor: Account, request_id: str, name: str, credits_added: int
    ) -> Account:
        """Moves credits from the funding account to a user, or back if negative.

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
        return await self._move(actor.name, request_id, payer, payee, amount=abs(credits_added))

    async def send(
        self, sender: Account, request_id: str, recipient: str, credits_sent: int
    ) -> Account:
        """Sends credits of one user to another.

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
        if wait_s := self._sent.take_if_free(sender.name, self._clock.monotonic()):
            raise RateLimitedError("too many transfers", retry_after_seconds=math.ceil(wait_s))
        return await self._move(
            sender.name, request_id, sender.name, recipient, amount=credits_sent
        )

    async def _move(
        self, actor: str, request_id: str, payer: str | None, payee: str | None, *, amount: int
    ) -> Account:
        """Moves credits between two users, or, where one is None, between one and funding.

        Returns:
            The payer's account after it; the payee's where funding pays.
        """
        check_request_id(request_id)
        transfer_id, now_ms = self._randomness.id(), self._clock.now_ms()

        def move(tx: Transaction) -> Account:
            parties = [None if name is None else user(tx, name) for name in (payer, payee)]
            debit, credit = (FUNDING_ACCOUNT if party is None else party.name for party in parties)
            if debit == credit:
                raise FieldInvalidError("recipient", "must be another account")
            transfer = Transfer(
                id=transfer_id,
                kind=TransferKind.MOVE,
                debit_account=debit,
                credit_account=credit,
                amount=amount,
                created_ms=now_ms,
                actor=actor,
                request_id=request_id,
            )
            if not _is_made(tx, transfer):
                check_parties(parties, amount)
                tx.ledger.add(transfer)
            return user(tx, credit if payer is None else debit)

        return await self._storage.write(move)


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
    return (one.debit_account, one.credit_account, one.amount) == (
        other.debit_account,
        other.credit_account,
        other.amount,
    )
