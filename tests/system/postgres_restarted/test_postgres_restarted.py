"""PostgreSQL restarted in mid-commit: nothing is lost, doubled or wrongly charged."""

import pytest

from tests.system.compose_system import POSTGRES, ComposeSystem
from tests.system.load import Buyers

BUYERS = 6

SLOW_COMMITS = """
ALTER SYSTEM SET commit_delay = 50000;
ALTER SYSTEM SET commit_siblings = 0;
SELECT pg_reload_conf();
"""
"""Each commit waits 50 ms before it is written, so that whatever happens, happens in one."""


def psql(system: ComposeSystem, statements: str) -> None:
    for statement in filter(None, map(str.strip, statements.split(";"))):
        system.run("postgres", "psql", "--username=drink", "--quiet", f"--command={statement}")


@pytest.fixture
def slow_commits(system: ComposeSystem) -> ComposeSystem:
    psql(system, SLOW_COMMITS)
    return system


@pytest.mark.parametrize("standing", [POSTGRES], indirect=True, ids=["postgres"])
def test_fault_38_postgres_is_killed_and_restarted_under_load(slow_commits: ComposeSystem) -> None:
    system = slow_commits
    with Buyers(system, ["d/1", "ld/1", "s/1"], BUYERS) as buyers:
        for action in ("kill", "restart", "kill"):
            buyers.wait_for_more(BUYERS)
            system.docker(action, "postgres")
            system.docker("start", "postgres")
        buyers.wait_for_more(BUYERS)
    sales = buyers.sales
    assert not sales.failures
    assert set(sales.outcomes) == {"DISPENSED"}
    assert len(set(sales.names)) == len(sales.names)
