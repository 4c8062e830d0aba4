"""Fifty machines sell at the same time, and come back together."""

import shutil
import time
from pathlib import Path

import pytest

from tests.integration import together
from tests.integration.audited_system import AuditedSystem

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MACHINES = 50

PLAN = together.plan(MACHINES)

SHARE_MAX = 1 / 2
"""Most commits for each step of a drop; the faster the disk, the fewer steps wait for it."""


def test_fifty_drops_at_the_same_time_share_commits(system: AuditedSystem) -> None:
    measured = together.drop_everywhere(system)
    print(f"\n{measured}")
    assert measured.commits <= SHARE_MAX * together.STEPS * measured.drops


def test_fault_23_fifty_agents_come_back_at_once(system: AuditedSystem) -> None:
    system.frontend.kill()
    started = time.monotonic()
    system.start_frontend()
    system.wait_ready(*system.agents)
    print(f"\n{MACHINES} agents are back {time.monotonic() - started:.1f} s after a start")
    together.drop_everywhere(system)


@pytest.mark.skipif(shutil.which("strace") is None, reason="counts system calls with strace")
def test_every_commit_is_synced_once_and_an_agent_syncs_twice_a_drop(system: AuditedSystem) -> None:
    agent = system.agents["m00"]
    traces = {
        process: system.folder / f"{process.name}.trace" for process in (system.frontend, agent)
    }
    for process, trace in traces.items():
        process.stop()
        process.prefix = (
            "strace",
            "-D",
            "-f",
            "-qq",
            "-e",
            "trace=fsync,fdatasync",
            "-o",
            str(trace),
        )
    system.start_frontend()
    agent.start()
    system.wait_ready(*system.agents)
    before = {process: syncs(trace) for process, trace in traces.items()}
    measured = together.drop_everywhere(system)
    spent = {process: syncs(trace) - before[process] for process, trace in traces.items()}
    print(
        f"\n{measured}; {spent[system.frontend]} syncs of the frontend, {spent[agent]} of an agent"
    )
    assert spent[system.frontend] == measured.commits
    assert spent[agent] == together.AGENT_SYNCS


def syncs(trace: Path) -> int:
    """Calls that have ended; one that another thread interrupts takes two lines."""
    lines = trace.read_text().splitlines()
    return sum("<unfinished" not in line for line in lines)
