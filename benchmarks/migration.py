"""Measures the migration to ids of accounts: `python -m benchmarks.migration --help` says how.

It fills a database of the schema before with settled drops, kills the migration in its middle,
checks that nothing has changed, and then measures the whole migration: its time, and the largest
and the last size of the database.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from drink_frontend.storage.migrations import migrate
from drink_frontend.storage.settings import StorageSettings

BEFORE = "0015"
"""The schema before."""

USERS = 200
"""Users who bought the drops."""

CHUNK = 500_000
"""Drops in one statement."""

LOOK_S = 0.2
"""Seconds between two looks at the size."""

MIB = 1024 * 1024

_RANDOM = {"sqlite": "lower(hex(randomblob(16)))", "postgresql": "md5(random()::text)"}

_NUMBERS = """WITH RECURSIVE numbers (i) AS
    (SELECT {first} UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < {end})"""

_USERS = (
    "INSERT INTO accounts (name, kind, admin, closed, created_ms, debits_pending, debits_posted,"
    " credits_pending, credits_posted) "
    + _NUMBERS
    + " SELECT 'member' || i, 'USER', 0, 0, 1, 0, 0, 0, 0 FROM numbers"
)
_HOUSE = (
    (
        "INSERT INTO accounts (name, kind, admin, closed, created_ms, debits_pending,"
        " debits_posted, credits_pending, credits_posted)"
        " VALUES ('sales/d', 'SALES', 0, 0, 1, 0, 0, 0, 0)"
    ),
    (
        "INSERT INTO machines (name, display_name, location, enabled, epoch, journal_sequence,"
        " reach) VALUES ('d', 'D', '', 1, 1, 0, 'OFFLINE')"
    ),
    (
        "INSERT INTO slots (machine, number, item, price, enabled, loaded, on_hand, reserved,"
        " dispensed, unknown, sensor, updated_ms)"
        " VALUES ('d', 1, 'Coke', 50, 1, 0, 0, 0, 0, 0, 'UNSPECIFIED', 5)"
    ),
)
_DROPS = (
    "INSERT INTO drops (id, account, request_id, fingerprint, machine, slot, item, price, hold_id,"
    " state, cause, epoch, journal_id, revision, created_ms, dispatched_ms, settled_ms) "
    + _NUMBERS
    + " SELECT 'drop-' || i, 'member' || (i %% {users}), {random}, 'd/1 delay=0 ceiling=any', 'd',"
    " 1, 'Coke', 50, {random}, 'DISPENSED', 'BOARD_ACK', 1, 'journal', 1, i, i, i FROM numbers"
)
_TRANSFERS = (
    "INSERT INTO transfers (id, kind, debit_account, credit_account, amount, created_ms, drop_id,"
    " resolves) SELECT CASE kind WHEN 'HOLD' THEN hold_id ELSE hold_id || '-post' END, kind,"
    " account, 'sales/d', price, created_ms, id, CASE kind WHEN 'POST' THEN hold_id END"
    " FROM drops, (SELECT 'HOLD' AS kind UNION ALL SELECT 'POST') AS kinds"
    " WHERE sequence > {first} AND sequence <= {end}"
)
_LEFT = "SELECT count(*) FROM drops WHERE account LIKE 'member%%'"


def main() -> None:
    """Fills, kills, migrates, and prints what it took."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--drops", type=int, default=1_000_000)
    options.add_argument("--url", help="an empty PostgreSQL database; SQLite without it")
    options.add_argument("--kill-after", type=float, default=3.0, metavar="SECONDS")
    options.add_argument("--folder", type=Path, help="for SQLite; a temporary one without it")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        settings = StorageSettings(path=Path(folder) / "drink.db", url=chosen.url)
        migrate(settings, BEFORE)
        began = time.monotonic()
        with _connected(settings) as connection:
            _fill(connection, chosen.drops)
        filled_s = time.monotonic() - began
        size = _size(settings)
        print(f"{chosen.drops} drops in {filled_s:.0f} s, {size / MIB:.0f} MiB", flush=True)
        _kill(settings, chosen.kill_after, chosen.drops)
        seconds, largest = _measure(settings)
        with _connected(settings) as connection:
            left = connection.exec_driver_sql(_LEFT).scalar()
        assert left == 0, f"{left} drops still refer to names"
        print(
            f"migrated in {seconds:.1f} s: {size / MIB:.0f} MiB before, {largest / MIB:.0f} MiB at"
            f" most, {_size(settings) / MIB:.0f} MiB after"
        )


def _fill(connection: Connection, count: int) -> None:
    engine = connection.dialect.name
    triggers: list[str] = []
    if engine == "sqlite":
        rows = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        ).all()
        triggers = [sql for _, sql in rows]
        for name, _ in rows:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql("PRAGMA cache_size = -1048576")
    else:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
    connection.exec_driver_sql(_USERS.format(first=0, end=USERS))
    for statement in _HOUSE:
        connection.exec_driver_sql(statement)
    for first in range(0, count, CHUNK):
        places = {"first": first, "end": min(first + CHUNK, count)}
        drops = _DROPS.format(users=USERS, random=_RANDOM[engine], **places)
        connection.exec_driver_sql(drops if engine == "postgresql" else drops.replace("%%", "%"))
        connection.exec_driver_sql(_TRANSFERS.format(**places))
    # The constraints on what resolves a hold are of no interest here.
    for trigger in triggers:
        connection.exec_driver_sql(trigger)


def _kill(settings: StorageSettings, after_s: float, count: int) -> None:
    process = _start(settings)
    time.sleep(after_s)
    assert process.poll() is None, "the migration had ended before it was to be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with _connected(settings) as connection:
        left = connection.exec_driver_sql(_LEFT).scalar()
    assert left == count, f"{left} of {count} drops are as before"
    print(f"killed after {after_s:g} s: nothing has changed", flush=True)


def _measure(settings: StorageSettings) -> tuple[float, int]:
    """Seconds of the whole migration, and the largest size of the database meanwhile."""
    largest, ended = _size(settings), threading.Event()

    def look() -> None:
        nonlocal largest
        while not ended.wait(LOOK_S):
            largest = max(largest, _size(settings))

    watcher = threading.Thread(target=look)
    began = time.monotonic()
    process = _start(settings)
    watcher.start()
    code = process.wait()
    seconds = time.monotonic() - began
    ended.set()
    watcher.join()
    assert code == 0, "the migration failed"
    return seconds, largest


def _start(settings: StorageSettings) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "DRINK_STORAGE__PATH": str(settings.path)}
    if settings.url is not None:
        environment["DRINK_STORAGE__URL"] = settings.url
    command = [str(Path(sys.executable).with_name("drink-frontend")), "migrate"]
    return subprocess.Popen(command, env=environment)


def _size(settings: StorageSettings) -> int:
    """Bytes of the database with its log of changes."""
    if settings.url is None:
        return sum(file.stat().st_size for file in settings.path.parent.iterdir())
    with _connected(settings) as connection:
        sizes = "pg_database_size(current_database()) + (SELECT sum(size) FROM pg_ls_waldir())"
        return int(connection.exec_driver_sql(f"SELECT {sizes}").scalar() or 0)


@contextmanager
def _connected(settings: StorageSettings) -> Iterator[Connection]:
    if settings.url is None:
        engine = create_engine(f"sqlite:///{settings.path}", poolclass=NullPool)
    else:
        url = settings.url.replace("postgresql://", "postgresql+psycopg://", 1)
        engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


if __name__ == "__main__":
    main()
