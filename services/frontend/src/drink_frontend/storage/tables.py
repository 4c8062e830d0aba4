"""The tables and their constraints, for both engines; `triggers.py` has the rest of the rules.

The rules of credits and stock are constraints and triggers, so that a mistake of the program cannot
commit what breaks them. Constraints are checked at each statement: within a unit of work a drop is
written before its hold, and its settled state before its post or void.

Columns are texts and whole numbers only: times are milliseconds since the epoch (`_ms`), truth
values 0 or 1. Rows of drops, transfers and audit are never deleted, nor is the newest row of
events, so that their sequences, each the highest one plus 1, are never reused.
"""

from sqlalchemy import (
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Table,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import REAL

from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.drop import CAUSES, State
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.items import ITEM_NUMBER_MAX
from drink_frontend.domain.ledger import CREDITS_MAX, AccountKind, TransferKind
from drink_frontend.domain.stock import STOCK_MAX, MovementKind, Sensor
from drink_frontend.domain.tokens import Scope
from drink_frontend.storage.columns import (
    APPEND_ONLY,
    EXPIRING,
    KEPT,
    READ_ONLY,
    REMOVABLE,
    TEXT,
    WHOLE,
    among,
    check,
    column,
    partial,
    strict,
    text_column,
)

SCHEMA_REVISION = "0025"
"""The newest migration. Revisions are numbers of 4 digits, which compare as texts."""

FACTS_MAX = 65_536
"""Most characters of an audit record's facts. The evidence of a result, 32 lines of 200 characters,
needs less than a quarter of it, with all characters escaped."""

OPEN_STATES = tuple(state for state in State if not state.final)
"""States of the drops in partial indexes, which stay small however many drops are settled."""

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_key",
        "uq": "%(table_name)s_%(column_0_N_name)s_once",
        "ck": "%(table_name)s_%(constraint_name)s",
        "fk": "%(table_name)s_%(column_0_N_name)s_exists",
    }
)
_IS_OPEN = f"state IN {among(*OPEN_STATES)}"
IS_OPEN: ColumnElement[bool] = literal_column(f"({_IS_OPEN})")
"""The condition of the index on open drops. A query that shall use the index has the same text."""

_IS_LISTED = "sequence > 0"
IS_LISTED: ColumnElement[bool] = literal_column(f"({_IS_LISTED})")
"""The condition of the indexes for lists by place, item and time. It is true of every drop, and
keeps these indexes from being used for the queues, which have better ones."""

_IS_GRANT = "kind = 'MOVE' AND (debit_account = 'funding' OR credit_account = 'funding')"
IS_GRANT: ColumnElement[bool] = literal_column(f"({_IS_GRANT})")
"""The condition of the index on grants. A query that shall use the index has the same text."""

_NOT_CLOSED = "closed_ms IS NULL"
NOT_CLOSED: ColumnElement[bool] = literal_column(f"({_NOT_CLOSED})")
"""The condition of the index on open alarms. A query that shall use the index has the same text."""

_OF_DROP, _OF_REQUEST = "drop_id IS NOT NULL", "request_id IS NOT NULL"

compatibility = Table(
    "compatibility",
    metadata,
    text_column("revision", key=True),
    text_column("oldest"),
    **strict(READ_ONLY),
)
"""For each schema, the SCHEMA_REVISION of the oldest program that can work with it."""

writers = Table(
    "writers",
    metadata,
    text_column("id", key=True),
    column("batch"),
    column("seen_ms"),
    **strict(REMOVABLE),
)
"""The number of the last batch that each process committed, for commits during which the connection
is lost. Written on PostgreSQL only."""

accounts = Table(
    "accounts",
    metadata,
    text_column("id", key=True),
    text_column("kind"),
    column("admin"),
    column("closed"),
    text_column("password_hash", null=True),
    text_column("ibutton_digest", null=True),
    column("created_ms"),
    column("debits_pending"),
    column("debits_posted"),
    column("credits_pending"),
    column("credits_posted"),
    Column("credit_limit", WHOLE, nullable=False, server_default=text("0")),
    text_column("name", null=True),
    text_column("display_name", null=True),
    UniqueConstraint("ibutton_digest"),
    check("kind", f"kind IN {among(*AccountKind)}"),
    check("flags", "admin IN (0, 1) AND closed IN (0, 1)"),
    check(
        "totals",
        "debits_pending >= 0 AND debits_posted >= 0"
        " AND credits_pending >= 0 AND credits_posted >= 0",
    ),
    Index("accounts_name_once", "name", unique=True),
    Index("accounts_by_letters", text("lower(name)")),
    # A trigger holds balances above the limit: lowering it changes no balance that is below.
    check("limit", f"credit_limit BETWEEN 0 AND {CREDITS_MAX}"),
    **strict(KEPT),
)

