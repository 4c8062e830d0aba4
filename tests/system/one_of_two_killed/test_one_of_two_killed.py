"""One of two frontends killed under load: the other sells on, and the agents move over."""

import os
import time

import pytest

from tests.system.compose_system import PLENTY, ComposeSystem
from tests.system.load import Buyers, Sales

BUYERS = 12

DURATION_S = float(os.environ.get("DURATION", "300"))
"""How long the long test lasts."""

INTERVAL_S = 30.0
"""Seconds from one killing to the next, in the long test."""


def check(sales: Sales) -> None:
    """Every can was answered once, and as it fell."""
    assert not sales.failures
    assert set(sales.outcomes) == {"DISPENSED"}
    assert len(set(sales.names)) == len(sales.names)


def test_each_is_killed_and_revived_under_load(fleet: ComposeSystem) -> None:
    with Buyers(fleet, [f"{machine}/1" for machine in fleet.boards], BUYERS) as buyers:
        for number, frontend in enumerate(fleet.profile.frontends):
            buyers.wait_for_more(BUYERS)
            fleet.docker("kill", frontend)
            buyers.wait_for_more(BUYERS)
            fleet.docker("start", frontend)
            fleet.wait_ready(frontend=number)
        buyers.wait_for_more(BUYERS)
    check(buyers.sales)
    assert buyers.sales.retried


@pytest.mark.slow
@pytest.mark.timeout(DURATION_S + 600)
def test_one_is_killed_and_revived_every_thirty_seconds_for_long(fleet: ComposeSystem) -> None:
    slots = [f"{machine}/1" for machine in fleet.boards]
    frontends = fleet.profile.frontends
    # A motor turns for 0.3 s, so no machine sells more than three a second.
    fleet.stock(*slots, cans=PLENTY + int(3 * DURATION_S))
    end = time.monotonic() + DURATION_S
    killings = 0
    with Buyers(fleet, slots, BUYERS) as buyers:
        while time.monotonic() < end:
            begun = time.monotonic()
            frontend = frontends[killings % len(frontends)]
            fleet.docker("kill", frontend)
            killings += 1
            buyers.wait_for_more(BUYERS)
            fleet.docker("start", frontend)
            buyers.wait_for_more(BUYERS)
            time.sleep(max(0.0, min(begun + INTERVAL_S, end) - time.monotonic()))
    sales = buyers.sales
    print(f"{len(sales.names)} cans, {killings} killings, retried: {dict(sales.retried)}")
    check(sales)
