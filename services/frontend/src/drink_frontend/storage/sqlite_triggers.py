"""Triggers for SQLite: what a constraint of the tables cannot say.

A trigger refuses with its own name, as a constraint does. It only checks; nothing is ever computed
by one.
"""

from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.sql.schema import MetaData

from drink_frontend.domain.stock import STOCK_MAX
from drink_frontend.storage.tables import metadata

_WHEN = {
    "transfers_never_change": "BEFORE UPDATE ON transfers",
    "transfers_never_go": "BEFORE DELETE ON transfers",
    "audit_never_changes": "BEFORE UPDATE ON audit",
    "audit_never_goes": "BEFORE DELETE ON audit",
    "drops_never_go": "BEFORE DELETE ON drops",
    "drops_order_never_changes": (
        "BEFORE UPDATE OF sequence, id, account, request_id, fingerprint, machine, slot, item,"
        " price, hold_id, created_ms, not_before_ms ON drops"
    ),
    "drops_settled_stay": (
        "BEFORE UPDATE OF state ON drops"
        " WHEN OLD.state IN ('DISPENSED', 'NOT_DISPENSED')"
        " OR (OLD.state = 'UNKNOWN' AND NEW.state IN ('SCHEDULED', 'RESERVED', 'DISPATCHED'))"
    ),
    "drops_dispatched_from_reserved": (
        "BEFORE UPDATE OF state ON drops WHEN NEW.state = 'DISPATCHED' AND OLD.state <> 'RESERVED'"
    ),
    "drops_move_with_hold": (
        "BEFORE UPDATE OF state ON drops WHEN NOT EXISTS"
        " (SELECT 1 FROM transfers WHERE kind = 'HOLD' AND drop_id = OLD.id)"
    ),
    "transfers_hold_fits": (
        "BEFORE INSERT ON transfers WHEN NEW.kind = 'HOLD' AND NOT EXISTS"
        " (SELECT 1 FROM drops WHERE id = NEW.drop_id AND hold_id = NEW.id"
        " AND account = NEW.debit_account AND 'sales/' || machine = NEW.credit_account"
        " AND price = NEW.amount AND state IN ('SCHEDULED', 'RESERVED'))"
    ),
    "transfers_resolution_fits": (
        "BEFORE INSERT ON transfers WHEN NEW.resolves IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM transfers AS hold JOIN drops ON drops.id = hold.drop_id"
        " WHERE hold.id = NEW.resolves AND hold.kind = 'HOLD' AND hold.drop_id = NEW.drop_id"
        " AND hold.debit_account = NEW.debit_account"
        " AND hold.credit_account = NEW.credit_account AND hold.amount = NEW.amount"
        " AND drops.state = CASE NEW.kind WHEN 'POST' THEN 'DISPENSED' ELSE 'NOT_DISPENSED' END)"
    ),
    # A slot may hold more than that only by items that drops gave back.
    "slots_loaded_within_limit": (
        "BEFORE UPDATE OF loaded ON slots"
        f" WHEN NEW.loaded > OLD.loaded AND NEW.on_hand > {STOCK_MAX}"
    ),
}

TRIGGERS = {
    name: f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, '{name}'); END"
    for name, when in _WHEN.items()
}
"""Each trigger's statement, by its name."""


@event.listens_for(metadata, "after_create")
def _create(_: MetaData, connection: Connection, **__: object) -> None:
    if connection.dialect.name == "sqlite":
        for statement in TRIGGERS.values():
            connection.execute(text(statement))
