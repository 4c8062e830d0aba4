"""Rolling restart of everything under load: no drop fails, and none is left in doubt."""

from tests.system.compose_system import ComposeSystem
from tests.system.load import Buyers

BUYERS = 12

AT_ONCE = 5
"""Agents that are restarted at the same time."""


def test_everything_is_restarted_while_people_buy(fleet: ComposeSystem) -> None:
    agents = fleet.profile.agents
    goes: list[tuple[str, ...]] = [(frontend,) for frontend in fleet.profile.frontends]
    goes += [agents[start : start + AT_ONCE] for start in range(0, len(agents), AT_ONCE)]
    goes.append(("postgres",))
    with Buyers(fleet, [f"{machine}/1" for machine in fleet.boards], BUYERS) as buyers:
        for services in goes:
            buyers.wait_for_more(BUYERS)
            fleet.docker("restart", *services)
            for number in range(len(fleet.profile.frontends)):
                fleet.wait_ready(frontend=number)
        buyers.wait_for_more(BUYERS)
    sales = buyers.sales
    assert not sales.failures
    assert set(sales.outcomes) == {"DISPENSED"}
    assert len(set(sales.names)) == len(sales.names)
