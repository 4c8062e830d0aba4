"""Fills a database with settled drops, as years of buying would, by SQL in bulk.

Everything that the tables and the auditor ask for holds afterwards: each drop has its hold and its
post, its audit records, its can and its credits. What a year spreads over the disk is laid down in
order here; ids are as the services make them, so that indexes are as scattered as theirs.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.systems import BUYERS, CREDITS, MACHINES, SLOTS

CHUNK = 500_000
"""Drops in one transaction."""

CACHE_MIB = 1_024
"""Memory for pages while filling; the indexes of random ids are all over the file."""

_BEGAN_MS = 1_700_000_000_000
_GAP_MS = 1_000
"""A drop a second."""

_NUMBERS = """
    WITH RECURSIVE numbers (i) AS
        (SELECT :first UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < :end)"""

_DROPS = f"""
    INSERT INTO drops (id, account, request_id, fingerprint, machine, slot, item, price, hold_id,
        state, cause, epoch, journal_id, revision, created_ms, dispatched_ms, settled_ms)
    {_NUMBERS}
    SELECT printf('%010d', i) || hex(randomblob(8)),
        (SELECT accounts.id FROM accounts WHERE accounts.name = 'buyer' || (i % {BUYERS})),
        lower(hex(randomblob(18))), machine || '/' || slot || ' delay=0 ceiling=any', machine, slot,
        'Can ' || slot, 1, printf('%012x', i) || lower(hex(randomblob(10))), 'DISPENSED',
        'BOARD_ACK', 1, 'filled-journal', 1, at, at + 2, at + 6
    FROM (SELECT i, printf('m%02d', i % {len(MACHINES)}) AS machine,
        1 + i / {len(MACHINES)} % {SLOTS} AS slot, {_BEGAN_MS} + i * {_GAP_MS} AS at
        FROM numbers)"""

_THESE = "drops WHERE drops.sequence > :after"

_TRANSFERS = f"""
    INSERT INTO transfers
        (id, kind, debit_account, credit_account, amount, created_ms, drop_id, resolves)
    SELECT iif(kind = 'HOLD', hold_id, hold_id || '-post'), kind, account, 'sales/' || machine,
        price, iif(kind = 'HOLD', created_ms, settled_ms), id, iif(kind = 'HOLD', NULL, hold_id)
    FROM (SELECT * FROM {_THESE}), (SELECT 'HOLD' AS kind UNION ALL SELECT 'POST')
    ORDER BY sequence, kind"""

_EVIDENCE = (
    '{"contradiction":"","lines":[{"direction":"SENT","offset_ms":0,"text":"31"},'
    '{"direction":"RECEIVED","offset_ms":3500,"text":"4"}],"sensor_after":"UNSPECIFIED",'
    '"sensor_before":"UNSPECIFIED"}'
)

_AUDIT = f"""
    INSERT INTO audit (kind, at_ms, actor, drop_id, machine, account, facts)
    SELECT 'DROP_MOVED', created_ms + step, CASE step WHEN 0 THEN account WHEN 1 THEN 'frontend'
        ELSE 'agent:' || machine END, id, machine, account, CASE step
        WHEN 0 THEN '{{"event":"RESERVE","to":"RESERVED","slot":' || slot || ',"item":"' || item
            || '","price":1,"not_before_ms":null}}'
        WHEN 1 THEN '{{"event":"DISPATCH","from":"RESERVED","to":"DISPATCHED","cause":"NONE"}}'
        ELSE '{{"event":"PROVE_DISPENSED","from":"DISPATCHED","to":"DISPENSED","cause":"BOARD_ACK",'
            || '"revision":1,"outcome":"DISPENSED","reported_cause":"BOARD_ACK",'
            || '"evidence":{_EVIDENCE}}}' END
    FROM (SELECT * FROM {_THESE}),
        (SELECT 0 AS step UNION ALL SELECT 1 UNION ALL SELECT 2)
    ORDER BY sequence, step"""

_SALES = f"""
    INSERT INTO stock_movements (machine, slot, kind, change, on_hand, at_ms, actor, drop_id)
    SELECT machine, slot, 'SOLD', -1, 0, settled_ms, 'agent:' || machine, id
    FROM {_THESE} ORDER BY sequence"""

_SUMS = """
    WITH added AS (SELECT account, machine, slot, COUNT(*) AS drops FROM drops
        WHERE sequence > :after GROUP BY account, machine, slot)"""

_TOTALS = (
    f"""{_SUMS} UPDATE accounts SET debits_posted = debits_posted + (SELECT SUM(drops) FROM added
        WHERE account = id) WHERE id IN (SELECT account FROM added)""",
    f"""{_SUMS} UPDATE accounts SET credits_posted = credits_posted + (SELECT SUM(drops) FROM added
        WHERE 'sales/' || machine = id) WHERE id IN (SELECT 'sales/' || machine FROM added)""",
    f"""{_SUMS}, sold AS (SELECT machine, slot, SUM(drops) AS drops FROM added
        GROUP BY machine, slot)
    INSERT INTO audit (kind, at_ms, actor, machine, facts)
    SELECT 'STOCK_CHANGED', {_BEGAN_MS}, 'operator', machine, '{{"slot":' || slot
        || ',"from":{{"on_hand":0}},"to":{{"on_hand":' || drops || '}}}}' FROM sold""",
    f"""{_SUMS}
    INSERT INTO stock_movements (machine, slot, kind, change, on_hand, at_ms, actor)
    SELECT machine, slot, 'COUNTED', SUM(drops), 0, {_BEGAN_MS}, 'operator' FROM added
    GROUP BY machine, slot""",
    f"""{_SUMS} UPDATE slots SET (loaded, dispensed) =
        (SELECT slots.loaded + SUM(drops), slots.dispensed + SUM(drops) FROM added
        WHERE added.machine = slots.machine AND added.slot = slots.number)
    WHERE (machine, number) IN (SELECT machine, slot FROM added)""",
    """UPDATE machines SET epoch = max(epoch, 1)
    WHERE name IN (SELECT machine FROM drops WHERE sequence > :after)""",
)


def fill(database: Path, count: int) -> None:
    """Adds so many settled drops to the database of a `systems.Frontend`, which must not run."""
    with closing(open_hurried(database)) as connection:
        (after,) = connection.execute("SELECT ifnull(max(sequence), 0) FROM drops").fetchone()
        dropped = connection.execute(
            "SELECT type, name, sql FROM sqlite_master"
            " WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
        ).fetchall()
        for kind, name, _ in dropped:
            connection.execute(f"DROP {kind} {name}")
        _fund(connection, count)
        last = after
        for first in range(0, count, CHUNK):
            connection.execute("BEGIN")
            end = min(first + CHUNK, count)
            connection.execute(_DROPS, {"first": first, "end": end})
            connection.execute(_TRANSFERS, {"after": last})
            connection.execute(_AUDIT, {"after": last})
            connection.execute(_SALES, {"after": last})
            connection.execute("COMMIT")
            last += end - first
        connection.execute("BEGIN")
        for statement in _TOTALS:
            connection.execute(statement, {"after": after})
        # As if all of it was so long ago that its events are deleted. The newest row always stays.
        connection.execute("DELETE FROM events WHERE sequence < (SELECT max(sequence) FROM events)")
        connection.execute("UPDATE events SET changes = '[]'")
        connection.execute("COMMIT")
        for _, _, sql in dropped:
            connection.execute(sql)


def _fund(connection: sqlite3.Connection, count: int) -> None:
    """Gives each buyer what the drops will cost."""
    moves = []
    ids = dict(connection.execute("SELECT name, id FROM accounts"))
    for buyer in range(BUYERS):
        left = len(range(buyer, count, BUYERS))
        while left:
            amount = min(left, CREDITS)
            moves.append((ids[f"buyer{buyer}"], amount))
            left -= amount
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO transfers (id, kind, debit_account, credit_account, amount, created_ms, actor,"
        f" request_id) VALUES (lower(hex(randomblob(16))), 'MOVE', 'funding', ?, ?, {_BEGAN_MS},"
        " 'operator', lower(hex(randomblob(16))))",
        moves,
    )
    for account, amount in moves:
        connection.execute(
            "UPDATE accounts SET credits_posted = credits_posted + ? WHERE id = ?",
            (amount, account),
        )
        connection.execute(
            "UPDATE accounts SET debits_posted = debits_posted + ? WHERE id = 'funding'",
            (amount,),
        )
    connection.execute("COMMIT")


def open_hurried(database: Path) -> sqlite3.Connection:
    """A connection that is fast and keeps nothing: who is interrupted starts anew."""
    connection = sqlite3.connect(database, isolation_level=None)
    for pragma in (
        "journal_mode = OFF",
        "synchronous = OFF",
        "foreign_keys = OFF",
        "temp_store = FILE",
        f"cache_size = -{CACHE_MIB * 1024}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection
