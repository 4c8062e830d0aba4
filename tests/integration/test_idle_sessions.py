"""Silent connections take no descriptor that other clients need."""

import contextlib
import resource
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from scripts.processes import wait_until
from tests.integration.audited_system import ALICE, COUPLE, AuditedSystem, outcome

PLAN = replace(COUPLE, frontend={"sessions": "opening.pause_max_s = 0"})
"""What is tried is how they make way; otherwise their address could connect only now and then."""

OPEN_FILES = 1_024
STRANGERS = 1_200
LIMIT_S = 30

LINES_MAX = 100
"""Lines of the log that an attack may cost, in the minute that it takes at most."""


@pytest.fixture
def system(system: AuditedSystem) -> Iterator[AuditedSystem]:
    """The system, its frontend with the open files that a system gives a process by default."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < STRANGERS + 500:
        pytest.skip(f"this machine lets a process open {most} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    system.frontend.stop()
    system.frontend.prefix = ("prlimit", f"--nofile={OPEN_FILES}:{OPEN_FILES}")
    system.start_frontend()
    system.wait_ready("d", "ld")
    yield system
    system.frontend.stop()
    system.frontend.prefix = ()
    system.start_frontend()


def buys(port: int) -> bytes:
    """The last reply of a buying session."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as session:
        session.sendall(f"USER {ALICE.name}\nPASS {ALICE.password}\nDROP 1\nQUIT\n".encode())
        return session.makefile("rb").read().splitlines()[-2]


def test_fault_66_idle_strangers_stop_neither_sessions_nor_calls_nor_links(
    system: AuditedSystem,
) -> None:
    with contextlib.ExitStack() as strangers:
        for _ in range(STRANGERS):
            dialled = socket.create_connection(("127.0.0.1", system.session_port), timeout=LIMIT_S)
            strangers.enter_context(dialled)
        assert outcome(system.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")
        assert buys(system.session_port).startswith(b"OK Credits remaining: ")
        system.links.cut()
        system.wait_ready("d", "ld")
        system.admin("user", "list")
    told = [
        event
        for event in system.frontend.events()
        if event["event"] in {"session_closed_for_another", "session_turned_away"}
    ]
    assert 0 < len(told) <= LINES_MAX
    wait_until(lambda: buys(system.session_port).startswith(b"OK"), "served afterwards", LIMIT_S)
