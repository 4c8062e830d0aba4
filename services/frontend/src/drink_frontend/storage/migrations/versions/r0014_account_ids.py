"""Ids of accounts, to which the books refer, beside names that can change.

Users' names in the books are replaced by new random ids. The audit log stays as it is, because its
records never change; its records of credit limits are repeated for the ids, since the check of the
books compares them with the balances. Events of before name their accounts, so they are deleted:
cursors of before are refused, and whoever watches lists anew.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


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
    op.create_index("accounts_name_once", "accounts", ["name"], unique=True)
    op.create_index("accounts_by_letters", "accounts", [sa.text("lower(name)")])
    op.execute("INSERT INTO compatibility (revision, oldest) VALUES ('0014', '0014')")


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
    op.execute(
        'CREATE TEMPORARY TABLE new_ids (old TEXT COLLATE "C" PRIMARY KEY, new TEXT COLLATE "C")'
        " ON COMMIT DROP"
    )
    _fill_new_ids()
    for table, column in _FOREIGN_KEYS:
        op.drop_constraint(op.f(f"{table}_{column}_exists"), table)
    for table, name in _TRIGGERS:
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
    # All columns at once: each changed row is written once more with all its index entries.
    _rewrite(_by_table())
    _repeat_limits()
    for table, name in _TRIGGERS:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER {name}")
    for table, column in _FOREIGN_KEYS:
        op.create_foreign_key(op.f(f"{table}_{column}_exists"), table, "accounts", [column], ["id"])
