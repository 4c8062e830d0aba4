"""The statements that load rows by their keys, for a whole batch at once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, func, select, union_all
from sqlalchemy.sql.elements import ColumnElement

from drink_frontend.domain.drop import State
from drink_frontend.domain.ledger import TransferKind
from drink_frontend.domain.tokens import Scope
from drink_frontend.storage.bulk import Bulk, Numbers, given
from drink_frontend.storage.columns import NO_NUMBER, NO_TEXT, TEXT
from drink_frontend.storage.kiosk_tables import kiosk_tokens, kiosks
from drink_frontend.storage.mappings import ACCOUNT, DROP, MACHINE, OPEN_DROP, SLOT, TRANSFER
from drink_frontend.storage.statements import NOTHING, constant
from drink_frontend.storage.tables import (
    IS_GRANT,
    IS_OPEN,
    accounts,
    drops,
    machines,
    scoped_tokens,
    slots,
    tokens,
    transfers,
)

HEADS_MAX = 2
"""Drops at the head of a queue that are loaded with it: one settled drop lets one other go."""

_QUEUED = drops.c.state.in_(
    [constant(state) for state in (State.SCHEDULED, State.RESERVED, State.DISPATCHED)]
)
_BY_DIGEST, _BY_ACCOUNT, _BY_DROP = given(tokens.c.digest), given(accounts.c.id), given(drops.c.id)
_BY_REQUEST = given(drops.c.account, drops.c.request_id)
_BY_NAME = given(name=TEXT, folded=TEXT)
_BY_MOVE, _BY_GRANT = (
    given(transfers.c.actor, transfers.c.request_id),
    given(transfers.c.request_id),
)
_BY_MACHINE, _BY_SLOT = given(machines.c.name), given(slots.c.machine, slots.c.number)


def _token(table: Table, scope: ColumnElement[str]) -> Sequence[ColumnElement[Any]]:
    return table.c.digest, scope, table.c.used_ms, table.c.expires_ms


HOLDERS = Bulk(
    _BY_DIGEST,
    union_all(
        *(
            select(
                *_token(table, scope), NO_NUMBER, NO_TEXT, NO_NUMBER, *ACCOUNT.columns
            ).select_from(
                _BY_DIGEST.join(table, table.c.digest == _BY_DIGEST.c.digest).join(
                    accounts, accounts.c.id == table.c.account
                )
            )
            for table, scope in (
                (tokens, constant(Scope.ALL)),
                (scoped_tokens, scoped_tokens.c.scope),
            )
        ),
        select(
            *_token(kiosk_tokens, constant(Scope.DROP)),
            kiosks.c.sequence,
            kiosks.c.machine,
            kiosk_tokens.c.buys_until_ms,
            *ACCOUNT.columns,
        ).select_from(
            _BY_DIGEST.join(kiosk_tokens, kiosk_tokens.c.digest == _BY_DIGEST.c.digest)
            .join(accounts, accounts.c.id == kiosk_tokens.c.account)
            .join(kiosks, kiosks.c.sequence == kiosk_tokens.c.kiosk)
        ),
    ),
)
"""Bearer tokens with their accounts, expired ones included: digest, scope, used_ms, expires_ms;
number and machine of the kiosk and buys_until_ms, NULL for a login elsewhere; the columns of
ACCOUNT."""

ACCOUNTS = Bulk(
    _BY_ACCOUNT,
    ACCOUNT.select().select_from(_BY_ACCOUNT.join(accounts, accounts.c.id == _BY_ACCOUNT.c.id)),
)
NAMES = Bulk(
    _BY_NAME,
    union_all(
        *(
            select(_BY_NAME.c.name, constant(way), *ACCOUNT.columns).select_from(
                _BY_NAME.join(accounts, is_meant)
            )
            for way, is_meant in enumerate(
                (
                    accounts.c.name == _BY_NAME.c.name,
                    # lower() in the column's collation changes only the letters A to Z.
                    func.lower(accounts.c.name) == _BY_NAME.c.folded,
                    accounts.c.id == _BY_NAME.c.name,
                )
            )
        )
    ),
)
"""The accounts that may be meant by a name, each with it and with the way in which it fits: 0, it
is their name; 1, their name in small letters is `folded`; 2, it is their id."""

MOVES = Bulk(
    _BY_MOVE,
    TRANSFER.select().select_from(
        _BY_MOVE.join(
            transfers,
            # The kind is a constant, because the index on requests contains only these transfers.
            (transfers.c.kind == constant(TransferKind.MOVE))
            & (transfers.c.actor == _BY_MOVE.c.actor)
            & (transfers.c.request_id == _BY_MOVE.c.request_id),
        )
    ),
)
"""MOVEs by their requests."""

# The condition is that of the index on grants.
GRANTS = Bulk(
    _BY_GRANT,
    select(transfers.c.sequence, *TRANSFER.columns).select_from(
        _BY_GRANT.join(transfers, IS_GRANT & (transfers.c.request_id == _BY_GRANT.c.request_id))
    ),
)
"""MOVEs from or to the funding account by the ids of their requests, each with its sequence."""

DROPS = Bulk(
    _BY_DROP,
    select(*DROP.columns, *ACCOUNT.columns, *SLOT.columns).select_from(
        _BY_DROP.join(drops, drops.c.id == _BY_DROP.c.id)
        .join(accounts, accounts.c.id == drops.c.account)
        .outerjoin(
            slots,
            (slots.c.machine == drops.c.machine)
            & (slots.c.number == drops.c.slot)
            & slots.c.deleted_ms.is_(None),
        )
    ),
)
"""Drops, each with its buyer's account and with its slot, which is NULL if it is deleted."""

