"""Refunds of paid drops, and reasons of transfers. No program of revision 0002 knows them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds a table and its triggers, and a column for the reasons of transfers."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "refunds",
        sa.Column("drop_id", text, nullable=False),
        sa.Column("transfer_id", text, nullable=False),
        sa.Column("amount", whole, nullable=False),
        sa.Column("restocked", whole, nullable=False),
        sa.PrimaryKeyConstraint("drop_id", name="refunds_key"),
        sa.ForeignKeyConstraint(["drop_id"], ["drops.id"], name="refunds_drop_id_exists"),
        sa.UniqueConstraint("transfer_id", name="refunds_transfer_id_once"),
        sa.CheckConstraint("amount BETWEEN 1 AND 1000000", name=op.f("refunds_amount")),
        sa.CheckConstraint("restocked IN (0, 1)", name=op.f("refunds_restocked")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.add_column("transfers", sa.Column("reason", text, nullable=True))
    _triggers()
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0003', '0003')")


def _triggers() -> None:
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for name, (change, table, condition) in _TRIGGERS.items():
        if on_sqlite:
            when = f" WHEN {condition}" if condition else ""
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {change} ON {table}{when}"
                f" BEGIN SELECT RAISE(ABORT, '{name}'); END"
            )
            continue
        on, each = {"DELETE": ("DELETE OR TRUNCATE", "STATEMENT")}.get(change, (change, "ROW"))
        if condition:
            op.execute(_FUNCTION.format(name=name, condition=condition))
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {on} ON {table} FOR EACH {each}"
            f" EXECUTE FUNCTION {name if condition else 'refuse'}()"
        )


_FUNCTION = """CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF {condition} THEN
RAISE EXCEPTION USING MESSAGE = TG_NAME, CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME,
ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END $$"""

_TRIGGERS = {
    "refunds_never_change": ("UPDATE", "refunds", ""),
    "refunds_never_go": ("DELETE", "refunds", ""),
    "refunds_fit": (
        "INSERT",
        "refunds",
        (
            "NOT EXISTS (SELECT 1 FROM drops"
            " WHERE id = NEW.drop_id AND state = 'DISPENSED' AND price >= NEW.amount)"
        ),
    ),
    "transfers_refund_fits": (
        "INSERT",
        "transfers",
        (
            "NEW.kind = 'MOVE' AND substr(NEW.debit_account, 1, 6) = 'sales/' AND NOT EXISTS"
            " (SELECT 1 FROM refunds JOIN drops ON drops.id = refunds.drop_id"
            " WHERE refunds.transfer_id = NEW.id AND refunds.amount = NEW.amount"
            " AND drops.account = NEW.credit_account AND 'sales/' || machine = NEW.debit_account)"
        ),
    ),
}