tokens = Table(
    "tokens",
    metadata,
    text_column("digest", key=True),
    Column("account", TEXT, ForeignKey("accounts.id"), nullable=False),
    column("expires_ms"),
    text_column("made_by", null=True),
    text_column("name", null=True),
    column("created_ms", null=True),
    column("used_ms", null=True),
    Index("tokens_by_account", "account", "expires_ms"),
    **strict(REMOVABLE),
)
"""Bearer tokens with all rights of their accounts."""

scoped_tokens = Table(
    "scoped_tokens",
    metadata,
    text_column("digest", key=True),
    Column("account", TEXT, ForeignKey("accounts.id"), nullable=False),
    column("expires_ms"),
    text_column("made_by"),
    text_column("name", null=True),
    column("created_ms"),
    column("used_ms", null=True),
    text_column("scope"),
    check("scope", f"scope IN {among(Scope.DROP, Scope.READ, Scope.NOTIFY)}"),
    Index("scoped_tokens_by_account", "account", "expires_ms"),
    **strict(REMOVABLE),
)
"""Bearer tokens with some rights only. A program of release 0.1.0 gives every token of `tokens` all
rights; it does not know this table, and so refuses these tokens."""

cards = Table(
    "cards",
    metadata,
    text_column("digest", key=True),
    Column("account", TEXT, ForeignKey("accounts.id"), nullable=False),
    text_column("kind"),
    column("length"),
    text_column("name", null=True),
    column("created_ms"),
    text_column("key_id"),
    check("kind", f"kind IN {among(*CardKind)}"),
    check("length", "length >= 1"),
    Index("cards_by_account", "account", "created_ms"),
    **strict(REMOVABLE),
)
"""Cards with which people log in: each number as a hash under a key that is not in the database."""

preferences = Table(
    "preferences",
    metadata,
    Column("account", TEXT, ForeignKey("accounts.id"), primary_key=True, nullable=False),
    text_column("favourites"),
    column("ranked"),
    text_column("language"),
    check("ranked", "ranked IN (0, 1)"),
    **strict(REMOVABLE),
)
"""What people prefer: a row for each account that has said so."""

frontends = Table(
    "frontends",
    metadata,
    text_column("id", key=True),
    text_column("name"),
    text_column("version"),
    column("started_ms"),
    column("beats"),
    check("beats", "beats >= 1"),
    **strict(REMOVABLE),
)

machines = Table(
    "machines",
    metadata,
    text_column("name", key=True),
    text_column("display_name"),
    text_column("location"),
    column("enabled"),
    column("epoch"),
    text_column("journal_id", null=True),
    column("journal_sequence"),
    column("temperature_celsius", Double().with_variant(REAL(), "sqlite"), null=True),
    text_column("token_digest", null=True),
    # No foreign key: a frontend that was removed by mistake continues to open links.
    text_column("frontend", null=True),
    text_column("reach"),
    column("reach_ms", null=True),
    column("temperature_ms", null=True),
    text_column("agent_version", null=True),
    text_column("firmware_version", null=True),
    UniqueConstraint("token_digest"),
    check("flags", "enabled IN (0, 1)"),
    check("counts", "epoch >= 0 AND journal_sequence >= 0"),
    check("reach", f"reach IN {among(*Reach)}"),
    check("linked", "(frontend IS NULL) = (reach = 'OFFLINE')"),
    **strict(KEPT),
)

items = Table(
    "items",
    metadata,
    column("number", key=True),
    text_column("name"),
    text_column("barcode", null=True),
    column("price"),
    column("created_ms"),
    column("updated_ms"),
    UniqueConstraint("barcode"),
    check("number", f"number BETWEEN 1 AND {ITEM_NUMBER_MAX}"),
    check("price", f"price BETWEEN 0 AND {CREDITS_MAX}"),
    **strict(REMOVABLE),
)
"""What slots sell. A trigger gives a slot that sells an item no other name or price."""

slots = Table(
    "slots",
    metadata,
    Column("machine", TEXT, ForeignKey("machines.name"), primary_key=True),
    column("number", key=True),
    text_column("item"),
    column("price"),
    column("enabled"),
    column("loaded"),
    column("on_hand"),
    column("reserved"),
    column("dispensed"),
    column("unknown"),
    text_column("sensor"),
    column("updated_ms"),
    Column("item_number", WHOLE, ForeignKey("items.number")),
    Column("capacity", WHOLE, nullable=False, server_default=text("0")),
    Column("low_stock_mark", WHOLE, nullable=False, server_default=text("0")),
    column("deleted_ms", null=True),
    check("number", "number >= 1"),
    check("price", f"price BETWEEN 0 AND {CREDITS_MAX}"),
    check("flags", "enabled IN (0, 1)"),
    check("places", "on_hand >= 0 AND reserved >= 0 AND dispensed >= 0 AND unknown >= 0"),
    check("loaded", "loaded = on_hand + reserved + dispensed + unknown"),
    check("sensor", f"sensor IN {among(*Sensor)}"),
    partial("slots_by_item", "item_number", where="item_number IS NOT NULL"),
    check("levels", "capacity >= 0 AND low_stock_mark >= 0"),
    check("deleted", "deleted_ms IS NULL OR on_hand + reserved + unknown = 0"),
    **strict(KEPT),
)
"""Slots, deleted ones included: drops and movements refer to them."""

DROP_MOVES = (
    *("state", "cause", "decided_by", "epoch", "journal_id"),
    *("revision", "dispatched_ms", "settled_ms"),
)
"""The columns of a drop that its moves change; a trigger refuses to change any other."""

drops = Table(
    "drops",
    metadata,
    column("sequence", key=True),
    text_column("id"),
    Column("account", TEXT, ForeignKey("accounts.id"), nullable=False),
    text_column("request_id"),
    text_column("fingerprint"),
    text_column("machine"),
    column("slot"),
    text_column("item"),
    column("price"),
    # No foreign key: the hold refers to the drop and is written after it; a trigger compares them.
    text_column("hold_id"),
    text_column("state"),
    text_column("cause"),
    text_column("decided_by", null=True),
    column("epoch", null=True),
    text_column("journal_id", null=True),
    column("revision"),
    column("created_ms"),
    column("not_before_ms", null=True),
    column("dispatched_ms", null=True),
    column("settled_ms", null=True),
    text_column("traceparent", null=True),
    UniqueConstraint("id"),
    UniqueConstraint("account", "request_id"),
    ForeignKeyConstraint(["machine", "slot"], ["slots.machine", "slots.number"]),
    check("state", f"state IN {among(*State)}"),
    check("price", f"price BETWEEN 0 AND {CREDITS_MAX}"),
    check("scheduled", "state <> 'SCHEDULED' OR not_before_ms IS NOT NULL"),
    check(
        "waiting",
        "state NOT IN ('SCHEDULED', 'RESERVED')"
        " OR (epoch IS NULL AND journal_id IS NULL AND dispatched_ms IS NULL)",
    ),
    check(
        "dispatched",
        "state <> 'DISPATCHED'"
        " OR (epoch >= 1 AND journal_id IS NOT NULL AND dispatched_ms IS NOT NULL)",
    ),
    check(
        "settled",
        "(state IN ('UNKNOWN', 'DISPENSED', 'NOT_DISPENSED')) = (settled_ms IS NOT NULL)",
    ),
    # Each outcome is allowed only with its own causes.
    *(
        check(state.lower(), f"state <> '{state}' OR cause IN {among(*causes)}")
        for state, causes in CAUSES.items()
    ),
    check("decided", "(cause = 'OPERATOR') = (decided_by IS NOT NULL)"),
    check("revision", "revision >= 0"),
    partial("drops_by_state", "state", "machine", "sequence", where=_IS_OPEN),
    # A board gets its next command after it has answered the one before.
    partial("drops_dispatched_alone", "machine", where="state = 'DISPATCHED'", unique=True),
    partial("drops_by_time", "not_before_ms", where="state = 'SCHEDULED'"),
    Index("drops_by_account", "account", "sequence"),
    # With the slot, so that drops of other slots are passed over within the index.
    partial("drops_by_machine", "machine", "created_ms", "sequence", "slot", where=_IS_LISTED),
    partial("drops_by_item", "item", "created_ms", "sequence", where=_IS_LISTED),
    partial("drops_by_creation", "created_ms", "sequence", where=_IS_LISTED),
    **strict(KEPT, by_key=False),
)

transfers = Table(
    "transfers",
    metadata,
    column("sequence", key=True),
    text_column("id"),
    text_column("kind"),
    Column("debit_account", TEXT, ForeignKey("accounts.id"), nullable=False),
    Column("credit_account", TEXT, ForeignKey("accounts.id"), nullable=False),
    column("amount"),
    column("created_ms"),
    Column("drop_id", TEXT, ForeignKey("drops.id")),
    Column("resolves", TEXT, ForeignKey("transfers.id")),
    text_column("actor", null=True),
    text_column("request_id", null=True),
    text_column("reason", null=True),
    UniqueConstraint("id"),
    check("kind", f"kind IN {among(*TransferKind)}"),
    check("amount", f"amount BETWEEN 0 AND {CREDITS_MAX}"),
    check("accounts", "debit_account <> credit_account"),
    check("drop", "(kind = 'MOVE') = (drop_id IS NULL)"),
    check("resolves", "(kind IN ('POST', 'VOID')) = (resolves IS NOT NULL)"),
    check("actor", "(kind = 'MOVE') = (actor IS NOT NULL)"),
    check("request", "(kind = 'MOVE') = (request_id IS NOT NULL)"),
    partial("transfers_one_hold", "drop_id", where="kind = 'HOLD'", unique=True),
    partial("transfers_one_resolution", "resolves", where="resolves IS NOT NULL", unique=True),
    partial("transfers_one_request", "actor", "request_id", where="kind = 'MOVE'", unique=True),
    # Not unique: with release 0.1.0 several administrators could use one id.
    partial("transfers_grants", "request_id", where=_IS_GRANT),
    Index("transfers_by_debit", "debit_account", "sequence"),
    Index("transfers_by_credit", "credit_account", "sequence"),
    **strict(APPEND_ONLY, by_key=False),
)

