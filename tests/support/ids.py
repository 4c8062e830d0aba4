"""Ids of accounts that a reader of a failed test can tell apart, and that are no names."""

from drink_frontend.domain.entities import ID_BEGINS
from drink_frontend.domain.limits import ACCOUNT_ID_DIGITS, check_account_reference


def id_of(name: str) -> str:
    """The id of the account that a test makes with that name: `~00000ALICE` for alice."""
    account_id = f"{ID_BEGINS}{name.upper():0>{ACCOUNT_ID_DIGITS}}"
    return check_account_reference(account_id)


ALICE, ANN, BOB, ROOT = map(id_of, ("alice", "ann", "bob", "root"))
