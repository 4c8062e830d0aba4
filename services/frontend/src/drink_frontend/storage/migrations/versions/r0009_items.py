"""Items that slots sell. No program of revision 0008 changes slots together with them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Adds a table, a column without values for the slots that sell an item, and a trigger."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "items",
        sa.Column("number", whole, nullable=False),
        sa.Column("name", text, nullable=False),
        sa.Column("barcode", text, nullable=True),
        sa.Column("price", whole, nullable=False),
        sa.Column("created_ms", whole, nullable=False),
        sa.Column("updated_ms", whole, nullable=False),
        sa.PrimaryKeyConstraint("number", name="items_key"),
        sa.UniqueConstraint("barcode", name="items_barcode_once"),
        sa.CheckConstraint("number BETWEEN 1 AND 999999", name=op.f("items_number")),
        sa.CheckConstraint("price BETWEEN 0 AND 1000000", name=op.f("items_price")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    if on_sqlite:
        # SQLite adds a foreign key only together with its column.
        op.execute(
            "ALTER TABLE slots ADD COLUMN item_number INTEGER"
            " CONSTRAINT slots_item_number_exists REFERENCES items (number)"
        )
    else:
        op.add_column("slots", sa.Column("item_number", whole, nullable=True))
        op.create_foreign_key(
            "slots_item_number_exists", "slots", "items", ["item_number"], ["number"]
        )
    op.create_index(
        "slots_by_item",
        "slots",
        ["item_number"],
        sqlite_where=sa.text("item_number IS NOT NULL"),
        postgresql_where=sa.text("item_number IS NOT NULL"),
    )
    _trigger(on_sqlite)
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0009', '0009')")


def _trigger(on_sqlite: bool) -> None:
    if on_sqlite:
        op.execute(
            f"CREATE TRIGGER slots_fit_item BEFORE {_CHANGE} ON slots WHEN {_DIFFERS}"
            " BEGIN SELECT RAISE(ABORT, 'slots_fit_item'); END"
        )
        return
    op.execute(_FUNCTION)
    op.execute(
        f"CREATE TRIGGER slots_fit_item BEFORE {_CHANGE} ON slots FOR EACH ROW"
        " EXECUTE FUNCTION slots_fit_item()"
    )


_CHANGE = "UPDATE OF item, price, item_number"
_DIFFERS = (
    "NEW.item_number IS NOT NULL AND NOT EXISTS (SELECT 1 FROM items"
    " WHERE number = NEW.item_number AND name = NEW.item AND price = NEW.price)"
)
_FUNCTION = f"""CREATE FUNCTION slots_fit_item() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF {_DIFFERS} THEN
RAISE EXCEPTION USING MESSAGE = TG_NAME, CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME,
ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END $$"""
