"""Alarms, the login method of each token, and indexes on grants and on names in any case."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_OPEN_DROPS = "state IN ('SCHEDULED', 'RESERVED', 'DISPATCHED', 'UNKNOWN')"
"""The condition of the index on open drops."""

_ALARMING = (
    "DROP_CONTRADICTED",
    "ORPHAN_RESULT",
    "JOURNAL_REPLACED",
    "TWO_AGENTS",
    "SENSOR_CONTRADICTED",
    "SLOT_UNLISTED",
)
"""Kinds of audit records that raise alarms."""


def upgrade() -> None:
    """Adds a table, a column and two indexes; a program of revision 0001 can run without them."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    _alarms(text)
    _raise_alarms()
    op.add_column("tokens", sa.Column("made_by", text, nullable=True))
    grant = sa.text("kind = 'MOVE' AND (debit_account = 'funding' OR credit_account = 'funding')")
    op.create_index(
        "transfers_grants",
        "transfers",
        ["request_id"],
        sqlite_where=grant,
        postgresql_where=grant,
    )
    op.create_index("accounts_by_letters", "accounts", [sa.text("lower(name)")])
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0002', '0001')")


def _alarms(text: sa.types.TypeEngine[Any]) -> None:
    whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "alarms",
        sa.Column("sequence", whole, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("subject", text, nullable=False),
        sa.Column("machine", text, nullable=False),
        sa.Column("opened_ms", whole, nullable=False),
        sa.Column("last_ms", whole, nullable=False),
        sa.Column("count", whole, nullable=False),
        sa.Column("facts", text, nullable=False),
        sa.Column("acknowledged_by", text, nullable=True),
        sa.Column("acknowledged_ms", whole, nullable=True),
        sa.Column("closed_by", text, nullable=True),
        sa.Column("closed_ms", whole, nullable=True),
        sa.PrimaryKeyConstraint("sequence", name="alarms_key"),
        sa.ForeignKeyConstraint(["machine"], ["machines.name"], name="alarms_machine_exists"),
        sa.CheckConstraint("count >= 1", name=op.f("alarms_count")),
        sa.CheckConstraint("length(facts) <= 65536", name=op.f("alarms_facts")),
        sa.CheckConstraint(
            "(acknowledged_by IS NULL) = (acknowledged_ms IS NULL)",
            name=op.f("alarms_acknowledged"),
        ),
        sa.CheckConstraint("(closed_by IS NULL) = (closed_ms IS NULL)", name=op.f("alarms_closed")),
        sqlite_strict=True,
    )
    is_open = sa.text("closed_ms IS NULL")
    op.create_index(
        "alarms_open_once",
        "alarms",
        ["kind", "subject"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def _raise_alarms() -> None:
    """Raises the alarms of drops that are UNKNOWN, and of records that were kept before."""
    connection = op.get_bind()
    raised: dict[tuple[str, str], dict[str, Any]] = {}

    def add(kind: str, subject: str, machine: str, at_ms: int, facts: str) -> None:
        new = {"kind": kind, "subject": subject, "machine": machine, "opened_ms": at_ms, "count": 0}
        alarm = raised.setdefault((kind, subject), new)
        alarm |= {"last_ms": at_ms, "facts": facts, "count": alarm["count"] + 1}

    audit = _table("audit", "sequence", "kind", "at_ms", "machine", "drop_id", "facts")
    records = connection.execute(
        sa.select(audit.c.kind, audit.c.at_ms, audit.c.machine, audit.c.drop_id, audit.c.facts)
        .where(audit.c.kind.in_(_ALARMING), audit.c.machine.is_not(None))
        .order_by(audit.c.sequence)
    )
    for kind, at_ms, machine, drop_id, facts in records:
        subject, slot = f"machines/{machine}", json.loads(facts).get("slot")
        if kind == "DROP_CONTRADICTED" and drop_id is not None:
            subject = f"drops/{drop_id}"
        elif kind == "SENSOR_CONTRADICTED" and slot is not None:
            subject = f"{subject}/slots/{slot}"
        add(kind, subject, machine, at_ms, facts)
    drops = _table("drops", "id", "machine", "slot", "item", "price", "cause", "settled_ms")
    unknown = connection.execute(
        sa.select(*drops.c)
        .where(sa.text(_OPEN_DROPS), sa.text("state = 'UNKNOWN'"))
        .order_by(drops.c.settled_ms)
    )
    for drop_id, machine, slot, item, price, cause, settled_ms in unknown:
        facts = {"cause": cause, "price": price, "slot": slot, "item": item}
        known = json.dumps(facts, ensure_ascii=False)
        add("DROP_UNKNOWN", f"drops/{drop_id}", machine, settled_ms, known)
    insert = sa.text(
        "INSERT INTO alarms (kind, subject, machine, opened_ms, last_ms, count, facts)"
        " VALUES (:kind, :subject, :machine, :opened_ms, :last_ms, :count, :facts)"
    )
    for alarm in sorted(raised.values(), key=lambda each: int(each["opened_ms"])):
        connection.execute(insert, alarm)


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(column) for column in columns))
