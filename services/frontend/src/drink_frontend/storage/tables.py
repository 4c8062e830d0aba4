"""The tables and their constraints, for both engines; `triggers.py` has the rest of the rules.

The rules of credits and stock are constraints and triggers, so that a mistake of the program cannot
commit what breaks them. Constraints are checked at each statement: within a unit of work a drop is
written before its hold, and its settled state before its post or void.

Columns are texts and whole numbers only: times are milliseconds since the epoch (`_ms`), truth
values 0 or 1. Rows of drops, transfers and audit are never deleted, nor is the newest row of
events, so that their sequences, each the highest one plus 1, are never reused.
"""

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import REAL, TypeEngine

from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.drop import CAUSES, State
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.items import ITEM_NUMBER_MAX
from drink_frontend.domain.ledger import CREDITS_MAX, AccountKind, TransferKind
from drink_frontend.domain.stock import STOCK_MAX, MovementKind, Sensor
from drink_frontend.domain.tokens import Scope

SCHEMA_REVISION = "0013"
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

_WHOLE = BigInteger().with_variant(Integer(), "sqlite")
# Texts are compared by their bytes, not by the rules of the server's locale.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def _column(
    name: str, kind: TypeEngine[Any] = _WHOLE, *, key: bool = False, null: bool = False
) -> Column[Any]:
    return Column(name, kind, primary_key=key, nullable=null)


def _text(name: str, *, key: bool = False, null: bool = False) -> Column[Any]:
    return _column(name, _TEXT, key=key, null=null)


def _among(*values: StrEnum) -> str:
    return "(" + ", ".join(f"'{value.value}'" for value in values) + ")"


def _check(name: str, rule: str) -> CheckConstraint:
    return CheckConstraint(text(rule), name=name)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    rule = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=rule, postgresql_where=rule)


_IS_OPEN = f"state IN {_among(*OPEN_STATES)}"
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

_STRICT: dict[str, Any] = {"sqlite_strict": True}
_STRICT_BY_KEY: dict[str, Any] = {"sqlite_strict": True, "sqlite_with_rowid": False}

compatibility = Table(
    "compatibility", metadata, _text("revision", key=True), _text("oldest"), **_STRICT_BY_KEY
)
"""For each schema, the SCHEMA_REVISION of the oldest program that can work with it."""

writers = Table(
    "writers",
    metadata,
    _text("id", key=True),
    _column("batch"),
    _column("seen_ms"),
    **_STRICT_BY_KEY,
)
"""The number of the last batch that each process committed, for commits during which the connection
is lost. Written on PostgreSQL only."""

accounts = Table(
    "accounts",
    metadata,
    _text("name", key=True),
    _text("kind"),
    _column("admin"),
    _column("closed"),
    _text("password_hash", null=True),
    _text("ibutton_digest", null=True),
    _column("created_ms"),
    _column("debits_pending"),
    _column("debits_posted"),
    _column("credits_pending"),
    _column("credits_posted"),
    Column("credit_limit", _WHOLE, nullable=False, server_default=text("0")),
    UniqueConstraint("ibutton_digest"),
    _check("kind", f"kind IN {_among(*AccountKind)}"),
    _check("flags", "admin IN (0, 1) AND closed IN (0, 1)"),
    _check(
        "totals",
        "debits_pending >= 0 AND debits_posted >= 0"
        " AND credits_pending >= 0 AND credits_posted >= 0",
    ),
    Index("accounts_by_letters", text("lower(name)")),
    # A trigger holds balances above the limit: lowering it changes no balance that is below.
    _check("limit", f"credit_limit BETWEEN 0 AND {CREDITS_MAX}"),
    **_STRICT_BY_KEY,
)

tokens = Table(
    "tokens",
    metadata,
    _text("digest", key=True),
    Column("account", _TEXT, ForeignKey("accounts.name"), nullable=False),
    _column("expires_ms"),
    _text("made_by", null=True),
    _text("name", null=True),
    _column("created_ms", null=True),
    _column("used_ms", null=True),
    Index("tokens_by_account", "account", "expires_ms"),
    **_STRICT_BY_KEY,
)
"""Bearer tokens with all rights of their accounts."""

