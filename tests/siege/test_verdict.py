"""A siege that cannot find anything broken proves nothing: each promise is broken here once."""

from dataclasses import replace
from typing import Any

import pytest

from tests.siege.confine import MEMORY_MAX
from tests.siege.table import as_markdown, as_text, merged, verdicts
from tests.siege.verdict import Row, Span, health_truth
from tests.siege.watch import Logged

CALM = Span(10, [0.1] * 400, newcomers=10)


def logged(**lines: int) -> Logged:
    made = Logged(size=1000, lines=10)
    made.attack.update(lines)
    return made


SOUND = Row(
    attack="garbage",
    who="a stranger",
    what="bytes",
    origin="others",
    before=CALM,
    during=CALM,
    after=CALM,
    memory_kib=200 << 10,
    files=50,
    stored_bytes=0,
    logged=logged(strangers=3),
    health=[("SERVING", True)],
)


def test_an_attack_that_nobody_notices_breaks_no_promise() -> None:
    assert SOUND.broken() == []
    assert "held" in as_text(SOUND)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"killed": "exit code -9"}, "the frontend was killed: exit code -9"),
        ({"during": Span(10, [])}, "nothing was sold"),
        ({"recovered": False}, "honest clients were not served afterwards"),
        ({"memory_kib": (MEMORY_MAX >> 10) + 1024}, "257 MB of memory"),
        (
            {"health": [("SERVING", True), ("nothing", False)]},
            "health said nothing (1 times)",
        ),
        (
            {"health": [("NOT_SERVING", False), ("nothing", False)]},
            "health said NOT_SERVING (1 times)",
        ),
        ({"logged": logged()}, "silent in the log"),
        ({"logged": logged(**{f"kind_{n}": 1 for n in range(17)})}, "102 log lines a minute"),
        ({"logged": Logged(raw=["E1129"], attack=logged(a=1).attack)}, "1 log lines are no JSON"),
        ({"logged": Logged(secret=["x"], attack=logged(a=1).attack)}, "1 log lines tell a secret"),
        (
            {"logged": Logged(mistakes=["x"], attack=logged(a=1).attack)},
            "1 log lines about mistakes of the program",
        ),
        ({"during": Span(10, [0.1] * 300, newcomers=10)}, "rate fell to 0.75"),
        ({"during": Span(10, [0.1] * 390 + [0.3] * 10, newcomers=10)}, "p99 rose 3.0 times"),
        (
            {"during": replace(CALM, turned_away=["UNAVAILABLE"] * 3)},
            "3 of 10 newcomers were not served",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_promise_is_told(change: dict[str, Any], told: str) -> None:
    row = replace(SOUND, **change)
    assert told in row.broken()
    assert f"**{told}" in as_markdown([row]) or f"; {told}" in as_markdown([row])
    assert any(verdict.endswith("not in garbage") for verdict in verdicts([row]))


def test_lines_about_reserved_drops_are_not_counted() -> None:
    row = replace(SOUND, logged=logged(drop_reserved=100, calls_refused=2))
    assert row.lines_per_minute == 12
    assert replace(row, logged=logged(drop_reserved=100)).broken() == []


def test_the_table_says_what_became_of_idle_sockets() -> None:
    row = replace(SOUND, done={"held": 1_200, "refused": 300, "unanswered": 20, "closed": 5})
    told = "1,200 held at most, 320 refused, 5 closed by the frontend"
    assert told in as_markdown([row])


def test_times_count_only_where_they_are_measured() -> None:
    slow = replace(
        SOUND,
        during=Span(10, [0.9] * 10, newcomers=10, turned_away=["x"] * 9),
        health=[("nothing", False)],
    )
    assert len(slow.broken()) == 4
    assert slow.broken(timed=False) == []


def test_who_shares_the_attackers_address_is_reported_and_not_judged() -> None:
    during = replace(CALM, turned_away=["x"] * 9)
    row = replace(SOUND, origin="same", during=during, health=[("nothing", False)])
    assert row.broken() == []
    assert row.name == "garbage@same"


def test_who_still_waits_counts_with_what_it_has_waited() -> None:
    assert Span(10, [0.1] * 50, pending_s=[8.0]).p99_ms == 8000
    assert Span(10, [0.1] * 50, pending_s=[0.05]).p99_ms == 100


def test_health_is_true_if_it_says_whether_something_is_sold() -> None:
    sold = [1.0, 2.0, 3.0]
    asked = [(2.5, True), (2.5, False), (2.5, None), (20.0, True), (20.0, False)]
    assert health_truth(asked, sold) == [
        ("SERVING", True),
        ("NOT_SERVING", False),
        ("nothing", False),
        ("SERVING", False),
        ("NOT_SERVING", True),
    ]


def test_a_table_keeps_the_rows_of_attacks_that_were_not_made_again() -> None:
    same = replace(SOUND, origin="same")
    old = as_markdown([SOUND, same, replace(SOUND, attack="http1")])
    new = as_markdown([replace(same, killed="exit code -9")])
    rows = merged(f"before\n\n{old}\nafter", new).splitlines()
    assert [row.split(" | ")[:2] for row in rows[2:]] == [
        ["| `garbage`", "others"],
        ["| `http1`", "others"],
        ["| `garbage`", "same"],
    ]
    assert "exit code -9" in rows[-1]
    assert merged("", new) == new
