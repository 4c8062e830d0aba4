"""A half-open link is noticed by the connection's own pings where heartbeats are too far apart."""

from dataclasses import replace

import pytest

from drink.v1.machine_service_pb2 import Machine
from tests.integration.audited_system import COUPLE, AuditedSystem, outcome

pytestmark = pytest.mark.slow

HEARTBEAT_S = 300

PLAN = replace(
    COUPLE,
    frontend={
        "links": f"heartbeat_interval_s = {HEARTBEAT_S}",
        "rpc": "keepalive_time_s = 10\nkeepalive_timeout_s = 2",
    },
)

FRONTEND_NOTICES_S = 20
"""After 10 s of silence it pings and waits for 2 s."""

AGENT_NOTICES_S = 45
"""After 20 s of silence it pings and waits for 10 s."""


def test_fault_14_both_ends_notice_a_half_open_link_without_heartbeats(
    system: AuditedSystem,
) -> None:
    system.links.stall()
    drop = system.alice.place("d/1")
    system.wait_reach(Machine.REACH_OFFLINE, "d", "ld", limit_s=FRONTEND_NOTICES_S)
    for agent in system.agents.values():
        agent.wait_for("link_lost", AGENT_NOTICES_S, reason="UNAVAILABLE")
    assert outcome(system.alice.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")
