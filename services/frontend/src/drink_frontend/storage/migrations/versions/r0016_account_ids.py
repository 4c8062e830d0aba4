"""Ids of accounts, to which the books refer, beside names that can change.

Users' names in the books are replaced by new random ids. The audit log stays as it is, because its
records never change; its records of credit limits are repeated for the ids, since the check of the
books compares them with the balances. Events of before name their accounts, so they are deleted:
cursors of before are refused, and whoever watches lists anew. Statistics are counted anew from the
drops.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Renames the key of accounts, adds the names, and rewrites every reference to a user."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.drop_index("accounts_by_letters", "accounts")
    op.execute("ALTER TABLE accounts RENAME COLUMN name TO id")
    op.add_column("accounts", sa.Column("name", text, nullable=True))
    op.execute("UPDATE accounts SET name = id")
    if op.get_bind().dialect.name == "sqlite":
        _rewrite_on_sqlite()
    else:
        _rewrite_on_postgres()
    _delete_events()
    _count_anew()
    op.create_index("accounts_name_once", "accounts", ["name"], unique=True)
    op.create_index("accounts_by_letters", "accounts", [sa.text("lower(name)")])
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0016', '0016')")


_REFERENCES = (
    ("tokens", "account"),
    ("scoped_tokens", "account"),
    ("cards", "account"),
    ("preferences", "account"),
    ("drops", "account"),
    ("drops", "decided_by"),
    ("transfers", "debit_account"),
    ("transfers", "credit_account"),
    ("transfers", "actor"),
    ("stock_movements", "actor"),
    ("alarms", "acknowledged_by"),
    ("alarms", "closed_by"),
)
_FOREIGN_KEYS = [
    (table, column)
    for table, column in _REFERENCES
    if column in {"account", "debit_account", "credit_account"}
]
_TRIGGERS = (
    ("drops", "drops_order_never_changes"),
    ("transfers", "transfers_never_change"),
    ("stock_movements", "stock_movements_never_change"),
)
_TRIGGER_ON_POSTGRES = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = :name"
_LARGE = ("drops", "transfers")
_NEW_IDS_AS_VALUE = """SELECT quote_literal(coalesce(jsonb_object_agg(old, new), '{}')::text)
    FROM new_ids"""
_NEW_VALUE = "{0} = coalesce((SELECT new FROM new_ids WHERE old = {0}), {0})"
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _new_id() -> str:
    return "~" + "".join(secrets.choice(_DIGITS) for _ in range(10))


def _fill_new_ids() -> None:
    """Makes the table of old keys and new ids."""
    connection = op.get_bind()
    users = connection.execute(sa.text("SELECT id FROM accounts WHERE kind = 'USER'")).scalars()
    ids = {name: _new_id() for name in users}
    while len(set(ids.values())) < len(ids):
        ids = {name: _new_id() for name in ids}
    if ids:
        connection.execute(
            sa.text("INSERT INTO new_ids (old, new) VALUES (:old, :new)"),
            [{"old": old, "new": each} for old, each in ids.items()],
        )


def _rewrite(columns: dict[str, list[str]]) -> None:
    """Replaces users' names in these columns of each table, in one pass over each table."""
    for table, names in columns.items():
        is_old = " OR ".join(f"{name} IN (SELECT old FROM new_ids)" for name in names)  # noqa: S608
        values = ", ".join(map(_NEW_VALUE.format, names))
        op.execute(f"UPDATE {table} SET {values} WHERE {is_old}")  # noqa: S608


def _repeat_limits() -> None:
    op.execute(
        "INSERT INTO audit (kind, at_ms, actor, account, facts)"
        " SELECT kind, at_ms, 'frontend', new, facts FROM audit"
        " JOIN new_ids ON new_ids.old = account"
        " WHERE kind = 'ACCOUNT_CHANGED' AND facts LIKE '%\"credit_limit\"%' ORDER BY sequence"
    )


def _delete_events() -> None:
    """Leaves the newest batch only, whose sequence must not be given again, without its events."""
    op.execute("DELETE FROM events WHERE sequence < (SELECT max(sequence) FROM events)")
    op.execute("UPDATE events SET changes = '[]'")
    mark = sa.text("UPDATE event_log SET mark = :mark")
    op.get_bind().execute(mark, {"mark": secrets.token_hex(8)})


def _count_anew() -> None:
    """Lets the service count statistics once more: they are kept for accounts by their keys."""
    op.execute("DELETE FROM statistics")
    op.execute("DELETE FROM statistics_unknown")
    op.execute(
        "UPDATE statistics_progress SET phase = 'COUNTING', time_zone = '', drop_sequence = 0,"
        " event_sequence = (SELECT max(sequence) FROM events)"
    )


def _by_table() -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {"accounts": ["id"]}
    for table, column in _REFERENCES:
        columns.setdefault(table, []).append(column)
    return columns


def _rewrite_on_sqlite() -> None:
    connection = op.get_bind()
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TEMPORARY TABLE new_ids (old TEXT PRIMARY KEY, new TEXT) WITHOUT ROWID")
    _fill_new_ids()
    triggers = [
        str(connection.scalar(sa.text(f"SELECT sql FROM sqlite_master WHERE name = '{name}'")))  # noqa: S608
        for _, name in _TRIGGERS
    ]
    for _, name in _TRIGGERS:
        op.execute(f"DROP TRIGGER {name}")
    # Each column alone, so that no index is written whose columns keep their values.
    for table, names in _by_table().items():
        for name in names:
            _rewrite({table: [name]})
    _repeat_limits()
    for trigger in triggers:
        op.execute(trigger)
    op.execute("DROP TABLE new_ids")


def _rewrite_on_postgres() -> None:
    connection = op.get_bind()
    op.execute(
        'CREATE TEMPORARY TABLE new_ids (old TEXT COLLATE "C" PRIMARY KEY, new TEXT COLLATE "C")'
        " ON COMMIT DROP"
    )
    _fill_new_ids()
    for table, column in _FOREIGN_KEYS:
        op.drop_constraint(op.f(f"{table}_{column}_exists"), table)
    triggers = [
        str(connection.scalar(sa.text(_TRIGGER_ON_POSTGRES), {"name": name}))
        for _, name in _TRIGGERS
    ]
    for table, name in _TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    columns = _by_table()
    for table in _LARGE:
        _write_anew(table, columns.pop(table))
    _rewrite(columns)
    _repeat_limits()
    for trigger in triggers:
        op.execute(trigger)
    for table, column in _FOREIGN_KEYS:
        op.create_foreign_key(op.f(f"{table}_{column}_exists"), table, "accounts", [column], ["id"])


def _write_anew(table: str, names: list[str]) -> None:
    """Replaces users' names in a table whose rows nearly all have some.

    An UPDATE would put every row with all its index entries once more beside the former ones, the
    entries one by one at places all over the indexes. This way the table is written once, and its
    indexes are sorted.
    """
    connection = op.get_bind()
    # A value in the statement: a subquery is not allowed, and a function would query for each row.
    ids = connection.scalar(sa.text(_NEW_IDS_AS_VALUE))
    changes = ", ".join(
        f'ALTER {name} TYPE text COLLATE "C" USING coalesce({ids}::jsonb ->> {name}, {name})'
        for name in names
    )
    connection.exec_driver_sql(f"ALTER TABLE {table} {changes}".replace("%", "%%"))
