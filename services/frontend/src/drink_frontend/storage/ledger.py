"""The ledger: transfers, and the balances that follow from them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, bindparam, func, select, union_all
from sqlalchemy.sql.elements import ColumnElement

from drink_frontend.domain.entities import ALL_ENTRIES, EntrySelection, LedgerEntry
from drink_frontend.domain.events import EventKind, account_subject
from drink_frontend.domain.ledger import Transfer, TransferKind
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.mappings import shown_name
from drink_frontend.storage.statements import (
    NOTHING,
    SEQUENCE_MAX,
    OneOf,
    Statement,
    constant,
)
from drink_frontend.storage.tables import drops, refunds, transfers

_LAST = Statement(select(func.coalesce(func.max(transfers.c.sequence), constant(0))))
_KINDS = OneOf(transfers.c.kind, TransferKind, "kind")


def _side(own: ColumnElement[str], other: ColumnElement[str], sign: int) -> Select[Any]:
    """The selected transfers on one side of an account."""
    return (
        select(
            transfers.c.sequence.label("sequence"),
            transfers.c.id,
            transfers.c.kind,
            (transfers.c.amount * constant(sign)).label("credits"),
            shown_name(other).label("counterpart"),
            # A refund's transfer names its drop in the refund.
            func.coalesce(transfers.c.drop_id, refunds.c.drop_id).label("drop_id"),
            transfers.c.created_ms,
            shown_name(transfers.c.actor).label("actor"),
            transfers.c.reason,
            drops.c.item,
        )
        .select_from(
            transfers.outerjoin(refunds, refunds.c.transfer_id == transfers.c.id).outerjoin(
                drops, drops.c.id == func.coalesce(transfers.c.drop_id, refunds.c.drop_id)
            )
        )
        .where(
            own == bindparam("account"),
            transfers.c.sequence < bindparam("before"),
            _KINDS.condition,
            transfers.c.created_ms >= bindparam("from_ms"),
            transfers.c.created_ms < bindparam("before_ms"),
        )
    )


_PAID = _side(transfers.c.debit_account, transfers.c.credit_account, -1)
_RECEIVED = _side(transfers.c.credit_account, transfers.c.debit_account, 1)
_BOTH = union_all(_PAID, _RECEIVED)
_ENTRIES = Statement(
    _BOTH.order_by(_BOTH.selected_columns.sequence.desc()).limit(bindparam("limit")).offset(NOTHING)
)


class LedgerTable:
    """Transfers, in one unit of work. They are only ever added.

    Args:
        rows: The rows of the transaction.
        touched: Collects which accounts changed.
    """

    __slots__ = ("_executor", "_rows", "_touched")

    def __init__(self, rows: IdentityMap, touched: ChangeSet) -> None:
        self._rows = rows
        self._executor = rows.direct
        self._touched = touched

    def add(self, transfer: Transfer) -> None:
        """Stores a transfer and updates the balances of its two accounts."""
        touched, notes = self._touched, self._touched.notes
        for account_id in (transfer.debit_account, transfer.credit_account):
            touched.accounts[account_id] = None
        for account in self._rows.add_transfer(transfer):
            touched.accounts[account.id] = account
            notes.note(EventKind.CREDITS, account)
            if transfer.actor is not None:
                notes.acted(transfer.actor, account_subject(account.id))

    def by_request(self, actor: str, request_id: str) -> Transfer | None:
        """The MOVE of that request, if there is one."""
        return self._rows.move_of(actor, request_id)

    def grants(self, request_id: str) -> Sequence[Transfer]:
        """The MOVEs from or to the funding account by requests of that id, of any actor."""
        return self._rows.grants(request_id)

    def last_sequence(self) -> int:
        """The sequence of the newest transfer; 0 if there is none."""
        row = self._executor.one(_LAST)
        assert row is not None
        return int(row[0])

    def entries(
        self,
        account: str,
        before: int | None,
        limit: int,
        selection: EntrySelection = ALL_ENTRIES,
    ) -> Sequence[LedgerEntry]:
        """Up to `limit` selected entries with a sequence below `before`, newest first."""
        rows = self._executor.all(
            _ENTRIES,
            account=account,
            before=SEQUENCE_MAX if before is None else before,
            limit=limit,
            from_ms=selection.from_ms,
            before_ms=selection.before_ms,
            **_KINDS.parameters(selection.kinds),
        )
        return [LedgerEntry(row[0], row[1], TransferKind(row[2]), *row[3:]) for row in rows]
