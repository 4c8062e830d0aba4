"""Checks the sums of statistics against the drops and refunds.

Like `verify`, it shares nothing with the code that writes the sums. They are behind the drops: what
the events after their place changed is taken out of what the drops say.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from drink_frontend.storage.engine import Query

_PROGRESS = """
    SELECT phase, time_zone, event_sequence, drop_sequence FROM statistics_progress"""
_SUMS = """SUM(dispensed), SUM(failed), SUM(cancelled), SUM(unknown),
    SUM(refunds), SUM(spent), SUM(held), SUM(refunded)"""
_COUNTED = """
    SELECT {key}, SUM(CASE state WHEN 'DISPENSED' THEN 1 ELSE 0 END),
        SUM(CASE WHEN state = 'NOT_DISPENSED' AND cause <> 'CANCELLED' THEN 1 ELSE 0 END),
        SUM(CASE WHEN state = 'NOT_DISPENSED' AND cause = 'CANCELLED' THEN 1 ELSE 0 END),
        SUM(CASE state WHEN 'UNKNOWN' THEN 1 ELSE 0 END), COUNT(refunds.drop_id),
        SUM(CASE state WHEN 'DISPENSED' THEN price ELSE 0 END),
        SUM(CASE state WHEN 'UNKNOWN' THEN price ELSE 0 END), COALESCE(SUM(refunds.amount), 0)
    FROM drops LEFT JOIN refunds ON refunds.drop_id = drops.id
    WHERE settled_ms IS NOT NULL AND sequence <= {last} GROUP BY {key}"""
_BY_TIME = "machine, settled_ms / 900000"
_BY_BUYER = "account, machine, item"
_OUTCOMES = frozenset({"DISPENSED", "NOT_DISPENSED", "UNKNOWN"})

_KEPT = {
    "day {1} of machine {0}": ("machine, period", "owner = '' AND kind = 'DAY' AND {days}"),
    "{1}, hour {2}, of machine {0}": (
        "machine, period, subject",
        "owner = '' AND kind = 'HOUR' AND {days}",
    ),
    "{1} at machine {0}": ("machine, subject", "owner = '' AND kind = 'ITEM' AND {days}"),
    "buyer {0}": ("subject", "kind = 'ACCOUNT' AND period >= 100000"),
    "the days of buyer {0}": ("owner", "owner <> '' AND kind = 'DAY' AND {days}"),
    "the hours of buyer {0}": ("owner", "owner <> '' AND kind = 'HOUR'"),
    "{2} of buyer {0} at machine {1}": (
        "owner, machine, subject",
        "owner <> '' AND kind = 'ITEM'",
    ),
}
"""What is compared: the columns that name it, and the rows that are added up for it."""

_LONGER = """
    SELECT kind, owner, machine, subject, period FROM (
        SELECT owner, kind, period / 100 AS period, machine, subject, dispensed, failed, cancelled,
            unknown, refunds, spent, held, refunded FROM statistics WHERE {shorter}
        UNION ALL
        SELECT owner, kind, period, machine, subject, -dispensed, -failed, -cancelled, -unknown,
            -refunds, -spent, -held, -refunded FROM statistics WHERE {longer}
    ) AS parts GROUP BY kind, owner, machine, subject, period
    HAVING ({sums}) <> (0, 0, 0, 0, 0, 0, 0, 0)"""
_BOTH = (
    (
        "period >= 10000000",
        "period BETWEEN 100000 AND 9999999 AND kind <> 'ACCOUNT' AND (owner = '' OR kind = 'DAY')",
    ),
    (
        "period BETWEEN 100000 AND 9999999 AND (owner = '' OR kind = 'DAY')",
        "period < 100000",
    ),
)
"""Which rows of days are in which of months, and which of months in which of years."""

_ALL = 2**63 - 1

_Numbers = list[int]


def check_statistics(query: Query) -> Iterator[str]:
    """The problems found, each beginning with the number of the invariant.

    Args:
        query: Runs a query on a snapshot.
    """
    ((phase, zone, place, last),) = query(_PROGRESS)
    if phase == "CLEARING":
        return
    last = last if phase == "COUNTING" else _ALL
    expected = _expected(query, _House(zone or "UTC"), last)
    for drop, change in _pending(query, place, last):
        _take_out(expected, _House(zone or "UTC"), drop, change)
    yield from _compare(query, expected)
    for shorter, longer in _BOTH:
        sql = _LONGER.format(shorter=shorter, longer=longer, sums=_SUMS)
        for kind, owner, machine, subject, period in query(sql):
            about = " ".join(filter(None, (owner, machine, subject)))
            yield f"29: statistics of {period} are not those of its parts, {kind} {about}"
    yield from _check_unknown(query, place, last)


class _House:
    """Days and hours in the zone of the sums."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)

    def place(self, quarter: int) -> tuple[int, str]:
        """The day and the hour of a quarter of an hour since the epoch."""
        time = datetime.fromtimestamp(quarter * 900, UTC).astimezone(self._zone)
        return int(time.strftime("%Y%m%d")), time.strftime("%H")


_Expected = Mapping[str, defaultdict[tuple[Any, ...], _Numbers]]


