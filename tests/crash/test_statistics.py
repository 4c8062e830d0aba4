"""The frontend is killed while it counts drops for statistics, and sales go on (fault 24)."""

import sqlite3
import uuid
from contextlib import closing

import pytest

from tests.crash.conftest import MakeSystem
from tests.crash.killable_system import ALICE, Tweaks
from tests.crash.points import commit, sample
from tests.crash.scenario import SLOT, Scenario

SOON = Tweaks(
    {
        "statistics": "interval_s = 0.05",
        "rpc.pace": "account_calls_per_s = 100_000\naccount_calls_burst = 100_000",
    }
)

MORE_THAN_A_UNIT = 201
"""Drops of which one unit of work of a rebuild counts only a part."""

Sums = list[tuple[object, ...]]


def sums(scenario: Scenario, where: str = "true") -> Sums:
    """The rows of statistics."""
    with closing(sqlite3.connect(scenario.system.database)) as books:
        select = f"SELECT * FROM statistics WHERE {where} ORDER BY owner, kind, period, machine"
        return books.execute(f"{select}, subject").fetchall()


def until_counted(scenario: Scenario, dispensed: int) -> None:
    """Waits until all drops and all that has become of them are counted."""

    def are() -> bool:
        with closing(sqlite3.connect(scenario.system.database)) as books:
            (found,) = books.execute(
                "SELECT sum(dispensed) FROM statistics WHERE owner = '' AND kind = 'DAY'"
                " AND period > 10000000 AND (SELECT phase = 'FOLLOWING' AND event_sequence ="
                " (SELECT max(sequence) FROM events) FROM statistics_progress)"
            ).fetchone()
            return bool(found == dispensed)

    scenario.until(are, f"{dispensed} drops are counted")


def check(scenario: Scenario, dispensed: int) -> None:
    """The sums are those of a rebuild, and agree with the drops."""
    until_counted(scenario, dispensed)
    kept = sums(scenario)
    assert scenario.system.problems_of_books() == []
    assert "All drops are counted" in scenario.system.command("admin", "statistics", "rebuild")
    assert sums(scenario) == kept
    assert scenario.system.problems_of_books() == []


@pytest.mark.parametrize("point", sample(commit("counted")))
def test_fault_24_frontend_killed_while_it_counts(point: str, make_system: MakeSystem) -> None:
    """Invariant 29: each change is counted once, whether its batch was committed or not."""
    with Scenario(make_system(SOON), frontend=(point, point)) as scenario:
        bought = scenario.buy().drop
        scenario.buy_another()
        scenario.until(lambda: scenario.killed_at, "killed with sales to count")
        scenario.buy_another()
        scenario.until_all_are_killed()
        assert scenario.killed_at == [point, point]
        scenario.buy_another()
        scenario.request_id = str(uuid.uuid4())
        scenario.refund(bought.name, 1)
        check(scenario, dispensed=4)
        assert sums(scenario, "refunded = 1 AND kind = 'DAY' AND period > 10000000")


def test_fault_24_frontend_killed_repeatedly_while_it_makes_statistics_anew(
    make_system: MakeSystem,
) -> None:
    """Invariant 29: it goes on where it was, and sales meanwhile are counted once."""
    kill_points = (
        "before-commit-cleared",
        "during-commit-cleared",
        "after-commit-cleared",
        "before-commit-counted",
        "during-commit-counted",
        "after-commit-counted",
        "before-sync-counted",
        "after-commit-counted",
    )
    with Scenario(make_system(SOON)) as scenario:
        scenario.buy()
        for _ in range(MORE_THAN_A_UNIT):
            call = scenario.alice.start(SLOT, str(uuid.uuid4()), 100)
            scenario.cancel(call.result().drop.name)
        until_counted(scenario, 1)
        frontend = scenario.system.frontend
        frontend.stop()
        frontend.kill_points = list(kill_points)
        rebuild = scenario.system.administer("statistics", "rebuild")
        rebuild.kill_points = ["before-commit-cleared"]
        rebuild.start()
        rebuild.wait_killed()
        frontend.start()
        bought = 1
        while frontend.kill_points:
            scenario.buy_another()
            bought += 1
        scenario.until_all_are_killed()
        assert tuple(scenario.killed_at) == kill_points
        assert scenario.alice.account().posted_credits == ALICE.credits - bought * 50
        check(scenario, dispensed=bought)