scoped_tokens = Table(
    "scoped_tokens",
    metadata,
    _text("digest", key=True),
    Column("account", _TEXT, ForeignKey("accounts.name"), nullable=False),
    _column("expires_ms"),
    _text("made_by"),
    _text("name", null=True),
    _column("created_ms"),
    _column("used_ms", null=True),
    _text("scope"),
    _check("scope", f"scope IN {_among(Scope.DROP, Scope.READ)}"),
    Index("scoped_tokens_by_account", "account", "expires_ms"),
    **_STRICT_BY_KEY,
)
"""Bearer tokens with some rights only. A program of release 0.1.0 gives every token of `tokens` all
rights; it does not know this table, and so refuses these tokens."""

cards = Table(
    "cards",
    metadata,
    _text("digest", key=True),
    Column("account", _TEXT, ForeignKey("accounts.name"), nullable=False),
    _text("kind"),
    _column("length"),
    _text("name", null=True),
    _column("created_ms"),
    _text("key_id"),
    _check("kind", f"kind IN {_among(*CardKind)}"),
    _check("length", "length >= 1"),
    Index("cards_by_account", "account", "created_ms"),
    **_STRICT_BY_KEY,
)
"""Cards with which people log in: each number as a hash under a key that is not in the database."""

preferences = Table(
    "preferences",
    metadata,
    Column("account", _TEXT, ForeignKey("accounts.name"), primary_key=True, nullable=False),
    _text("favourites"),
    _column("ranked"),
    _text("language"),
    _check("ranked", "ranked IN (0, 1)"),
    **_STRICT_BY_KEY,
)
"""What people prefer: a row for each account that has said so."""

frontends = Table(
    "frontends",
    metadata,
    _text("id", key=True),
    _text("name"),
    _text("version"),
    _column("started_ms"),
    _column("beats"),
    _check("beats", "beats >= 1"),
    **_STRICT_BY_KEY,
)

machines = Table(
    "machines",
    metadata,
    _text("name", key=True),
    _text("display_name"),
    _text("location"),
    _column("enabled"),
    _column("epoch"),
    _text("journal_id", null=True),
    _column("journal_sequence"),
    _column("temperature_celsius", Double().with_variant(REAL(), "sqlite"), null=True),
    _text("token_digest", null=True),
    # No foreign key: a frontend that was removed by mistake continues to open links.
    _text("frontend", null=True),
    _text("reach"),
    UniqueConstraint("token_digest"),
    _check("flags", "enabled IN (0, 1)"),
    _check("counts", "epoch >= 0 AND journal_sequence >= 0"),
    _check("reach", f"reach IN {_among(*Reach)}"),
    _check("linked", "(frontend IS NULL) = (reach = 'OFFLINE')"),
    **_STRICT_BY_KEY,
)

items = Table(
    "items",
    metadata,
    _column("number", key=True),
    _text("name"),
    _text("barcode", null=True),
    _column("price"),
    _column("created_ms"),
    _column("updated_ms"),
    UniqueConstraint("barcode"),
    _check("number", f"number BETWEEN 1 AND {ITEM_NUMBER_MAX}"),
    _check("price", f"price BETWEEN 0 AND {CREDITS_MAX}"),
    **_STRICT_BY_KEY,
)
"""What slots sell. A trigger gives a slot that sells an item no other name or price."""

