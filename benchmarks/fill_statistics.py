"""Fills the tables of statistics as years of buying would, by SQL in bulk; the drops are not kept.

Each account buys 11 items in 4 days, one of 50 of them in vain. The sums are those that
`drink_frontend.domain.statistics.Tally` would make of these drops.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.fill import open_hurried

ITEMS, NAMES, MACHINES = 368, 174, 10
"""Slots' items, their different names, and machines."""

PRICE = 50

SALES = f"""
    WITH RECURSIVE numbers (n) AS
        (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :end),
    buyers (b) AS (SELECT 0 UNION ALL SELECT b + 1 FROM buyers WHERE b + 1 < :buyers),
    drawn AS (SELECT b, n, (n * 7919 + b * 104729 + n * b % 4099) % 1000003 AS draw
        FROM buyers, numbers),
    placed AS (SELECT *, draw % {ITEMS} AS place FROM drawn)
    SELECT printf('member%04d', b) AS account,
        CAST(strftime('%Y%m%d', :day_0, (n * 4 / 11) || ' days') AS INTEGER) AS day,
        printf('m%02d', place % {MACHINES}) AS machine,
        printf('Item %03d', place % {NAMES}) AS item,
        printf('%02d', draw / 1000 % 24) AS hour,
        draw % 50 > 0 AS dispensed
    FROM placed"""
"""The drops of some numbers, `first` up to `end`, of so many buyers; number 0 is of `day_0`."""

_GROUPS = (
    *((f"'', 'DAY', {period}, machine, ''") for period in ("day", "day / 100", "day / 10000")),
    *((f"'', 'ITEM', {period}, machine, item") for period in ("day", "day / 100", "day / 10000")),
    *((f"'', 'HOUR', {period}, machine, hour") for period in ("day", "day / 100", "day / 10000")),
    *((f"account, 'DAY', {period}, '', ''") for period in ("day", "day / 100", "day / 10000")),
    *((f"'', 'ACCOUNT', {period}, '', account") for period in ("day / 100", "day / 10000")),
    "account, 'ITEM', day / 100, machine, item",
    "account, 'HOUR', day / 100, '', hour",
)
"""The rows to which a drop counts."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What was filled.

    Attributes:
        drops: How many drops are counted.
        rows: Rows of sums.
        size: Bytes that they take, with their index.
    """

    drops: int
    rows: int
    size: int


def parameters(years: range, year: int, buyers: int) -> dict[str, object]:
    """Those of `SALES` for one of the years."""
    day_0 = date(years.start, 1, 1)
    first, end = ((date(each, 1, 1) - day_0).days for each in (year, year + 1))
    return {
        "first": -(-first * 11 // 4),
        "end": -(-end * 11 // 4),
        "buyers": buyers,
        "day_0": day_0.isoformat(),
    }


def fill_statistics(database: Path, years: range, buyers: int) -> Filled:
    """Fills the tables of a database without sums, which no frontend uses meanwhile.

    Args:
        database: SQLite, of this schema.
        years: Whole years of buying.
        buyers: Accounts that are made, all of which want to be ranked.
    """
    drops = 0
    with closing(open_hurried(database)) as connection:
        connection.execute("BEGIN")
        _make_buyers(connection, buyers)
        for year in years:
            connection.execute(
                f"CREATE TEMP TABLE sold AS {SALES}", parameters(years, year, buyers)
            )
            drops += connection.execute("SELECT count(*) FROM sold").fetchone()[0]
            for group in _GROUPS:
                connection.execute(
                    f"INSERT INTO statistics SELECT {group}, sum(dispensed), sum(NOT dispensed),"
                    f" 0, 0, 0, sum(dispensed) * {PRICE}, 0, 0 FROM sold GROUP BY 1, 2, 3, 4, 5"
                )
            connection.execute("DROP TABLE sold")
        connection.execute(
            "UPDATE statistics_progress SET phase = 'FOLLOWING', time_zone = 'UTC',"
            " event_sequence = (SELECT max(sequence) FROM events), drop_sequence = 0"
        )
        connection.execute("COMMIT")
        (rows,) = connection.execute("SELECT count(*) FROM statistics").fetchone()
        (size,) = connection.execute(
            "SELECT sum(pgsize) FROM dbstat WHERE name = 'statistics'"
        ).fetchone()
    return Filled(drops, rows, size)


def _make_buyers(connection: sqlite3.Connection, buyers: int) -> None:
    names = [(f"member{number:04}",) for number in range(buyers)]
    connection.executemany(
        "INSERT INTO accounts (id, name, kind, admin, closed, created_ms, debits_pending,"
        " debits_posted, credits_pending, credits_posted)"
        " VALUES (?1, ?1, 'USER', 0, 0, 0, 0, 0, 0, 0)",
        names,
    )
    connection.executemany(
        "INSERT INTO preferences (account, favourites, ranked, language) VALUES (?, '', 1, '')",
        names,
    )


def make_administrator(database: Path, name: str) -> None:
    """Makes a user an administrator, in a database that no frontend uses meanwhile."""
    with closing(sqlite3.connect(database)) as connection, connection:
        changed = connection.execute("UPDATE accounts SET admin = 1 WHERE name = ?", (name,))
        assert changed.rowcount == 1, f"there is no {name}"
