"""Levels of slots, and deleted slots, which a program of revision 0012 would show."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Adds columns with their rules."""
    if op.get_bind().dialect.name == "sqlite":
        for statement in _REBUILD:
            op.execute(statement)
    else:
        whole, none = sa.BigInteger(), sa.text("0")
        for name in ("capacity", "low_stock_mark"):
            op.add_column("slots", sa.Column(name, whole, nullable=False, server_default=none))
        op.add_column("slots", sa.Column("deleted_ms", whole, nullable=True))
        op.create_check_constraint(op.f("slots_levels"), "slots", _LEVELS)
        op.create_check_constraint(op.f("slots_deleted"), "slots", _DELETED)
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0013', '0013')")


_LEVELS = "capacity >= 0 AND low_stock_mark >= 0"
_DELETED = "deleted_ms IS NULL OR on_hand + reserved + unknown = 0"

# SQLite can add no constraint to a table, so that it is copied.
_REBUILD = (
    f"""CREATE TABLE slots_new (
    machine TEXT NOT NULL,
    number INTEGER NOT NULL,
    item TEXT NOT NULL,
    price INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    loaded INTEGER NOT NULL,
    on_hand INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    dispensed INTEGER NOT NULL,
    unknown INTEGER NOT NULL,
    sensor TEXT NOT NULL,
    updated_ms INTEGER NOT NULL,
    item_number INTEGER,
    capacity INTEGER DEFAULT 0 NOT NULL,
    low_stock_mark INTEGER DEFAULT 0 NOT NULL,
    deleted_ms INTEGER,
    CONSTRAINT slots_key PRIMARY KEY (machine, number),
    CONSTRAINT slots_sensor CHECK (sensor IN ('UNSPECIFIED', 'STOCKED', 'EMPTY')),
    CONSTRAINT slots_flags CHECK (enabled IN (0, 1)),
    CONSTRAINT slots_loaded CHECK (loaded = on_hand + reserved + dispensed + unknown),
    CONSTRAINT slots_number CHECK (number >= 1),
    CONSTRAINT slots_places CHECK
        (on_hand >= 0 AND reserved >= 0 AND dispensed >= 0 AND unknown >= 0),
    CONSTRAINT slots_price CHECK (price BETWEEN 0 AND 1000000),
    CONSTRAINT slots_levels CHECK ({_LEVELS}),
    CONSTRAINT slots_deleted CHECK ({_DELETED}),
    CONSTRAINT slots_machine_exists FOREIGN KEY(machine) REFERENCES machines (name),
    CONSTRAINT slots_item_number_exists FOREIGN KEY(item_number) REFERENCES items (number)
) WITHOUT ROWID, STRICT""",
    """INSERT INTO slots_new SELECT machine, number, item, price, enabled, loaded, on_hand,
    reserved, dispensed, unknown, sensor, updated_ms, item_number, 0, 0, NULL FROM slots""",
    "DROP TABLE slots",
    "ALTER TABLE slots_new RENAME TO slots",
    """CREATE TRIGGER slots_loaded_within_limit BEFORE UPDATE OF loaded ON slots
    WHEN NEW.loaded > OLD.loaded AND NEW.on_hand > 10000
    BEGIN SELECT RAISE(ABORT, 'slots_loaded_within_limit'); END""",
    """CREATE TRIGGER slots_fit_item BEFORE UPDATE OF item, price, item_number ON slots
    WHEN NEW.item_number IS NOT NULL AND NOT EXISTS (SELECT 1 FROM items
    WHERE number = NEW.item_number AND name = NEW.item AND price = NEW.price)
    BEGIN SELECT RAISE(ABORT, 'slots_fit_item'); END""",
    "CREATE INDEX slots_by_item ON slots (item_number) WHERE item_number IS NOT NULL",
)