slots = Table(
    "slots",
    metadata,
    Column("machine", _TEXT, ForeignKey("machines.name"), primary_key=True),
    _column("number", key=True),
    _text("item"),
    _column("price"),
    _column("enabled"),
    _column("loaded"),
    _column("on_hand"),
    _column("reserved"),
    _column("dispensed"),
    _column("unknown"),
    _text("sensor"),
    _column("updated_ms"),
    Column("item_number", _WHOLE, ForeignKey("items.number")),
    Column("capacity", _WHOLE, nullable=False, server_default=text("0")),
    Column("low_stock_mark", _WHOLE, nullable=False, server_default=text("0")),
    _column("deleted_ms", null=True),
    _check("number", "number >= 1"),
    _check("price", f"price BETWEEN 0 AND {CREDITS_MAX}"),
    _check("flags", "enabled IN (0, 1)"),
    _check("places", "on_hand >= 0 AND reserved >= 0 AND dispensed >= 0 AND unknown >= 0"),
    _check("loaded", "loaded = on_hand + reserved + dispensed + unknown"),
    _check("sensor", f"sensor IN {_among(*Sensor)}"),
    _partial("slots_by_item", "item_number", where="item_number IS NOT NULL"),
    _check("levels", "capacity >= 0 AND low_stock_mark >= 0"),
    _check("deleted", "deleted_ms IS NULL OR on_hand + reserved + unknown = 0"),
    **_STRICT_BY_KEY,
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
    _column("sequence", key=True),
    _text("id"),
    Column("account", _TEXT, ForeignKey("accounts.name"), nullable=False),
    _text("request_id"),
    _text("fingerprint"),
    _text("machine"),
    _column("slot"),
    _text("item"),
    _column("price"),
    # No foreign key: the hold refers to the drop and is written after it; a trigger compares them.
    _text("hold_id"),
    _text("state"),
    _text("cause"),
    _text("decided_by", null=True),
    _column("epoch", null=True),
    _text("journal_id", null=True),
    _column("revision"),
    _column("created_ms"),
    _column("not_before_ms", null=True),
    _column("dispatched_ms", null=True),
    _column("settled_ms", null=True),
    UniqueConstraint("id"),
    UniqueConstraint("account", "request_id"),
    ForeignKeyConstraint(["machine", "slot"], ["slots.machine", "slots.number"]),
    _check("state", f"state IN {_among(*State)}"),
    _check("price", f"price BETWEEN 0 AND {CREDITS_MAX}"),
    _check("scheduled", "state <> 'SCHEDULED' OR not_before_ms IS NOT NULL"),
    _check(
        "waiting",
        "state NOT IN ('SCHEDULED', 'RESERVED')"
        " OR (epoch IS NULL AND journal_id IS NULL AND dispatched_ms IS NULL)",
    ),
    _check(
        "dispatched",
        "state <> 'DISPATCHED'"
        " OR (epoch >= 1 AND journal_id IS NOT NULL AND dispatched_ms IS NOT NULL)",
    ),
    _check(
        "settled",
        "(state IN ('UNKNOWN', 'DISPENSED', 'NOT_DISPENSED')) = (settled_ms IS NOT NULL)",
    ),
    # Each outcome is allowed only with its own causes.
    *(
        _check(state.lower(), f"state <> '{state}' OR cause IN {_among(*causes)}")
        for state, causes in CAUSES.items()
    ),
    _check("decided", "(cause = 'OPERATOR') = (decided_by IS NOT NULL)"),
    _check("revision", "revision >= 0"),
    _partial("drops_by_state", "state", "machine", "sequence", where=_IS_OPEN),
    # A board gets its next command after it has answered the one before.
    _partial("drops_dispatched_alone", "machine", where="state = 'DISPATCHED'", unique=True),
    _partial("drops_by_time", "not_before_ms", where="state = 'SCHEDULED'"),
    Index("drops_by_account", "account", "sequence"),
    # With the slot, so that drops of other slots are passed over within the index.
    _partial("drops_by_machine", "machine", "created_ms", "sequence", "slot", where=_IS_LISTED),
    _partial("drops_by_item", "item", "created_ms", "sequence", where=_IS_LISTED),
    _partial("drops_by_creation", "created_ms", "sequence", where=_IS_LISTED),
    **_STRICT,
)

transfers = Table(
    "transfers",
    metadata,
    _column("sequence", key=True),
    _text("id"),
    _text("kind"),
    Column("debit_account", _TEXT, ForeignKey("accounts.name"), nullable=False),
    Column("credit_account", _TEXT, ForeignKey("accounts.name"), nullable=False),
    _column("amount"),
    _column("created_ms"),
    Column("drop_id", _TEXT, ForeignKey("drops.id")),
    Column("resolves", _TEXT, ForeignKey("transfers.id")),
    _text("actor", null=True),
    _text("request_id", null=True),
    _text("reason", null=True),
    UniqueConstraint("id"),
    _check("kind", f"kind IN {_among(*TransferKind)}"),
    _check("amount", f"amount BETWEEN 0 AND {CREDITS_MAX}"),
    _check("accounts", "debit_account <> credit_account"),
    _check("drop", "(kind = 'MOVE') = (drop_id IS NULL)"),
    _check("resolves", "(kind IN ('POST', 'VOID')) = (resolves IS NOT NULL)"),
    _check("actor", "(kind = 'MOVE') = (actor IS NOT NULL)"),
    _check("request", "(kind = 'MOVE') = (request_id IS NOT NULL)"),
    _partial("transfers_one_hold", "drop_id", where="kind = 'HOLD'", unique=True),
    _partial("transfers_one_resolution", "resolves", where="resolves IS NOT NULL", unique=True),
    _partial("transfers_one_request", "actor", "request_id", where="kind = 'MOVE'", unique=True),
    # Not unique: with release 0.1.0 several administrators could use one id.
    _partial("transfers_grants", "request_id", where=_IS_GRANT),
    Index("transfers_by_debit", "debit_account", "sequence"),
    Index("transfers_by_credit", "credit_account", "sequence"),
    **_STRICT,
)