refunds = Table(
    "refunds",
    metadata,
    # The key is what gives back a drop once, whatever the program does.
    Column("drop_id", TEXT, ForeignKey("drops.id"), primary_key=True, nullable=False),
    # No foreign key: the transfer is written after its refund; a trigger compares them.
    text_column("transfer_id"),
    column("amount"),
    column("restocked"),
    UniqueConstraint("transfer_id"),
    check("amount", f"amount BETWEEN 1 AND {CREDITS_MAX}"),
    check("restocked", "restocked IN (0, 1)"),
    **strict(APPEND_ONLY),
)
"""What was given back of paid drops: one row for a drop at most, and one MOVE for each row."""

stock_movements = Table(
    "stock_movements",
    metadata,
    column("sequence", key=True),
    text_column("machine"),
    column("slot"),
    text_column("kind"),
    column("change"),
    column("on_hand"),
    column("at_ms"),
    text_column("actor"),
    text_column("reason", null=True),
    Column("drop_id", TEXT, ForeignKey("drops.id")),
    text_column("request_id", null=True),
    ForeignKeyConstraint(["machine", "slot"], ["slots.machine", "slots.number"]),
    check("kind", f"kind IN {among(*MovementKind)}"),
    check(
        "change",
        f"CASE kind WHEN 'LOADED' THEN change BETWEEN 1 AND {STOCK_MAX}"
        " WHEN 'COUNTED' THEN change IS NOT NULL WHEN 'RETURNED' THEN change = 1"
        " WHEN 'SOLD' THEN change = -1 ELSE change < 0 END",
    ),
    check("on_hand", "on_hand >= 0"),
    check("drop", "(kind IN ('SOLD', 'RETURNED')) = (drop_id IS NOT NULL)"),
    partial("stock_movements_one_drop", "drop_id", "kind", where=_OF_DROP, unique=True),
    partial("stock_movements_one_request", "actor", "request_id", where=_OF_REQUEST, unique=True),
    Index("stock_movements_by_slot", "machine", "slot", "sequence"),
    **strict(APPEND_ONLY, by_key=False),
)
"""Every change of the number of items in a slot; the changes add up to the items that are there."""

audit = Table(
    "audit",
    metadata,
    column("sequence", key=True),
    text_column("kind"),
    column("at_ms"),
    text_column("actor"),
    text_column("drop_id", null=True),
    text_column("machine", null=True),
    text_column("account", null=True),
    text_column("facts"),
    check("facts", f"length(facts) <= {FACTS_MAX}"),
    partial("audit_by_drop", "drop_id", "kind", "sequence", where="drop_id IS NOT NULL"),
    Index("audit_by_kind", "kind", "sequence"),
    **strict(APPEND_ONLY, by_key=False),
)

alarms = Table(
    "alarms",
    metadata,
    column("sequence", key=True),
    text_column("kind"),
    text_column("subject"),
    Column("machine", TEXT, ForeignKey("machines.name")),
    column("opened_ms"),
    column("last_ms"),
    column("count"),
    text_column("facts"),
    text_column("acknowledged_by", null=True),
    column("acknowledged_ms", null=True),
    text_column("closed_by", null=True),
    column("closed_ms", null=True),
    check("count", "count >= 1"),
    check("facts", f"length(facts) <= {FACTS_MAX}"),
    check("acknowledged", "(acknowledged_by IS NULL) = (acknowledged_ms IS NULL)"),
    check("closed", "(closed_by IS NULL) = (closed_ms IS NULL)"),
    partial("alarms_open_once", "kind", "subject", where=_NOT_CLOSED, unique=True),
    **strict(KEPT, by_key=False),
)
"""What operators should examine: of each kind and subject at most one row is not closed."""

events = Table(
    "events",
    metadata,
    column("sequence", key=True),
    column("at_ms"),
    text_column("changes"),
    **strict(EXPIRING, by_key=False),
)
"""What each commit changed that somebody may see. Old rows are deleted, never the newest one."""

event_log = Table("event_log", metadata, text_column("mark", key=True), **strict(KEPT))
"""One row: a random mark in the cursors of this database. A restored backup has another one."""
