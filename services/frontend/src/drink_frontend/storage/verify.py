"""Checks balances, drops and stock against the transfers and the audit log.

It shares nothing with the code that writes these, not even the names of states, so that it does not
repeat a mistake. Each problem begins with the number of the invariant that is broken.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from typing import Any

from drink_frontend.storage.engine import Query
from drink_frontend.storage.verify_events import check_events
from drink_frontend.storage.verify_statistics import check_statistics

LINES_MAX = 100
"""Most lines for each check."""


_QUERIES = {
    "1: the totals of account {} do not follow from its transfers": """
        SELECT accounts.id FROM accounts LEFT JOIN (
            SELECT account, SUM(owed) AS owed, SUM(paid) AS paid,
                SUM(promised) AS promised, SUM(received) AS received
            FROM (
                SELECT debit_account AS account, 0 AS owed, amount AS paid,
                    0 AS promised, 0 AS received
                FROM transfers WHERE kind IN ('MOVE', 'POST')
                UNION ALL
                SELECT credit_account, 0, 0, 0, amount
                FROM transfers WHERE kind IN ('MOVE', 'POST')
                UNION ALL
                SELECT debit_account, amount, 0, 0, 0
                FROM transfers AS hold WHERE kind = 'HOLD' AND NOT EXISTS
                    (SELECT 1 FROM transfers WHERE resolves IS NOT NULL AND resolves = hold.id)
                UNION ALL
                SELECT credit_account, 0, 0, amount, 0
                FROM transfers AS hold WHERE kind = 'HOLD' AND NOT EXISTS
                    (SELECT 1 FROM transfers WHERE resolves IS NOT NULL AND resolves = hold.id)
            ) AS sides GROUP BY account
        ) AS sums ON sums.account = accounts.id
        WHERE accounts.debits_pending <> COALESCE(sums.owed, 0)
            OR accounts.debits_posted <> COALESCE(sums.paid, 0)
            OR accounts.credits_pending <> COALESCE(sums.promised, 0)
            OR accounts.credits_posted <> COALESCE(sums.received, 0)""",
    "1: the books do not balance: posted {} to {}, pending {} to {}": """
        SELECT debits_posted, credits_posted, debits_pending, credits_pending FROM (
            SELECT COALESCE(SUM(debits_posted), 0) AS debits_posted,
                COALESCE(SUM(credits_posted), 0) AS credits_posted,
                COALESCE(SUM(debits_pending), 0) AS debits_pending,
                COALESCE(SUM(credits_pending), 0) AS credits_pending
            FROM accounts
        ) AS totals
        WHERE debits_posted <> credits_posted OR debits_pending <> credits_pending""",
    "3: drop {} has {} holds": """
        SELECT drops.id, COUNT(transfers.id) FROM drops
        LEFT JOIN transfers ON transfers.drop_id = drops.id AND transfers.kind = 'HOLD'
        GROUP BY drops.id HAVING COUNT(transfers.id) <> 1""",
    "3: hold {} belongs to no drop": """
        SELECT hold.id FROM transfers AS hold LEFT JOIN drops ON drops.hold_id = hold.id
            AND drops.id = hold.drop_id
        WHERE hold.kind = 'HOLD' AND drops.id IS NULL""",
    "3: hold {} is resolved {} times": """
        SELECT resolves, COUNT(*) FROM transfers WHERE resolves IS NOT NULL
        GROUP BY resolves HAVING COUNT(*) > 1""",
    "3: drop {} is {}, its hold's resolution is {}": """
        SELECT drops.id, drops.state, COALESCE(resolution.kind, 'none') FROM drops
        LEFT JOIN transfers AS resolution
            ON resolution.resolves IS NOT NULL AND resolution.resolves = drops.hold_id
        WHERE COALESCE(resolution.kind, 'none') <> CASE drops.state
            WHEN 'DISPENSED' THEN 'POST' WHEN 'NOT_DISPENSED' THEN 'VOID' ELSE 'none' END""",
    "5: {} {} of drop {} is not its price between its buyer and its machine": """
        SELECT transfers.kind, transfers.id, drops.id FROM transfers
        JOIN drops ON drops.id = transfers.drop_id
        WHERE transfers.amount <> drops.price OR transfers.debit_account <> drops.account
            OR transfers.credit_account <> 'sales/' || drops.machine""",
    "8: drop {} is {} because of {}": """
        SELECT id, state, cause FROM drops WHERE NOT CASE state
            WHEN 'DISPENSED' THEN
                cause IN ('BOARD_ACK', 'BOARD_ACK_LATE', 'SENSOR', 'DECLARED')
                OR (cause = 'OPERATOR' AND decided_by IS NOT NULL)
            WHEN 'NOT_DISPENSED' THEN
                cause IN ('BOARD_REFUSED', 'BOARD_REFUSED_LATE', 'BOARD_UNREACHABLE', 'EXPIRED',
                    'MACHINE_OFFLINE', 'NOT_RECEIVED', 'CANCELLED')
                OR (cause = 'OPERATOR' AND decided_by IS NOT NULL)
            WHEN 'UNKNOWN' THEN
                cause IN ('BOARD_SILENT', 'BOARD_LOST', 'AGENT_RESTARTED', 'JOURNAL_REPLACED',
                    'AGENT_LOST', 'UNRECOGNIZED')
            ELSE cause IN ('NONE', 'NOT_RECEIVED') END""",
    "10: slot {}/{} counts {} on hand, {} reserved, {} dispensed, {} unknown of {} loaded": """
        SELECT slots.machine, slots.number, on_hand, reserved, dispensed, unknown, loaded
        FROM slots LEFT JOIN (
            SELECT machine, slot,
                SUM(CASE WHEN state IN ('SCHEDULED', 'RESERVED', 'DISPATCHED')
                    THEN 1 ELSE 0 END) AS waiting,
                SUM(CASE state WHEN 'DISPENSED' THEN 1 ELSE 0 END) AS fallen,
                SUM(CASE state WHEN 'UNKNOWN' THEN 1 ELSE 0 END) AS doubtful
            FROM drops GROUP BY machine, slot
        ) AS counted ON counted.machine = slots.machine AND counted.slot = slots.number
        WHERE reserved <> COALESCE(waiting, 0) OR dispensed <> COALESCE(fallen, 0)
            OR unknown <> COALESCE(doubtful, 0) OR on_hand < 0
            OR loaded <> on_hand + reserved + dispensed + unknown""",
    "27: slot {}/{} has {} items, its movements add up to {}": """
        SELECT slots.machine, slots.number, on_hand + reserved + unknown, COALESCE(moved, 0)
        FROM slots LEFT JOIN (
            SELECT machine, slot, SUM(change) AS moved FROM stock_movements GROUP BY machine, slot
        ) AS sums ON sums.machine = slots.machine AND sums.slot = slots.number
        WHERE on_hand + reserved + unknown <> COALESCE(moved, 0)""",
    "27: movement {} of {}/{} names drop {}, which is {}": """
        SELECT moved.sequence, moved.machine, moved.slot, moved.drop_id, drops.state
        FROM stock_movements AS moved LEFT JOIN drops ON drops.id = moved.drop_id
        WHERE moved.drop_id IS NOT NULL AND (drops.id IS NULL OR drops.state <> 'DISPENSED'
            OR drops.machine <> moved.machine OR drops.slot <> moved.slot)""",
    "27: drop {} has {} movements {}": """
        SELECT drop_id, COUNT(*), kind FROM stock_movements WHERE drop_id IS NOT NULL
        GROUP BY drop_id, kind HAVING COUNT(*) > 1""",
    "11: {1} drops of machine {0} are dispatched": """
        SELECT machine, COUNT(*) FROM drops WHERE state = 'DISPATCHED'
        GROUP BY machine HAVING COUNT(*) > 1""",
    "12: account {} has {} drops of request {}": """
        SELECT account, COUNT(*), request_id FROM drops
        GROUP BY account, request_id HAVING COUNT(*) > 1""",
    "12: {} made {} transfers by request {}": """
        SELECT actor, COUNT(*), request_id FROM transfers WHERE kind = 'MOVE'
        GROUP BY actor, request_id HAVING COUNT(*) > 1""",
    "26: {} credits of drop {} were given back, which is {} and cost {}": """
        SELECT amount, drop_id, state, price FROM refunds JOIN drops ON drops.id = drop_id
        WHERE state <> 'DISPENSED' OR amount < 1 OR amount > price""",
    "26: drop {} was refunded {} times": """
        SELECT drop_id, COUNT(*) FROM refunds GROUP BY drop_id HAVING COUNT(*) > 1""",
    "26: the refund of drop {} is not its transfer {} from its machine to its buyer": """
        SELECT refunds.drop_id, refunds.transfer_id FROM refunds
        LEFT JOIN drops ON drops.id = refunds.drop_id
        LEFT JOIN transfers ON transfers.id = refunds.transfer_id AND transfers.kind = 'MOVE'
            AND transfers.amount = refunds.amount AND transfers.credit_account = drops.account
            AND transfers.debit_account = 'sales/' || drops.machine
        WHERE transfers.id IS NULL""",
    "26: transfer {} took {} credits from {} without a refund": """
        SELECT transfers.id, transfers.amount, debit_account FROM transfers
        LEFT JOIN refunds ON refunds.transfer_id = transfers.id
        WHERE transfers.kind = 'MOVE' AND substr(debit_account, 1, 6) = 'sales/'
            AND refunds.drop_id IS NULL""",
    "14: drop {} was dispatched in epoch {}, its machine is in epoch {}": """
        SELECT drops.id, drops.epoch, machines.epoch FROM drops
        JOIN machines ON machines.name = drops.machine WHERE drops.epoch > machines.epoch""",
}
"""The problem for each row that a query returns; on a sound database they return none."""

_REMARKS = {
    "the accounts {} and {} differ only in case: each is found by its exact name only": """
        SELECT one.name, other.name FROM accounts AS one
        JOIN accounts AS other ON lower(one.name) = lower(other.name) AND one.name < other.name
        ORDER BY one.name, other.name""",
    "the request_id {} gave or took credits {} times, by {} and {}: see whether all were meant": """
        SELECT request_id, COUNT(*), MIN(COALESCE(accounts.name, actor)),
            MAX(COALESCE(accounts.name, actor))
        FROM transfers LEFT JOIN accounts ON accounts.id = actor
        WHERE transfers.kind = 'MOVE' AND (debit_account = 'funding' OR credit_account = 'funding')
        GROUP BY request_id HAVING COUNT(*) > 1 ORDER BY request_id""",
}
"""The remark for each row that a query returns."""

# The balances below zero after transfers that lowered them.
_OWED = """
    SELECT account, available, sequence FROM (
        SELECT account, sequence, change,
            SUM(change) OVER (PARTITION BY account ORDER BY sequence) AS available
        FROM (
            SELECT debit_account AS account, sequence, CASE kind
                WHEN 'VOID' THEN amount WHEN 'POST' THEN 0 ELSE -amount END AS change
            FROM transfers
            UNION ALL
            SELECT credit_account, sequence, amount
            FROM transfers WHERE kind IN ('MOVE', 'POST')
        ) AS changes
    ) AS history JOIN accounts ON accounts.id = account
    WHERE available < 0 AND change < 0 AND accounts.kind <> 'FUNDING'
    ORDER BY account, sequence"""
_LIMIT_RECORDS = """
    SELECT account, facts FROM audit
    WHERE kind = 'ACCOUNT_CHANGED' AND facts LIKE '%"credit_limit"%' ORDER BY sequence"""
_LIMITS = "SELECT id, credit_limit FROM accounts"
_HISTORIES = """
    SELECT drops.id, drops.state, drops.cause, drops.price, audit.facts FROM drops
    LEFT JOIN audit ON audit.drop_id = drops.id AND audit.kind = 'DROP_MOVED'
    ORDER BY drops.id, audit.sequence"""
_LOADS = "SELECT machine, facts FROM audit WHERE kind = 'STOCK_CHANGED'"
_SLOTS = "SELECT machine, number, loaded FROM slots"


def verify_books(query: Query) -> list[str]:
    """The problems found, a line each; none if everything agrees.

    Args:
        query: Runs a query on a snapshot: in an open transaction, or while there are no writers.
    """
    problems: list[str] = []
    for sentence, sql in _QUERIES.items():
        problems += _first(sentence.format(*row) for row in query(sql))
    problems += _first(_check_owed(query(_OWED), query(_LIMIT_RECORDS), query(_LIMITS)))
    problems += _first(_check_histories(query(_HISTORIES)))
    problems += _first(_check_loads(query(_LOADS), query(_SLOTS)))
    problems += _first(check_events(query))
    problems += _first(check_statistics(query))
    return problems


def remarks_on(query: Query) -> list[str]:
    """What release 0.1.0 may have stored that breaks no rule, but that an operator should check.

    Args:
        query: Runs a query on a snapshot.
    """
    remarks: list[str] = []
    for sentence, sql in _REMARKS.items():
        found = [sentence.format(*row) for row in query(sql)]
        remarks += found[:LINES_MAX]
        if len(found) > LINES_MAX:
            remarks.append(f"and {len(found) - LINES_MAX} more like the last one")
    return remarks


def _first(problems: Iterable[str]) -> list[str]:
    shown: list[str] = []
    for problem in problems:
        if len(shown) == LINES_MAX:
            return [*shown, f"{problem.partition(':')[0]}: and more"]
        shown.append(problem)
    return shown


def _check_owed(
    owed: Iterable[Any], records: Iterable[Any], limits: Iterable[Any]
) -> Iterator[str]:
    """Checks that nobody came to owe more than the credit limit of that moment."""
    changes: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for account, text in records:
        facts = json.loads(text)
        changes[account].append((facts["after_transfer"], facts["credit_limit"]))
    for account, available, sequence in owed:
        earlier = [limit for after, limit in changes[account] if after < sequence]
        limit = earlier[-1] if earlier else 0
        if available < -limit:
            yield (
                f"2: account {account} could spend only {available} after transfer {sequence},"
                f" its limit was {limit}"
            )
    for account, limit in limits:
        recorded = changes[account][-1][1] if changes[account] else 0
        if limit != recorded:
            yield f"2: account {account} has the limit {limit}, its last record says {recorded}"


def _check_histories(rows: Iterable[Any]) -> Iterator[str]:
    """Checks that the moves of each drop in the audit log lead step by step to its state."""
    for (drop, state, cause, price), group in groupby(rows, key=lambda row: tuple(row[:4])):
        moves = [json.loads(row[4]) for row in group if row[4] is not None]
        if not moves:
            yield f"21: drop {drop} has no record of its reservation"
            continue
        first, last = moves[0], moves[-1]
        if first.get("event") != "RESERVE" or "from" in first:
            yield f"21: the first record of drop {drop} is not its reservation"
        if first.get("price") != price:
            yield f"5: drop {drop} was reserved for {first.get('price')}, its price is {price}"
        for earlier, later in pairwise(moves):
            if later.get("from") != earlier["to"]:
                yield f"21: drop {drop} moved from {later.get('from')}, it was {earlier['to']}"
        if (last["to"], last.get("cause", "NONE")) != (state, cause):
            yield (
                f"21: drop {drop} is {state} because of {cause},"
                f" its last record says {last['to']} because of {last.get('cause', 'NONE')}"
            )


def _check_loads(loads: Iterable[Any], slots: Iterable[Any]) -> Iterator[str]:
    """Checks that the recorded changes of each slot by hand add up to its loaded items."""
    added: defaultdict[tuple[str, int], int] = defaultdict(int)
    for machine, text in loads:
        facts = json.loads(text)
        before = facts.get("from", {"on_hand": 0})["on_hand"]
        added[machine, facts["slot"]] += facts["to"]["on_hand"] - before
    for machine, number, loaded in slots:
        if added[machine, number] != loaded:
            yield (
                f"10: slot {machine}/{number} says {loaded} loaded,"
                f" its records add up to {added[machine, number]}"
            )
