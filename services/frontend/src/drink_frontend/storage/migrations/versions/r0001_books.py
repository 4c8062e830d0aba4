"""The first schema: accounts, machines, drops, the ledger, the audit log."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _text(name: str, *, null: bool = False) -> sa.Column[Any]:
    kind = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=null)


def _whole(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=null)


def _check(name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(name))


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    """Makes everything."""
    _processes()
    _accounts()
    _tokens()
    _frontends()
    _machines()
    _slots()
    _drops()
    _transfers()
    _audit()
    _triggers()
    # The one account that is not made by a person: where credits come from.
    op.execute(
        "INSERT INTO accounts (name, kind, admin, closed, created_ms,"
        " debits_pending, debits_posted, credits_pending, credits_posted)"
        " VALUES ('funding', 'FUNDING', 0, 0, 0, 0, 0, 0, 0)"
    )


def _processes() -> None:
    op.create_table(
        "compatibility",
        _text("revision"),
        _text("oldest"),
        sa.PrimaryKeyConstraint("revision", name="compatibility_key"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0001', '0001')")
    op.create_table(
        "writers",
        _text("id"),
        _whole("batch"),
        _whole("seen_ms"),
        sa.PrimaryKeyConstraint("id", name="writers_key"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _accounts() -> None:
    op.create_table(
        "accounts",
        _text("name"),
        _text("kind"),
        _whole("admin"),
        _whole("closed"),
        _text("password_hash", null=True),
        _text("ibutton_digest", null=True),
        _whole("created_ms"),
        _whole("debits_pending"),
        _whole("debits_posted"),
        _whole("credits_pending"),
        _whole("credits_posted"),
        _check(
            "accounts_available",
            "kind = 'FUNDING' OR credits_posted - debits_posted - debits_pending >= 0",
        ),
        _check("accounts_kind", "kind IN ('USER', 'FUNDING', 'SALES')"),
        _check("accounts_flags", "admin IN (0, 1) AND closed IN (0, 1)"),
        _check(
            "accounts_totals",
            "debits_pending >= 0 AND debits_posted >= 0 AND credits_pending >= 0 AND"
            " credits_posted >= 0",
        ),
        sa.PrimaryKeyConstraint("name", name="accounts_key"),
        sa.UniqueConstraint("ibutton_digest", name="accounts_ibutton_digest_once"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _tokens() -> None:
    op.create_table(
        "tokens",
        _text("digest"),
        _text("account"),
        _whole("expires_ms"),
        sa.ForeignKeyConstraint(["account"], ["accounts.name"], name="tokens_account_exists"),
        sa.PrimaryKeyConstraint("digest", name="tokens_key"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("tokens_by_account", "tokens", ["account", "expires_ms"])


def _frontends() -> None:
    op.create_table(
        "frontends",
        _text("id"),
        _text("name"),
        _text("version"),
        _whole("started_ms"),
        _whole("beats"),
        _check("frontends_beats", "beats >= 1"),
        sa.PrimaryKeyConstraint("id", name="frontends_key"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _machines() -> None:
    op.create_table(
        "machines",
        _text("name"),
        _text("display_name"),
        _text("location"),
        _whole("enabled"),
        _whole("epoch"),
        _text("journal_id", null=True),
        _whole("journal_sequence"),
        sa.Column(
            "temperature_celsius",
            sa.Double().with_variant(sa.REAL(), "sqlite"),
            nullable=True,
        ),
        _text("token_digest", null=True),
        _text("frontend", null=True),
        _text("reach"),
        _check("machines_flags", "enabled IN (0, 1)"),
        _check("machines_counts", "epoch >= 0 AND journal_sequence >= 0"),
        _check("machines_reach", "reach IN ('OFFLINE', 'BOARD_DOWN', 'READY')"),
        _check("machines_linked", "(frontend IS NULL) = (reach = 'OFFLINE')"),
        sa.PrimaryKeyConstraint("name", name="machines_key"),
        sa.UniqueConstraint("token_digest", name="machines_token_digest_once"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _slots() -> None:
    op.create_table(
        "slots",
        _text("machine"),
        _whole("number"),
        _text("item"),
        _whole("price"),
        _whole("enabled"),
        _whole("loaded"),
        _whole("on_hand"),
        _whole("reserved"),
        _whole("dispensed"),
        _whole("unknown"),
        _text("sensor"),
        _whole("updated_ms"),
        _check("slots_sensor", "sensor IN ('UNSPECIFIED', 'STOCKED', 'EMPTY')"),
        _check("slots_flags", "enabled IN (0, 1)"),
        _check("slots_loaded", "loaded = on_hand + reserved + dispensed + unknown"),
        _check("slots_number", "number >= 1"),
        _check(
            "slots_places", "on_hand >= 0 AND reserved >= 0 AND dispensed >= 0 AND unknown >= 0"
        ),
        _check("slots_price", "price BETWEEN 0 AND 1000000"),
        sa.ForeignKeyConstraint(["machine"], ["machines.name"], name="slots_machine_exists"),
        sa.PrimaryKeyConstraint("machine", "number", name="slots_key"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _drops() -> None:
    op.create_table(
        "drops",
        _whole("sequence"),
        _text("id"),
        _text("account"),
        _text("request_id"),
        _text("fingerprint"),
        _text("machine"),
        _whole("slot"),
        _text("item"),
        _whole("price"),
        _text("hold_id"),
        _text("state"),
        _text("cause"),
        _text("decided_by", null=True),
        _whole("epoch", null=True),
        _text("journal_id", null=True),
        _whole("revision"),
        _whole("created_ms"),
        _whole("not_before_ms", null=True),
        _whole("dispatched_ms", null=True),
        _whole("settled_ms", null=True),
        _check("drops_decided", "(cause = 'OPERATOR') = (decided_by IS NOT NULL)"),
        _check(
            "drops_settled",
            "(state IN ('UNKNOWN', 'DISPENSED', 'NOT_DISPENSED')) = (settled_ms IS NOT NULL)",
        ),
        _check(
            "drops_dispatched",
            "state <> 'DISPATCHED' OR (epoch >= 1 AND journal_id IS NOT NULL AND dispatched_ms IS"
            " NOT NULL)",
        ),
        _check(
            "drops_dispensed",
            "state <> 'DISPENSED' OR cause IN ('BOARD_ACK', 'BOARD_ACK_LATE', 'SENSOR',"
            " 'DECLARED', 'OPERATOR')",
        ),
        _check(
            "drops_not_dispensed",
            "state <> 'NOT_DISPENSED' OR cause IN ('BOARD_REFUSED', 'BOARD_REFUSED_LATE',"
            " 'BOARD_UNREACHABLE', 'EXPIRED', 'MACHINE_OFFLINE', 'NOT_RECEIVED', 'CANCELLED',"
            " 'OPERATOR')",
        ),
        _check("drops_scheduled", "state <> 'SCHEDULED' OR not_before_ms IS NOT NULL"),
        _check(
            "drops_unknown",
            "state <> 'UNKNOWN' OR cause IN ('BOARD_SILENT', 'BOARD_LOST', 'AGENT_RESTARTED',"
            " 'JOURNAL_REPLACED', 'AGENT_LOST', 'UNRECOGNIZED')",
        ),
        _check(
            "drops_state",
            "state IN ('SCHEDULED', 'RESERVED', 'DISPATCHED', 'DISPENSED', 'NOT_DISPENSED',"
            " 'UNKNOWN')",
        ),
        _check(
            "drops_waiting",
            "state NOT IN ('SCHEDULED', 'RESERVED') OR (epoch IS NULL AND journal_id IS NULL AND"
            " dispatched_ms IS NULL)",
        ),
        _check("drops_price", "price BETWEEN 0 AND 1000000"),
        _check("drops_revision", "revision >= 0"),
        sa.ForeignKeyConstraint(["account"], ["accounts.name"], name="drops_account_exists"),
        sa.ForeignKeyConstraint(
            ["machine", "slot"], ["slots.machine", "slots.number"], name="drops_machine_slot_exists"
        ),
        sa.PrimaryKeyConstraint("sequence", name="drops_key"),
        sa.UniqueConstraint("account", "request_id", name="drops_account_request_id_once"),
        sa.UniqueConstraint("id", name="drops_id_once"),
        sqlite_strict=True,
    )
    op.create_index("drops_by_account", "drops", ["account", "sequence"])
    op.create_index(
        "drops_dispatched_alone",
        "drops",
        ["machine"],
        unique=True,
        **_where("state = 'DISPATCHED'"),
    )
    op.create_index(
        "drops_by_state",
        "drops",
        ["state", "machine", "sequence"],
        **_where("state IN ('SCHEDULED', 'RESERVED', 'DISPATCHED', 'UNKNOWN')"),
    )
    op.create_index("drops_by_time", "drops", ["not_before_ms"], **_where("state = 'SCHEDULED'"))


def _transfers() -> None:
    op.create_table(
        "transfers",
        _whole("sequence"),
        _text("id"),
        _text("kind"),
        _text("debit_account"),
        _text("credit_account"),
        _whole("amount"),
        _whole("created_ms"),
        _text("drop_id", null=True),
        _text("resolves", null=True),
        _text("actor", null=True),
        _text("request_id", null=True),
        _check("transfers_actor", "(kind = 'MOVE') = (actor IS NOT NULL)"),
        _check("transfers_drop", "(kind = 'MOVE') = (drop_id IS NULL)"),
        _check("transfers_request", "(kind = 'MOVE') = (request_id IS NOT NULL)"),
        _check("transfers_resolves", "(kind IN ('POST', 'VOID')) = (resolves IS NOT NULL)"),
        _check("transfers_kind", "kind IN ('MOVE', 'HOLD', 'POST', 'VOID')"),
        _check("transfers_amount", "amount BETWEEN 0 AND 1000000"),
        _check("transfers_accounts", "debit_account <> credit_account"),
        sa.ForeignKeyConstraint(
            ["credit_account"], ["accounts.name"], name="transfers_credit_account_exists"
        ),
        sa.ForeignKeyConstraint(
            ["debit_account"], ["accounts.name"], name="transfers_debit_account_exists"
        ),
        sa.ForeignKeyConstraint(["drop_id"], ["drops.id"], name="transfers_drop_id_exists"),
        sa.ForeignKeyConstraint(["resolves"], ["transfers.id"], name="transfers_resolves_exists"),
        sa.PrimaryKeyConstraint("sequence", name="transfers_key"),
        sa.UniqueConstraint("id", name="transfers_id_once"),
        sqlite_strict=True,
    )
    op.create_index("transfers_by_credit", "transfers", ["credit_account", "sequence"])
    op.create_index("transfers_by_debit", "transfers", ["debit_account", "sequence"])
    op.create_index(
        "transfers_one_hold", "transfers", ["drop_id"], unique=True, **_where("kind = 'HOLD'")
    )
    op.create_index(
        "transfers_one_request",
        "transfers",
        ["actor", "request_id"],
        unique=True,
        **_where("kind = 'MOVE'"),
    )
    op.create_index(
        "transfers_one_resolution",
        "transfers",
        ["resolves"],
        unique=True,
        **_where("resolves IS NOT NULL"),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        _whole("sequence"),
        _text("kind"),
        _whole("at_ms"),
        _text("actor"),
        _text("drop_id", null=True),
        _text("machine", null=True),
        _text("account", null=True),
        _text("facts"),
        _check("audit_facts", "length(facts) <= 65536"),
        sa.PrimaryKeyConstraint("sequence", name="audit_key"),
        sqlite_strict=True,
    )
    op.create_index(
        "audit_by_drop", "audit", ["drop_id", "kind", "sequence"], **_where("drop_id IS NOT NULL")
    )
    op.create_index("audit_by_kind", "audit", ["kind", "sequence"])


def _triggers() -> None:
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    if not on_sqlite:
        op.execute(_FUNCTION.format(name="refuse", check=_RAISE))
    for name, (change, table, condition) in _TRIGGERS.items():
        if on_sqlite:
            _sqlite_trigger(name, change, table, condition)
        else:
            _postgres_trigger(name, change, table, condition)


def _sqlite_trigger(name: str, change: str, table: str, condition: str) -> None:
    when = f" WHEN {condition}" if condition else ""
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {change} ON {table}{when}"
        f" BEGIN SELECT RAISE(ABORT, '{name}'); END"
    )


def _postgres_trigger(name: str, change: str, table: str, condition: str) -> None:
    each, when, function = "ROW", "", "refuse"
    if change == "DELETE":
        change, each = "DELETE OR TRUNCATE", "STATEMENT"
    elif "SELECT" in condition:
        check = f"IF {condition} THEN\n{_RAISE} END IF; RETURN NEW;"
        op.execute(_FUNCTION.format(name=name, check=check))
        function = name
    elif condition:
        when = f" WHEN ({condition})"
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {change} ON {table} FOR EACH {each}{when}"
        f" EXECUTE FUNCTION {function}()"
    )


_FUNCTION = """CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
{check} END $$"""
_RAISE = """RAISE EXCEPTION USING MESSAGE = TG_NAME, CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME,
ERRCODE = 'integrity_constraint_violation';"""

_TRIGGERS = {
    "transfers_never_change": ("UPDATE", "transfers", ""),
    "transfers_never_go": ("DELETE", "transfers", ""),
    "audit_never_changes": ("UPDATE", "audit", ""),
    "audit_never_goes": ("DELETE", "audit", ""),
    "drops_never_go": ("DELETE", "drops", ""),
    "drops_order_never_changes": (
        (
            "UPDATE OF sequence, id, account, request_id, fingerprint, machine, slot, item, price,"
            " hold_id, created_ms, not_before_ms"
        ),
        "drops",
        "",
    ),
    "drops_settled_stay": (
        "UPDATE OF state",
        "drops",
        (
            "OLD.state IN ('DISPENSED', 'NOT_DISPENSED')"
            " OR (OLD.state = 'UNKNOWN' AND NEW.state IN ('SCHEDULED', 'RESERVED', 'DISPATCHED'))"
        ),
    ),
    "drops_dispatched_from_reserved": (
        "UPDATE OF state",
        "drops",
        "NEW.state = 'DISPATCHED' AND OLD.state <> 'RESERVED'",
    ),
    "drops_move_with_hold": (
        "UPDATE OF state",
        "drops",
        "NOT EXISTS (SELECT 1 FROM transfers WHERE kind = 'HOLD' AND drop_id = OLD.id)",
    ),
    "transfers_hold_fits": (
        "INSERT",
        "transfers",
        (
            "NEW.kind = 'HOLD' AND NOT EXISTS"
            " (SELECT 1 FROM drops WHERE id = NEW.drop_id AND hold_id = NEW.id"
            " AND account = NEW.debit_account AND 'sales/' || machine = NEW.credit_account"
            " AND price = NEW.amount AND state IN ('SCHEDULED', 'RESERVED'))"
        ),
    ),
    "transfers_resolution_fits": (
        "INSERT",
        "transfers",
        (
            "NEW.resolves IS NOT NULL AND NOT EXISTS"
            " (SELECT 1 FROM transfers AS hold JOIN drops ON drops.id = hold.drop_id"
            " WHERE hold.id = NEW.resolves AND hold.kind = 'HOLD' AND hold.drop_id = NEW.drop_id"
            " AND hold.debit_account = NEW.debit_account"
            " AND hold.credit_account = NEW.credit_account AND hold.amount = NEW.amount"
            " AND drops.state = CASE NEW.kind WHEN 'POST' THEN 'DISPENSED'"
            " ELSE 'NOT_DISPENSED' END)"
        ),
    ),
    "slots_loaded_within_limit": (
        "UPDATE OF loaded",
        "slots",
        "NEW.loaded > OLD.loaded AND NEW.on_hand > 10000",
    ),
}
