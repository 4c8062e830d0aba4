"""A service without file descriptors or memory refuses or ends; no credit and no can is lost."""

import contextlib
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import grpc
import pytest

from drink.v1.machine_service_pb2 import ListMachinesRequest, Machine
from drink.v1.machine_service_pb2_grpc import MachineServiceStub
from scripts.processes import Process, wait_until
from tests.integration.audited_system import COUPLE, AuditedSystem, outcome, refused

PLAN = replace(COUPLE, agent={"link": "backoff_slow_s = 0.5"})
"""An agent that cannot read its token waits a minute before it tries again; here it does not."""

CROWD = 20
"""Sessions that come while there is no descriptor left."""

STANDARD_STREAMS = 3
"""A limit of descriptors at which a process keeps those that it has and gets no other. Below a
higher one there may be some that it has closed and gets again."""

LIMIT_S = 30


@pytest.fixture
def system(system: AuditedSystem) -> AuditedSystem:
    """The system with everything up."""
    system.wait_ready("d", "ld")
    for process in (system.frontend, *system.agents.values()):
        process.mark()
    return system


@contextmanager
def limited(process: Process, what: int, least: int) -> Iterator[None]:
    """Takes a resource from a process that runs, and gives it back."""
    before = resource.prlimit(process.pid, what)
    resource.prlimit(process.pid, what, (least, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, what, before)


def greeting(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as session:
        return session.makefile("rb").readline()


def test_fault_30_a_frontend_without_descriptors_serves_whom_it_has(system: AuditedSystem) -> None:
    assert outcome(system.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")
    runs = system.runs("d")
    with (
        limited(system.frontend, resource.RLIMIT_NOFILE, STANDARD_STREAMS),
        contextlib.ExitStack() as crowd,
    ):
        for _ in range(CROWD):
            crowd.enter_context(socket.create_connection(("127.0.0.1", system.session_port)))
        with grpc.insecure_channel(system.address) as channel, pytest.raises(grpc.RpcError):
            MachineServiceStub(channel).ListMachines(ListMachinesRequest(), timeout=2)
        assert outcome(system.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 1
    assert greeting(system.session_port) == b"OK Welcome to Big Drink\n"


def test_fault_30_an_agent_without_descriptors_is_away_until_it_has_some(
    system: AuditedSystem,
) -> None:
    agent, runs = system.agents["d"], system.runs("d")
    drop = system.turning(0.6)
    with limited(agent, resource.RLIMIT_NOFILE, STANDARD_STREAMS):
        system.agents["ld"].mark()
        system.links.cut()
        system.wait_reach(Machine.REACH_OFFLINE, "d")
        system.agents["ld"].wait_for("link_up")
        system.wait_ready("ld")
        with refused("MACHINE_OFFLINE"):
            system.alice.drop("d/1")
        assert outcome(system.alice.drop("ld/1")) == ("DISPENSED", "BOARD_ACK")
    assert outcome(system.alice.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 1
    system.wait_ready("d")
    assert outcome(system.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")


@pytest.mark.parametrize("service", ["frontend", "agent"])
def test_fault_30_out_of_memory_is_a_kill_at_worst(system: AuditedSystem, service: str) -> None:
    """Whatever a service does without memory, what it has acknowledged is there afterwards."""
    process = system.frontend if service == "frontend" else system.agents["d"]
    runs = system.runs("d")
    drop = system.turning(0.6)
    with limited(process, resource.RLIMIT_AS, 1):
        wait_until(lambda: not system.boards["d"].counts()["motor_running"], "the motor stands")
        if service == "frontend":
            with contextlib.suppress(OSError):
                greeting(system.session_port)
    process.kill()
    if service == "frontend":
        system.start_frontend()
    else:
        process.start()
        process.wait_for("link_up")
    system.wait_ready("d", "ld")
    state, _ = outcome(system.alice.answered(drop.name))
    if state == "UNKNOWN":
        system.admin(
            "drops", "resolve", drop.name.removeprefix("drops/"), "--dispensed", "--why=counted"
        )
    assert outcome(system.alice.settled(drop.name))[0] == "DISPENSED"
    assert system.runs("d") == runs + 1
    assert outcome(system.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")
