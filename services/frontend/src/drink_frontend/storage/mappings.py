"""The rows that more than one module reads."""

from sqlalchemy import func, select
from sqlalchemy.sql.elements import ColumnElement

from drink_frontend.domain.entities import Account, Drop, Machine, Slot
from drink_frontend.domain.ledger import Transfer
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import constant
from drink_frontend.storage.tables import accounts, drops, machines, refunds, slots, transfers

ACCOUNT = RowMapping(
    Account,
    accounts,
    name=func.coalesce(accounts.c.name, accounts.c.id),
    posted=accounts.c.credits_posted - accounts.c.debits_posted,
    held=accounts.c.debits_pending,
    since_ms=accounts.c.created_ms,
)
"""The rows of accounts."""

TRANSFER = RowMapping(Transfer, transfers)
"""The rows of transfers."""

MACHINE = RowMapping(Machine, machines)
"""The rows of machines, without their slots."""

SLOT = RowMapping(Slot, slots)
"""The rows of slots."""

_SHOWN = accounts.alias("shown")


def shown_name(account: ColumnElement[str]) -> ColumnElement[str]:
    """The name of the account whose id a column has, for people.

    It is the column's own value where that is no account, as for an agent, or where the name was
    erased.
    """
    name = select(_SHOWN.c.name).where(_SHOWN.c.id == account).scalar_subquery()
    return func.coalesce(name, account)


_REFUNDED = func.coalesce(
    select(refunds.c.amount).where(refunds.c.drop_id == drops.c.id).scalar_subquery(), constant(0)
)
_NAMES = {"buyer": shown_name(drops.c.account), "decider": shown_name(drops.c.decided_by)}

DROP = RowMapping(Drop, drops, refunded=_REFUNDED, **_NAMES)
"""The rows of drops."""

# Only settled drops are refunded, so that a drop in the queue needs no look at the refunds.
OPEN_DROP = RowMapping(Drop, drops, refunded=constant(0), **_NAMES)
"""The rows of drops that are not settled."""
