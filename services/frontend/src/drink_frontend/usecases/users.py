"""Lookup of users by name, and checks of who may read or administer them and their drops."""

from collections.abc import Sequence

from drink_frontend.domain.entities import Account, Drop
from drink_frontend.domain.errors import (
    AccountClosedError,
    AccountNotFoundError,
    DropNotFoundError,
    InsufficientCreditsError,
    LastAdministratorError,
    NotOwnerError,
)
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.storage.transaction import Transaction


def user(tx: Transaction, name: str) -> Account:
    """The user's account of a name, in any case of its letters, or of an id.

    Raises:
        AccountNotFoundError: there is no such user, or several differ in case and none is exact.
    """
    return _checked(tx.accounts.find(name))


def user_of(tx: Transaction, account_id: str) -> Account:
    """The user's account of an id.

    Raises:
        AccountNotFoundError: there is no such user.
    """
    return _checked(tx.accounts.get(account_id))


def _checked(account: Account | None) -> Account:
    if account is None or account.kind is not AccountKind.USER:
        raise AccountNotFoundError("no such account")
    return account


def user_shown(tx: Transaction, caller: Account, name: str, what: str) -> Account:
    """The user's account of a name, if the caller may read it.

    Args:
        tx: The unit of work.
        caller: The account that asks.
        name: Name of the wanted account.
        what: The data to be shown, for the error message.

    Raises:
        NotOwnerError: it is not the caller's, who is no administrator. The error does not show
            whether the account exists.
        AccountNotFoundError: there is no such user.
    """
    account = tx.accounts.find(name)
    if not caller.admin and (account is None or account.id != caller.id):
        raise NotOwnerError(f"only administrators see others' {what}")
    return _checked(account)


def drop_shown(caller: Account, drop: Drop | None) -> Drop:
    """The drop, if there is one and the caller may read it.

    Raises:
        DropNotFoundError: there is none, or it is not the caller's, who is no administrator.
    """
    if drop is None or (drop.account != caller.id and not caller.admin):
        raise DropNotFoundError("no such drop")
    return drop


def check_administered(tx: Transaction, account: Account) -> None:
    """Checks that another administrator is left when an account stops being one.

    Raises:
        LastAdministratorError: no other one is left, or none of the others can log in.
    """
    others = dict(tx.accounts.administrators())
    logs_in = others.pop(account.id, None)
    # An administrator without credentials does not replace one who can log in.
    if logs_in is not None and (not others or (logs_in and not any(others.values()))):
        raise LastAdministratorError(
            f"{account.name} is the last administrator; make another one first"
        )


def check_parties(parties: Sequence[Account | None], amount: int) -> None:
    """Checks that no account is closed, and that the payer, the first one, has the amount."""
    if any(party is not None and party.closed for party in parties):
        raise AccountClosedError("the account is closed")
    payer = parties[0]
    if payer is not None and payer.available < amount:
        raise InsufficientCreditsError(
            "not enough credits", available=payer.available, price=amount
        )
