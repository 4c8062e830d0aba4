"""Statistics: what a drop counts as, which rows cover some days, and streaks."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.statistics import (
    Kind,
    Numbers,
    Span,
    Streak,
    Tally,
    are_months,
    counted,
    cover,
    day_text,
    days_of,
    keys,
    parse_day,
    streak,
)
from tests.support.books import drop

DAYS = st.dates(date(2000, 1, 1), date(2031, 12, 31))


def number(day: date) -> int:
    return int(day.strftime("%Y%m%d"))


@pytest.mark.parametrize(
    ("terms", "numbers"),
    [
        ({"state": State.RESERVED}, None),
        ({"state": State.DISPENSED, "price": 5}, Numbers(dispensed=1, spent=5)),
        (
            {"state": State.DISPENSED, "price": 5, "refunded": 3},
            Numbers(dispensed=1, spent=5, refunds=1, refunded=3),
        ),
        ({"state": State.NOT_DISPENSED, "cause": Cause.BOARD_REFUSED}, Numbers(failed=1)),
        ({"state": State.NOT_DISPENSED, "cause": Cause.CANCELLED}, Numbers(cancelled=1)),
        ({"state": State.UNKNOWN, "price": 5}, Numbers(unknown=1, held=5)),
    ],
)
def test_what_a_drop_counts_as(terms: dict[str, object], numbers: Numbers | None) -> None:
    assert counted(drop(1, **terms)) == numbers


def test_the_hours_and_items_of_an_account_are_kept_by_month() -> None:
    found = set(keys(drop(1), 20261129, 7))
    own = {(kind, period) for owner, kind, period, *_ in found if owner}
    assert own == {
        (Kind.DAY, 20261129),
        (Kind.DAY, 202611),
        (Kind.DAY, 2026),
        (Kind.ITEM, 202611),
        (Kind.HOUR, 202611),
    }
    assert len(found) == 16


def test_a_drop_that_is_decided_and_given_back_within_one_tally() -> None:
    tally = Tally()
    steps = [
        drop(1, state=State.UNKNOWN, price=5),
        drop(1, state=State.UNKNOWN, price=5, cause=Cause.BOARD_LOST),
        drop(1, state=State.DISPENSED, price=5),
        drop(1, state=State.DISPENSED, price=5, refunded=2),
    ]
    for step in steps:
        tally.follow(step, 20261129, 7, was_unknown=False)
    whole = Tally()
    whole.count(steps[-1], 20261129, 7)
    assert tally == whole


def test_a_drop_that_was_unknown_before_the_tally() -> None:
    tally = Tally()
    for refunded in (0, 2):
        decided = drop(1, state=State.DISPENSED, price=5, refunded=refunded)
        tally.follow(decided, 20261129, 7, was_unknown=True)
    assert list(tally.decided) == [drop(1).id]
    assert not tally.doubtful
    assert set(map(tuple, tally.rows.values())) == {(1, 0, 0, -1, 1, 5, -5, 2)}


@given(DAYS, DAYS, st.sampled_from(Span))
def test_rows_of_days_months_and_years_cover_each_day_once(
    one: date, other: date, coarsest: Span
) -> None:
    first, last = sorted((one, other))
    ranges = cover(number(first), number(last), coarsest)
    for day in (first + timedelta(n) for n in range((last - first).days + 1)):
        rows = (number(day), number(day) // 100, number(day) // 10_000)
        hits = sum(begin <= row <= end for begin, end in ranges for row in rows)
        assert hits == 1, day
    outside = (number(first - timedelta(1)), number(last + timedelta(1)))
    for day_ in outside:
        rows = (day_, day_ // 100, day_ // 10_000)
        assert not any(begin <= row <= end for begin, end in ranges for row in rows)
    lengths = [len(str(begin)) for begin, end in ranges if begin <= end]
    assert min(lengths) >= {Span.DAY: 8, Span.MONTH: 6, Span.YEAR: 4}[coarsest]


@given(DAYS)
def test_days_are_parsed_and_shown(day: date) -> None:
    assert parse_day(day.isoformat()) == number(day)
    assert day_text(number(day)) == day.isoformat()
    assert (
        days_of(number(day) // 100)
        == ((day.replace(day=28) + timedelta(4)).replace(day=1) - timedelta(1)).day
    )


@pytest.mark.parametrize(
    "text",
    ["", "2026", "2026-11", "2026-11-31", "2026-13-01", "2026-00-01", "2026-1-01", "0999-01-01",
     "2026-11-2x", "2026-11-\u0662\u0669", "+026-11-29", "2026-11-29T00"],
)  # fmt: skip
def test_what_is_no_day_is_refused(text: str) -> None:
    assert parse_day(text) is None


def test_whole_months() -> None:
    assert are_months(20280201, 20280229)
    assert not are_months(20280201, 20280228)
    assert not are_months(20280202, 20280229)
    assert day_text(202611) == "2026-11"


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ([], Streak(0, 0)),
        ([10], Streak(1, 1)),
        ([9], Streak(1, 1)),
        ([8], Streak(0, 1)),
        ([1, 2, 3, 9, 10], Streak(2, 3)),
        ([7, 8, 9], Streak(3, 3)),
        ([1, 2, 3, 5], Streak(0, 3)),
    ],
)
def test_a_streak_ends_today_or_yesterday(days: list[int], expected: Streak) -> None:
    assert streak(days, 10) == expected
