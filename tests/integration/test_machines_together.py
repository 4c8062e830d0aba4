"""Several machines sell at the same time, and come back together."""

from tests.integration import together
from tests.integration.house import House

MACHINES = 5

PLAN = together.plan(MACHINES)


def test_drops_at_the_same_time_share_commits(house: House) -> None:
    measured = together.drop_everywhere(house)
    print(measured)
    assert measured.commits < together.STEPS * measured.drops


def test_fault_23_all_agents_come_back_at_once(house: House) -> None:
    house.frontend.kill()
    house.start_frontend()
    house.wait_ready(*house.agents)
    together.drop_everywhere(house)
