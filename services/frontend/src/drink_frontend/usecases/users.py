"""Which user a name means, and who may see what of another."""

from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    LastAdministratorError,
    NotOwnerError,
)
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.storage.transaction import Transaction


def user(tx: Transaction, name: str) -> Account:
    """The user's account that a name means, whatever the case of its letters.

    Raises:
        AccountNotFoundError: there is no such user, or several differ in case and none is exact.
    """
    account = tx.accounts.find(name)
    if account is None or account.kind is not AccountKind.USER:
        raise AccountNotFoundError("no such account")
    return account


def user_shown(tx: Transaction, caller: Account, name: str, what: str) -> Account:
    """The user's account that a name means, for somebody who wants to see something of it.

    Args:
        tx: The unit of work.
        caller: Who asks.
        name: Whose.
        what: Is to be shown, for the refusal.

    Raises:
        NotOwnerError: it is not the caller's, who is no administrator; whether there is one is not
            said.
        AccountNotFoundError: there is no such user.
    """
    if not caller.admin:
        account = tx.accounts.find(name)
        if account is None or account.name != caller.name:
            raise NotOwnerError(f"only administrators see others' {what}")
    return user(tx, name)


def check_administered(tx: Transaction, account: Account) -> None:
    """Refuses that an account stops administering if nobody else does.

    Raises:
        LastAdministratorError: no other one is left, or none of the others can log in.
    """
    others = dict(tx.accounts.administrators())
    logs_in = others.pop(account.name, None)
    # One who has nothing to log in with does not stand in for one who has.
    if logs_in is not None and (not others or (logs_in and not any(others.values()))):
        raise LastAdministratorError(
            f"{account.name} is the last administrator; make another one first"
        )
