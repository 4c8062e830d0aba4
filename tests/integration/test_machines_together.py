"""Several machines sell at the same time, and come back together."""

from tests.integration import together
from tests.integration.audited_system import AuditedSystem

MACHINES = 5

PLAN = together.plan(MACHINES)


def test_drops_at_the_same_time_share_commits(system: AuditedSystem) -> None:
    measured = together.drop_everywhere(system)
    print(measured)
    assert measured.commits < together.STEPS * measured.drops


def test_fault_23_all_agents_come_back_at_once(system: AuditedSystem) -> None:
    system.frontend.kill()
    system.start_frontend()
    system.wait_ready(*system.agents)
    together.drop_everywhere(system)
