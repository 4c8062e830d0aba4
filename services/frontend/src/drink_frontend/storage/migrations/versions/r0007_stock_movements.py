"""Movements of stock. No program of revision 0006 writes them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds a table with its triggers, and one opening movement for each slot."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "stock_movements",
        sa.Column("sequence", whole, nullable=False),
        sa.Column("machine", text, nullable=False),
        sa.Column("slot", whole, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("change", whole, nullable=False),
        sa.Column("on_hand", whole, nullable=False),
        sa.Column("at_ms", whole, nullable=False),
        sa.Column("actor", text, nullable=False),
        sa.Column("reason", text, nullable=True),
        sa.Column("drop_id", text, nullable=True),
        sa.Column("request_id", text, nullable=True),
        sa.PrimaryKeyConstraint("sequence", name="stock_movements_key"),
        sa.ForeignKeyConstraint(["drop_id"], ["drops.id"], name="stock_movements_drop_id_exists"),
        sa.ForeignKeyConstraint(
            ["machine", "slot"],
            ["slots.machine", "slots.number"],
            name="stock_movements_machine_slot_exists",
        ),
        *(
            sa.CheckConstraint(rule, name=op.f(f"stock_movements_{name}"))
            for name, rule in _RULES.items()
        ),
        sqlite_strict=True,
    )
    for name, columns, given in _ONCE:
        where = sa.text(f"{given} IS NOT NULL")
        op.create_index(
            name,
            "stock_movements",
            columns,
            unique=True,
            sqlite_where=where,
            postgresql_where=where,
        )
    op.create_index("stock_movements_by_slot", "stock_movements", ["machine", "slot", "sequence"])
    # The number that a slot has is true since its last change.
    op.execute(
        "INSERT INTO stock_movements (machine, slot, kind, change, on_hand, at_ms, actor, reason)"
        " SELECT machine, number, 'COUNTED', on_hand + reserved + unknown, on_hand, updated_ms,"
        " 'frontend', 'opening' FROM slots ORDER BY machine, number"
    )
    _triggers()
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0007', '0007')")


def _triggers() -> None:
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    if not on_sqlite:
        op.execute(_FUNCTION)
    for name, (change, condition) in _TRIGGERS.items():
        if on_sqlite:
            when = f" WHEN {condition}" if condition else ""
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {change} ON stock_movements{when}"
                f" BEGIN SELECT RAISE(ABORT, '{name}'); END"
            )
            continue
        on, each = {"DELETE": ("DELETE OR TRUNCATE", "STATEMENT")}.get(change, (change, "ROW"))
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {on} ON stock_movements FOR EACH {each}"
            f" EXECUTE FUNCTION {name if condition else 'refuse'}()"
        )


_RULES = {
    "kind": "kind IN ('LOADED', 'TAKEN_OUT', 'COUNTED', 'LOST', 'SOLD', 'RETURNED')",
    "change": "CASE kind WHEN 'LOADED' THEN change BETWEEN 1 AND 10000"
    " WHEN 'COUNTED' THEN change IS NOT NULL WHEN 'RETURNED' THEN change = 1"
    " WHEN 'SOLD' THEN change = -1 ELSE change < 0 END",
    "on_hand": "on_hand >= 0",
    "drop": "(kind IN ('SOLD', 'RETURNED')) = (drop_id IS NOT NULL)",
}
_ONCE = (
    ("stock_movements_one_drop", ["drop_id", "kind"], "drop_id"),
    ("stock_movements_one_request", ["actor", "request_id"], "request_id"),
)
_NO_SUCH_DROP = (
    "NEW.drop_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM drops WHERE id = NEW.drop_id"
    " AND machine = NEW.machine AND slot = NEW.slot AND state = 'DISPENSED')"
)
_TRIGGERS = {
    "stock_movements_never_change": ("UPDATE", ""),
    "stock_movements_never_go": ("DELETE", ""),
    "stock_movements_fit": ("INSERT", _NO_SUCH_DROP),
}
_FUNCTION = f"""CREATE FUNCTION stock_movements_fit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF {_NO_SUCH_DROP} THEN
RAISE EXCEPTION USING MESSAGE = TG_NAME, CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME,
ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END $$"""