REQUESTS = Bulk(
    _BY_REQUEST,
    DROP.select().select_from(
        _BY_REQUEST.join(
            drops,
            (drops.c.account == _BY_REQUEST.c.account)
            & (drops.c.request_id == _BY_REQUEST.c.request_id),
        )
    ),
)
"""Drops by their requests."""

MACHINES = Bulk(
    _BY_MACHINE,
    MACHINE.select().select_from(_BY_MACHINE.join(machines, machines.c.name == _BY_MACHINE.c.name)),
)
SLOTS = Bulk(
    _BY_SLOT,
    SLOT.select().select_from(
        _BY_SLOT.join(
            slots,
            (slots.c.machine == _BY_SLOT.c.machine)
            & (slots.c.number == _BY_SLOT.c.number)
            & slots.c.deleted_ms.is_(None),
        )
    ),
)
"""Slots that are not deleted."""

QUEUES = Bulk(
    _BY_MACHINE,
    select(drops.c.machine, drops.c.sequence, drops.c.id, drops.c.account, drops.c.state)
    .select_from(_BY_MACHINE.join(drops, drops.c.machine == _BY_MACHINE.c.name))
    .where(IS_OPEN, _QUEUED),
)
"""The drops of machines that are SCHEDULED, RESERVED or DISPATCHED, in no order."""

_FIRST = drops.alias("first")

HEADS = Bulk(
    _BY_MACHINE,
    OPEN_DROP.select()
    .select_from(_BY_MACHINE.join(drops, drops.c.machine == _BY_MACHINE.c.name))
    .where(
        IS_OPEN,
        drops.c.state == constant(State.RESERVED),
        drops.c.sequence.in_(
            select(_FIRST.c.sequence)
            .where(
                IS_OPEN,
                _FIRST.c.state == constant(State.RESERVED),
                _FIRST.c.machine == _BY_MACHINE.c.name,
            )
            .order_by(_FIRST.c.sequence)
            .limit(constant(HEADS_MAX))
            .offset(NOTHING)
            .scalar_subquery()
        ),
    )
    # Skip rows locked by another transaction. Compiled for PostgreSQL only: SQLite has one writer.
    .with_for_update(skip_locked=True, of=drops),
    is_early=True,
)
"""The drops of machines that are RESERVED and come first, unless somebody has locked them."""

FREE_DROPS = Bulk(
    _BY_DROP,
    OPEN_DROP.select()
    .select_from(_BY_DROP.join(drops, drops.c.id == _BY_DROP.c.id))
    .with_for_update(skip_locked=True, of=drops),
)
"""Drops that are not settled, unless somebody has locked them."""

DROP_NUMBERS, TRANSFER_NUMBERS = Numbers(drops), Numbers(transfers)
