"""Alarms that are about no machine, and when the books were checked and backups made."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Adds a table, and takes a constraint from the alarms; a program of revision 0019 needs it."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "upkeep",
        sa.Column("task", text, nullable=False),
        sa.Column("done_ms", whole, nullable=False),
        sa.Column("problems", whole, nullable=False),
        sa.Column("facts", text, nullable=False),
        sa.PrimaryKeyConstraint("task", name="upkeep_key"),
        sa.CheckConstraint("task IN ('BOOKS', 'BACKUP')", name=op.f("upkeep_task")),
        sa.CheckConstraint("problems >= 0", name=op.f("upkeep_problems")),
        sa.CheckConstraint("length(facts) <= 65536", name=op.f("upkeep_facts")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        # SQLite can remove no constraint.
        for statement in _REBUILD:
            op.execute(statement)
    else:
        op.alter_column("alarms", "machine", nullable=True)
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0020', '0020')")


_REBUILD = (
    """CREATE TABLE alarms_new (
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    machine TEXT,
    opened_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    facts TEXT NOT NULL,
    acknowledged_by TEXT,
    acknowledged_ms INTEGER,
    closed_by TEXT,
    closed_ms INTEGER,
    CONSTRAINT alarms_key PRIMARY KEY (sequence),
    CONSTRAINT alarms_machine_exists FOREIGN KEY(machine) REFERENCES machines (name),
    CONSTRAINT alarms_count CHECK (count >= 1),
    CONSTRAINT alarms_facts CHECK (length(facts) <= 65536),
    CONSTRAINT alarms_acknowledged CHECK ((acknowledged_by IS NULL) = (acknowledged_ms IS NULL)),
    CONSTRAINT alarms_closed CHECK ((closed_by IS NULL) = (closed_ms IS NULL))
) STRICT""",
    """INSERT INTO alarms_new SELECT sequence, kind, subject, machine, opened_ms, last_ms, count,
    facts, acknowledged_by, acknowledged_ms, closed_by, closed_ms FROM alarms""",
    "DROP TABLE alarms",
    "ALTER TABLE alarms_new RENAME TO alarms",
    "CREATE UNIQUE INDEX alarms_open_once ON alarms (kind, subject) WHERE closed_ms IS NULL",
)
