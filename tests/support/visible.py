"""What of the database somebody may see, and which event tells of each change of it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from drink_frontend.domain.entities import Account, AuditRecord, Drop, Machine, Slot
from drink_frontend.domain.events import EventBatch, EventKind
from drink_frontend.domain.items import Item
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.storage.statements import Statement
from drink_frontend.storage.tables import metadata
from drink_frontend.storage.transaction import Transaction

VISIBLE: Mapping[str, frozenset[str]] = {
    "accounts": frozenset(
        {
            "id",
            "name",
            "kind",
            "admin",
            "closed",
            "created_ms",
            "debits_pending",
            "debits_posted",
            "credits_posted",
            "credit_limit",
            "display_name",
        }
    ),
    "machines": frozenset(
        {
            "name",
            "display_name",
            "location",
            "enabled",
            "temperature_celsius",
            "temperature_ms",
            "reach",
            "reach_ms",
            "agent_version",
            "firmware_version",
        }
    ),
    "slots": frozenset(
        {
            "machine",
            "number",
            "item",
            "price",
            "enabled",
            "on_hand",
            "reserved",
            "dispensed",
            "unknown",
            "sensor",
            "updated_ms",
            "item_number",
            "capacity",
            "low_stock_mark",
            "deleted_ms",
        }
    ),
    "items": frozenset(column.name for column in metadata.tables["items"].c),
    "drops": frozenset(
        {
            "id",
            "account",
            "request_id",
            "machine",
            "slot",
            "item",
            "price",
            "state",
            "cause",
            "decided_by",
            "created_ms",
            "not_before_ms",
            "dispatched_ms",
            "settled_ms",
        }
    ),
    "refunds": frozenset({"drop_id", "amount"}),
    "transfers": frozenset({"sequence", "debit_account", "credit_account", "amount"}),
    "audit": frozenset({"sequence", "kind", "drop_id", "facts"}),
    "alarms": frozenset(column.name for column in metadata.tables["alarms"].c),
    "kiosks": frozenset(
        {"sequence", "machine", "name", "created_ms", "code_expires_ms", "paired_ms", "ended_ms"}
    ),
    "stock_movements": frozenset({"sequence", "machine", "slot", "kind", "change"}),
}
"""The columns of each table that a method of the API shows, to anybody."""

HIDDEN: Mapping[str, frozenset[str]] = {
    # Credentials, and the side of accounts that no user has.
    "accounts": frozenset({"password_hash", "ibutton_digest", "credits_pending"}),
    # What the frontends know of links and journals, and the agent's credential.
    "machines": frozenset({"epoch", "journal_id", "journal_sequence", "token_digest", "frontend"}),
    # The sum of the others.
    "slots": frozenset({"loaded"}),
    # What the dispatch needs, and the order of rows.
    "drops": frozenset(
        {"sequence", "fingerprint", "hold_id", "epoch", "journal_id", "revision", "traceparent"}
    ),
    # Each comes with the rest of its row, which never changes.
    "refunds": frozenset({"transfer_id", "restocked"}),
    "transfers": frozenset(
        {"id", "kind", "created_ms", "drop_id", "resolves", "actor", "request_id", "reason"}
    ),
    "audit": frozenset({"at_ms", "actor", "machine", "account"}),
    "alarms": frozenset(),
    # The kiosk's credentials.
    "kiosks": frozenset({"code_digest", "token_digest"}),
    "items": frozenset(),
    "stock_movements": frozenset({"on_hand", "at_ms", "actor", "reason", "drop_id", "request_id"}),
}
"""The other columns of those tables."""

WITHOUT_EVENTS = frozenset(
    # Credentials and preferences are shown to their owners only, by methods of their own.
    {"cards", "identities", "kiosk_tokens", "preferences", "provider_logins"}
    | {"scoped_tokens", "tokens"}
    # An item shows the facts of its picture, and its event comes with them.
    | {"item_pictures", "picture_parts"}
    # Sums follow the events, and temperatures through time those of the machine.
    | {"statistics", "statistics_progress", "statistics_unknown", "temperatures"}
    # A card read is told to the kiosks of its machine, and to nobody else.
    | {"card_reads"}
    # What is to be told of alarms follows theirs.
    | {"channels", "deliveries", "notifications"}
    # What belongs to processes is shown to nobody.
    | {"compatibility", "event_log", "events", "frontends", "upkeep", "writers"}
)
"""Tables of whose changes no event tells."""

Picture = Mapping[str, Mapping[tuple[Any, ...], tuple[Any, ...]]]
"""The visible columns of all rows, by table and key."""


def picture(tx: Transaction) -> Picture:
    """What is visible now."""
    return {
        name: {
            tuple(row[: len(table.primary_key)]): tuple(row[len(table.primary_key) :])
            for row in tx._executor.all(
                Statement(
                    select(
                        *table.primary_key.columns,
                        *(column for column in table.c if column.name in VISIBLE[name]),
                    )
                )
            )
        }
        for name, table in metadata.tables.items()
        if name in VISIBLE
    }


def untold(before: Picture, after: Picture, batches: list[EventBatch]) -> list[str]:
    """The visible changes of which no event tells, each as a text."""
    events = [event for batch in batches for event in batch.events]
    told: set[tuple[object, ...]] = set()
    for event in events:
        match event.state:
            case Drop() as drop:
                told |= {("drops", drop.id), ("refunds", drop.id)}
            case AuditRecord() as record:
                told.add(("audit", record.kind, record.drop_id))
            case Account() as account:
                told.add(("accounts", account.id, event.kind))
            case Machine() as machine:
                told.add(("machines", machine.name))
            case Slot() as slot:
                told.add(("slots", slot.machine, slot.number))
            case Item() as item:
                told.add(("items", item.number))
            case Kiosk() as kiosk:
                told.add(("kiosks", kiosk.sequence))
            case alarm:
                told.add(("alarms", alarm.sequence))
    removed = [
        f"{table} {key}"
        for table, rows in before.items()
        for key in rows.keys() - after[table].keys()
        if (table, *key) not in told
    ]
    return removed + [
        f"{table} {key}"
        for table, rows in after.items()
        for key, row in rows.items()
        if before[table].get(key) != row
        for need in _needs(table, key, row, before, after)
        if need not in told
    ]


def _needs(
    table: str, key: tuple[Any, ...], row: tuple[Any, ...], before: Picture, after: Picture
) -> list[tuple[Any, ...]]:
    """The events that a change needs."""
    columns = _columns(table)
    now = dict(zip(columns, row, strict=True))
    match table:
        case "drops":
            return [("drops", now["id"])]
        case "transfers":
            sides = (now["debit_account"], now["credit_account"])
            return [
                ("accounts", each, EventKind.CREDITS) for each in sides if _is_user(after, each)
            ]
        case "accounts":
            was = before[table].get(key)
            settled = [
                columns.index(name)
                for name in ("name", "admin", "closed", "created_ms", "credit_limit")
            ]
            same = was is not None and all(was[index] == row[index] for index in settled)
            # Its credits change with transfers only.
            return [("accounts", key[0], EventKind.ACCOUNT)] * (now["kind"] == "USER" and not same)
        case "stock_movements":
            return [("slots", now["machine"], now["slot"])]
        case "audit":
            shown = now["kind"] in {"DROP_REPORTED", "DROP_CONTRADICTED"}
            return [("audit", now["kind"], now["drop_id"])] * shown
        case _:
            return [(table, *key)]


def _is_user(after: Picture, account_id: str) -> bool:
    row = after["accounts"][(account_id,)]
    return bool(row[_columns("accounts").index("kind")] == "USER")


def _columns(table: str) -> list[str]:
    return [column.name for column in metadata.tables[table].c if column.name in VISIBLE[table]]
