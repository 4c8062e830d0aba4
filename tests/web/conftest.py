"""A running system with its page, and a browser to look at it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from tests.support.ports import with_own_ports
from tests.web.browser import running_browser

ALICE = UserPlan("alice", "correct-horse", 2_000)
BOB = UserPlan("bob", "battery-staple", 20)
ADMIN = UserPlan("admin", "hunter2-not", 0, admin=True)

PLAN = Plan(
    machines=(
        MachinePlan(
            "d",
            "Big Drink",
            (
                SlotPlan(1, "Coke", 50, 40),
                SlotPlan(2, "Mountain Dew <b>", 55, 30),
                SlotPlan(3, "Club-Mate", 60, 2),
                SlotPlan(4, "Sprite", 45, 0),
            ),
        ),
        MachinePlan(
            "ld", "Little Drink", (SlotPlan(1, "Jolt", 60, 20), SlotPlan(2, "Bawls", 75, 20))
        ),
        MachinePlan("s", "Snack", (SlotPlan(1, "Cookies", 30, 20), SlotPlan(2, "Chips", 35, 20))),
    ),
    users=(ALICE, BOB, ADMIN),
    web_port=0,
    motor_s=0.4,
    response_limit_s=1.5,
)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """A frontend, agents, emulated boards and the page, as real processes."""
    with LocalSystem(tmp_path_factory.mktemp("system"), with_own_ports(PLAN)) as system:
        system.set_up()
        yield system


@pytest.fixture
def house(system: LocalSystem) -> LocalSystem:
    """The system, ready to sell."""
    # After a silent motor the agent asks the board again, and sells nothing meanwhile.
    system.wait_ready(*system.agents)
    return system


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a module; each has contexts of its own."""
    # Not for the session: it occupies its thread's event loop, and tests of other modules need one.
    with running_browser() as browser:
        yield browser
