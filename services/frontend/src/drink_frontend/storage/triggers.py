"""Triggers: the rules of the tables that no constraint can express, in the SQL of each engine.

The error of a trigger contains the trigger's name, like the error of a constraint. Triggers only
check; they never change a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.sql.schema import MetaData

from drink_frontend.domain.stock import STOCK_MAX
from drink_frontend.storage import (  # noqa: F401 - they add their tables to the metadata
    notification_tables,
    picture_tables,
    statistics_tables,
    upkeep_tables,
)
from drink_frontend.storage.tables import DROP_MOVES, drops, metadata


@dataclass(frozen=True, slots=True)
class Trigger:
    """A change that is refused.

    Attributes:
        change: UPDATE, UPDATE OF columns, INSERT or DELETE.
        table: Name of the table.
        condition: SQL on the rows OLD and NEW; the change is refused if true. Empty: always.
    """

    change: str
    table: str
    condition: str = ""


_ORDER = ", ".join(column.name for column in drops.c if column.name not in DROP_MOVES)

TRIGGERS = {
    "transfers_never_change": Trigger("UPDATE", "transfers"),
    "transfers_never_go": Trigger("DELETE", "transfers"),
    "audit_never_changes": Trigger("UPDATE", "audit"),
    "audit_never_goes": Trigger("DELETE", "audit"),
    "drops_never_go": Trigger("DELETE", "drops"),
    "drops_order_never_changes": Trigger(f"UPDATE OF {_ORDER}", "drops"),
    "drops_settled_stay": Trigger(
        "UPDATE OF state",
        "drops",
        "OLD.state IN ('DISPENSED', 'NOT_DISPENSED')"
        " OR (OLD.state = 'UNKNOWN' AND NEW.state IN ('SCHEDULED', 'RESERVED', 'DISPATCHED'))",
    ),
    "drops_dispatched_from_reserved": Trigger(
        "UPDATE OF state", "drops", "NEW.state = 'DISPATCHED' AND OLD.state <> 'RESERVED'"
    ),
    "drops_move_with_hold": Trigger(
        "UPDATE OF state",
        "drops",
        "NOT EXISTS (SELECT 1 FROM transfers WHERE kind = 'HOLD' AND drop_id = OLD.id)",
    ),
    "transfers_hold_fits": Trigger(
        "INSERT",
        "transfers",
        "NEW.kind = 'HOLD' AND NOT EXISTS"
        " (SELECT 1 FROM drops WHERE id = NEW.drop_id AND hold_id = NEW.id"
        " AND account = NEW.debit_account AND 'sales/' || machine = NEW.credit_account"
        " AND price = NEW.amount AND state IN ('SCHEDULED', 'RESERVED'))",
    ),
    "transfers_resolution_fits": Trigger(
        "INSERT",
        "transfers",
        "NEW.resolves IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM transfers AS hold JOIN drops ON drops.id = hold.drop_id"
        " WHERE hold.id = NEW.resolves AND hold.kind = 'HOLD' AND hold.drop_id = NEW.drop_id"
        " AND hold.debit_account = NEW.debit_account"
        " AND hold.credit_account = NEW.credit_account AND hold.amount = NEW.amount"
        " AND drops.state = CASE NEW.kind WHEN 'POST' THEN 'DISPENSED' ELSE 'NOT_DISPENSED' END)",
    ),
    "refunds_never_change": Trigger("UPDATE", "refunds"),
    "refunds_never_go": Trigger("DELETE", "refunds"),
    "refunds_fit": Trigger(
        "INSERT",
        "refunds",
        "NOT EXISTS (SELECT 1 FROM drops"
        " WHERE id = NEW.drop_id AND state = 'DISPENSED' AND price >= NEW.amount)",
    ),
    # A machine's sales are paid out by refunds only, each with its own transfer.
    "transfers_refund_fits": Trigger(
        "INSERT",
        "transfers",
        "NEW.kind = 'MOVE' AND substr(NEW.debit_account, 1, 6) = 'sales/' AND NOT EXISTS"
        " (SELECT 1 FROM refunds JOIN drops ON drops.id = refunds.drop_id"
        " WHERE refunds.transfer_id = NEW.id AND refunds.amount = NEW.amount"
        " AND drops.account = NEW.credit_account AND 'sales/' || machine = NEW.debit_account)",
    ),
    "stock_movements_never_change": Trigger("UPDATE", "stock_movements"),
    "stock_movements_never_go": Trigger("DELETE", "stock_movements"),
    "stock_movements_fit": Trigger(
        "INSERT",
        "stock_movements",
        "NEW.drop_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM drops WHERE id = NEW.drop_id"
        " AND machine = NEW.machine AND slot = NEW.slot AND state = 'DISPENSED')",
    ),
    # Only the funding account may go below its limit: that is how credits are created. A balance
    # that is below it, since the limit was lowered, may rise and stay.
    "accounts_available": Trigger(
        "UPDATE OF debits_pending, debits_posted, credits_posted",
        "accounts",
        "NEW.kind <> 'FUNDING'"
        " AND NEW.credits_posted - NEW.debits_posted - NEW.debits_pending < -NEW.credit_limit"
        " AND NEW.credits_posted - NEW.debits_posted - NEW.debits_pending"
        " < OLD.credits_posted - OLD.debits_posted - OLD.debits_pending",
    ),
    # Only items that drops return may raise the count above the limit.
    "slots_loaded_within_limit": Trigger(
        "UPDATE OF loaded",
        "slots",
        f"NEW.loaded > OLD.loaded AND NEW.on_hand > {STOCK_MAX}",
    ),
    "slots_fit_item": Trigger(
        "UPDATE OF item, price, item_number",
        "slots",
        "NEW.item_number IS NOT NULL AND NOT EXISTS (SELECT 1 FROM items"
        " WHERE number = NEW.item_number AND name = NEW.item AND price = NEW.price)",
    ),
}
"""All triggers by name."""

_REFUSE = """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
RAISE EXCEPTION USING MESSAGE = TG_NAME, CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME,
ERRCODE = 'integrity_constraint_violation'; END $$"""
_REFUSE_IF = """CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF {condition} THEN
RAISE EXCEPTION USING MESSAGE = TG_NAME, CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME,
ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END $$"""


def sqlite() -> Sequence[str]:
    """The statements that create the triggers on SQLite."""
    return [
        f"CREATE TRIGGER {name} BEFORE {trigger.change} ON {trigger.table}"
        + (f" WHEN {trigger.condition}" if trigger.condition else "")
        + f" BEGIN SELECT RAISE(ABORT, '{name}'); END"
        for name, trigger in TRIGGERS.items()
    ]


def postgres() -> Sequence[str]:
    """The statements that create the triggers on PostgreSQL."""
    statements = [_REFUSE]
    for name, trigger in TRIGGERS.items():
        change, each, when, function = trigger.change, "ROW", "", "refuse"
        if change == "DELETE":
            # TRUNCATE runs no trigger for rows, only for the statement.
            change, each = "DELETE OR TRUNCATE", "STATEMENT"
        elif "SELECT" in trigger.condition:
            # PostgreSQL allows no subquery in the WHEN of a trigger.
            statements.append(_REFUSE_IF.format(name=name, condition=trigger.condition))
            function = name
        elif trigger.condition:
            when = f" WHEN ({trigger.condition})"
        statements.append(
            f"CREATE TRIGGER {name} BEFORE {change} ON {trigger.table}"
            f" FOR EACH {each}{when} EXECUTE FUNCTION {function}()"
        )
    return statements


@event.listens_for(metadata, "after_create")
def _create(_: MetaData, connection: Connection, **__: object) -> None:
    statements = sqlite() if connection.dialect.name == "sqlite" else postgres()
    for statement in statements:
        connection.execute(text(statement))