refunds = Table(
    "refunds",
    metadata,
    # The key is what gives back a drop once, whatever the program does.
    Column("drop_id", _TEXT, ForeignKey("drops.id"), primary_key=True, nullable=False),
    # No foreign key: the transfer is written after its refund; a trigger compares them.
    _text("transfer_id"),
    _column("amount"),
    _column("restocked"),
    UniqueConstraint("transfer_id"),
    _check("amount", f"amount BETWEEN 1 AND {CREDITS_MAX}"),
    _check("restocked", "restocked IN (0, 1)"),
    **_STRICT_BY_KEY,
)
"""What was given back of paid drops: one row for a drop at most, and one MOVE for each row."""

stock_movements = Table(
    "stock_movements",
    metadata,
    _column("sequence", key=True),
    _text("machine"),
    _column("slot"),
    _text("kind"),
    _column("change"),
    _column("on_hand"),
    _column("at_ms"),
    _text("actor"),
    _text("reason", null=True),
    Column("drop_id", _TEXT, ForeignKey("drops.id")),
    _text("request_id", null=True),
    ForeignKeyConstraint(["machine", "slot"], ["slots.machine", "slots.number"]),
    _check("kind", f"kind IN {_among(*MovementKind)}"),
    _check(
        "change",
        f"CASE kind WHEN 'LOADED' THEN change BETWEEN 1 AND {STOCK_MAX}"
        " WHEN 'COUNTED' THEN change IS NOT NULL WHEN 'RETURNED' THEN change = 1"
        " WHEN 'SOLD' THEN change = -1 ELSE change < 0 END",
    ),
    _check("on_hand", "on_hand >= 0"),
    _check("drop", "(kind IN ('SOLD', 'RETURNED')) = (drop_id IS NOT NULL)"),
    _partial("stock_movements_one_drop", "drop_id", "kind", where=_OF_DROP, unique=True),
    _partial("stock_movements_one_request", "actor", "request_id", where=_OF_REQUEST, unique=True),
    Index("stock_movements_by_slot", "machine", "slot", "sequence"),
    **_STRICT,
)
"""Every change of the number of items in a slot; the changes add up to the items that are there."""

audit = Table(
    "audit",
    metadata,
    _column("sequence", key=True),
    _text("kind"),
    _column("at_ms"),
    _text("actor"),
    _text("drop_id", null=True),
    _text("machine", null=True),
    _text("account", null=True),
    _text("facts"),
    _check("facts", f"length(facts) <= {FACTS_MAX}"),
    _partial("audit_by_drop", "drop_id", "kind", "sequence", where="drop_id IS NOT NULL"),
    Index("audit_by_kind", "kind", "sequence"),
    **_STRICT,
)

alarms = Table(
    "alarms",
    metadata,
    _column("sequence", key=True),
    _text("kind"),
    _text("subject"),
    Column("machine", _TEXT, ForeignKey("machines.name"), nullable=False),
    _column("opened_ms"),
    _column("last_ms"),
    _column("count"),
    _text("facts"),
    _text("acknowledged_by", null=True),
    _column("acknowledged_ms", null=True),
    _text("closed_by", null=True),
    _column("closed_ms", null=True),
    _check("count", "count >= 1"),
    _check("facts", f"length(facts) <= {FACTS_MAX}"),
    _check("acknowledged", "(acknowledged_by IS NULL) = (acknowledged_ms IS NULL)"),
    _check("closed", "(closed_by IS NULL) = (closed_ms IS NULL)"),
    _partial("alarms_open_once", "kind", "subject", where=_NOT_CLOSED, unique=True),
    **_STRICT,
)
"""What operators should examine: of each kind and subject at most one row is not closed."""

events = Table(
    "events", metadata, _column("sequence", key=True), _column("at_ms"), _text("changes"), **_STRICT
)
"""What each commit changed that somebody may see. Old rows are deleted, never the newest one."""

event_log = Table("event_log", metadata, _text("mark", key=True), **_STRICT_BY_KEY)
"""One row: a random mark in the cursors of this database. A restored backup has another one."""