def _expected(query: Query, house: _House, last: int) -> _Expected:
    expected: _Expected = {about: defaultdict(lambda: [0] * 8) for about in _KEPT}
    for machine, quarter, *numbers in query(_COUNTED.format(key=_BY_TIME, last=last)):
        _add_time(expected, machine, *house.place(quarter), numbers)
    for account, machine, item, *numbers in query(_COUNTED.format(key=_BY_BUYER, last=last)):
        _add_buyer(expected, account, machine, item, numbers)
    return expected


def _add_time(
    expected: _Expected, machine: str, day: int, hour: str, numbers: Sequence[int]
) -> None:
    _add(expected["day {1} of machine {0}"][machine, day], numbers)
    _add(expected["{1}, hour {2}, of machine {0}"][machine, day, hour], numbers)


def _add_buyer(
    expected: _Expected, account: str, machine: str, item: str, numbers: Sequence[int]
) -> None:
    _add(expected["{1} at machine {0}"][machine, item], numbers)
    _add(expected["buyer {0}"][account,], numbers)
    _add(expected["the days of buyer {0}"][account,], numbers)
    _add(expected["the hours of buyer {0}"][account,], numbers)
    _add(expected["{2} of buyer {0} at machine {1}"][account, machine, item], numbers)


def _add(sums: _Numbers, numbers: Iterable[int]) -> None:
    for index, number in enumerate(numbers):
        sums[index] += int(number)


def _pending(query: Query, place: int, last: int) -> Iterator[tuple[Mapping[str, Any], _Numbers]]:
    """The drops that events after a place changed, each with what they added to its numbers."""
    told: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for (changes,) in query(f"SELECT changes FROM events WHERE sequence > {place}"):  # noqa: S608
        for kind, _, state in json.loads(changes):
            if kind == "DROP" and state["state"] in _OUTCOMES:
                told[state["id"]].append(state)
    if not told:
        return
    unknown = {drop for (drop,) in query("SELECT drop_id FROM statistics_unknown")}
    counted = _counted(query, last)
    for drop, states in told.items():
        if counted is None or drop in counted:
            before = [0] * 8
            if drop in unknown:
                before = [0, 0, 0, 1, 0, 0, states[0]["price"], 0]
            elif min(state["refunded"] for state in states):
                before = [1, 0, 0, 0, 0, states[0]["price"], 0, 0]
            after = _numbers(max(states, key=_lateness))
            yield states[0], [new - old for new, old in zip(after, before, strict=True)]


def _counted(query: Query, last: int) -> set[str] | None:
    """The drops up to a sequence; None for all."""
    if last == _ALL:
        return None
    return {drop for (drop,) in query(f"SELECT id FROM drops WHERE sequence <= {last}")}  # noqa: S608


def _lateness(state: Mapping[str, Any]) -> tuple[bool, bool]:
    return state["state"] != "UNKNOWN", state["refunded"] > 0


def _numbers(state: Mapping[str, Any]) -> _Numbers:
    price, refunded = state["price"], state["refunded"]
    if state["state"] == "DISPENSED":
        return [1, 0, 0, 0, int(refunded > 0), price, 0, refunded]
    if state["state"] == "UNKNOWN":
        return [0, 0, 0, 1, 0, 0, price, 0]
    is_cancelled = state["cause"] == "CANCELLED"
    return [0, int(not is_cancelled), int(is_cancelled), 0, 0, 0, 0, 0]


def _take_out(
    expected: _Expected, house: _House, drop: Mapping[str, Any], change: _Numbers
) -> None:
    less = [-number for number in change]
    _add_time(expected, drop["machine"], *house.place(drop["settled_ms"] // 900_000), less)
    _add_buyer(expected, drop["account"], drop["machine"], drop["item"], less)


def _compare(query: Query, expected: _Expected) -> Iterator[str]:
    for about, (columns, rows) in _KEPT.items():
        wanted = {key: numbers for key, numbers in expected[about].items() if any(numbers)}
        where = rows.format(days="period >= 10000000")
        sql = f"SELECT {columns}, {_SUMS} FROM statistics WHERE {where} GROUP BY {columns}"  # noqa: S608
        size = len(columns.split(","))
        found = {tuple(row[:size]): [int(number) for number in row[size:]] for row in query(sql)}
        found = {key: numbers for key, numbers in found.items() if any(numbers)}
        for key in sorted(wanted.keys() | found.keys()):
            if wanted.get(key) != found.get(key):
                yield (
                    f"29: statistics of {about.format(*key)} say {found.get(key)},"
                    f" the drops say {wanted.get(key)}"
                )


def _check_unknown(query: Query, place: int, last: int) -> Iterator[str]:
    """Checks that the drops that count as UNKNOWN are those that were at the place."""
    changed = {drop["id"] for drop, _ in _pending(query, place, last)}
    rows = query(f"SELECT id FROM drops WHERE state = 'UNKNOWN' AND sequence <= {last}")  # noqa: S608
    unknown = {drop for (drop,) in rows} - changed
    counted = {drop for (drop,) in query("SELECT drop_id FROM statistics_unknown")} - changed
    for drop in sorted(unknown ^ counted):
        yield f"29: drop {drop} is UNKNOWN either in the statistics or in truth, not in both"
