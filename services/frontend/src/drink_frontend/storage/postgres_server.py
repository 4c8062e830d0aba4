"""Checks of a PostgreSQL server when a process starts; a refusal is one line for the operator."""

from contextlib import closing

import psycopg
import structlog

from drink_frontend.storage.columns import rights_on
from drink_frontend.storage.engine import StorageError
from drink_frontend.storage.postgres_dial import GuardedConnection, dial, dial_to_migrate, said
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.tables import metadata

log = structlog.get_logger(__name__)

SERVER_VERSION_MIN = 140_000
"""PostgreSQL 14: the oldest maintained version, and the first that reports when it is read-only."""

CONNECTIONS_BESIDE_READERS = 2
"""Connections of a frontend besides its readers: one writes, one listens."""

_ROUNDS = 3
"""Times that two connections compare their server processes. A pooler that shares processes gives
both the same one at the first comparison, unless a third client takes it in between."""

_MISSING_RIGHTS = """SELECT name, wanted FROM unnest(%(names)s::text[], %(rights)s::text[])
    AS needed (name, wanted) WHERE NOT has_table_privilege(to_regclass(name), wanted) LIMIT 1"""

_MISSING_SEQUENCE = """SELECT sequence.relname, 'USAGE' FROM pg_class AS sequence
    JOIN pg_depend ON pg_depend.objid = sequence.oid
    WHERE CASE sequence.relkind WHEN 'S' THEN NOT has_sequence_privilege(sequence.oid, 'USAGE')
        ELSE false END
    AND pg_depend.refobjid IN (SELECT to_regclass(name) FROM unnest(%(names)s::text[]) AS name)
    LIMIT 1"""

_LIMITS = """SELECT 'the role ' || rolname, rolconnlimit FROM pg_roles
    WHERE rolname = session_user AND NOT rolsuper AND rolconnlimit >= 0
    UNION ALL SELECT 'the database ' || datname, datconnlimit FROM pg_database
    WHERE datname = current_database() AND datconnlimit >= 0
    AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user)"""


def check_server(driver: GuardedConnection, settings: StorageSettings) -> None:
    """Checks the server's version, and that a pooler in front of it keeps sessions.

    Raises:
        StorageError: the version is too old, or the pooler shares sessions.
        psycopg.Error: the server does not answer.
    """
    if driver.info.server_version < SERVER_VERSION_MIN:
        raise StorageError("the database needs PostgreSQL 14 or newer")
    # A pooler reports a process id of its own, as the key for cancelling statements.
    if _process(driver) == driver.info.backend_pid:
        return
    try:
        with closing(dial(settings, read_only=True)) as second:
            is_shared = _share_processes(driver, second)
    except psycopg.Error as error:
        raise StorageError(
            "the pooler in front of the database does not give out two sessions at a time:"
            f" {said(error)}"
        ) from None
    if is_shared:
        raise StorageError(
            "the pooler in front of the database does not keep sessions: it needs"
            " pool_mode = session, or storage.url must name the server itself"
        )


def _share_processes(first: GuardedConnection, second: GuardedConnection) -> bool:
    """Whether connections share a process of the server, or change it."""
    for _ in range(_ROUNDS):
        held = _process(first)
        second.run("BEGIN")
        # In this order: if there is only one process, the first connection would wait for it.
        if _process(second) == held or _process(first) != held:
            return True
        second.run("ROLLBACK")
    return False


def _process(driver: GuardedConnection) -> int:
    row = driver.run("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def check_rights(driver: GuardedConnection) -> None:
    """Checks that the role has the rights that the service needs.

    Raises:
        StorageError: a right is missing; the message names one.
        psycopg.Error: the server does not answer.
    """
    # Writers lock alembic_version to take their turns.
    wanted = [("alembic_version", "SELECT"), ("alembic_version", "UPDATE")]
    wanted += [
        (table.name, right) for table in metadata.tables.values() for right in rights_on(table)
    ]
    names, rights = (list(column) for column in zip(*wanted, strict=True))
    for query in (_MISSING_RIGHTS, _MISSING_SEQUENCE):
        row = driver.execute(query.encode(), {"names": names, "rights": rights}).fetchone()
        if row is not None:
            raise StorageError(
                f"the role {driver.info.user} lacks the right {row[1]} on {row[0]}:"
                " the role that owns the tables can grant it"
            )


def check_connections(driver: GuardedConnection, settings: StorageSettings) -> None:
    """Checks that the connection limits of role and database suffice for one frontend.

    Raises:
        StorageError: the role's or the database's limit is too low.
        psycopg.Error: the server does not answer.
    """
    needed = settings.readers + CONNECTIONS_BESIDE_READERS
    for whose, limit in driver.execute(_LIMITS.encode()).fetchall():
        if limit < needed:
            raise StorageError(
                f"{whose} may have {limit} connections, and a frontend needs {needed}:"
                " raise its CONNECTION LIMIT"
            )


def warn_of_loss(driver: GuardedConnection) -> None:
    """Logs a warning if the server's settings make commits not durable."""
    rows = driver.execute(
        "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes')"
        " AND setting = 'off'"
    ).fetchall()
    for (name,) in rows:
        log.warning("commits_not_durable", server_setting=f"{name} = off")


def connect_to_migrate(settings: StorageSettings) -> GuardedConnection:
    """A new connection for migrations; the caller begins and ends transactions.

    Raises:
        StorageError: the server cannot be reached or used.
    """
    driver = dial_to_migrate(settings)
    try:
        check_server(driver, settings)
        driver.autocommit = False
    except psycopg.Error as error:
        driver.close()
        raise StorageError(f"the database cannot be used: {said(error)}") from None
    except BaseException:
        driver.close()
        raise
    return driver
