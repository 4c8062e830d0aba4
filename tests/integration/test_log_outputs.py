"""Selling goes on whatever becomes of the log."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drink.v1.drop_service_pb2 import Drop
from scripts.processes import wait_until
from tests.integration.audited_system import BOB, COUPLE, AuditedSystem
from tests.integration.test_first_can import converse

PLAN = COUPLE

DROPS = 12
"""Drops in each system, some 40 lines of each service."""

OUTPUTS = {
    "full disk": "out = os.open('/dev/full', os.O_WRONLY)",
    "pipe without a reader": "reader, out = os.pipe(); os.close(reader)",
    "pipe that is not read": """
reader, out = os.pipe()
os.set_inheritable(reader, True)
os.set_blocking(out, False)
try:
    while os.write(out, b" " * 4096): pass
except BlockingIOError:
    os.set_blocking(out, True)
""",
    "nothing": "out = None",
}
"""What standard output and error are, as programs that set `out`."""

BECOME = """
import os, sys
{output}
for descriptor in (1, 2):
    os.close(descriptor) if out is None else os.dup2(out, descriptor)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def unlogged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, templates: Path
) -> Iterator[AuditedSystem]:
    """A system whose services write their logs to the output that the test names."""
    with AuditedSystem(tmp_path_factory.mktemp("system"), PLAN, templates) as system:
        system.install()
        become = [sys.executable, "-c", BECOME.format(output=OUTPUTS[request.param])]
        for process in (system.frontend, *system.agents.values()):
            process.prefix = become
        for board in system.boards.values():
            board.start()
        system.links.server_port = system.rpc_port
        system.frontend.start()
        for agent in system.agents.values():
            agent.start()
        wait_until(lambda: _answers(system), "the frontend answers")
        system.wait_ready(*system.agents)
        yield system


@pytest.mark.parametrize("unlogged", OUTPUTS, indirect=True)
def test_fault_61_selling_goes_on_where_the_log_cannot_be_written(unlogged: AuditedSystem) -> None:
    system = unlogged
    before = system.runs("d")
    for _ in range(DROPS):
        assert system.alice.drop("d/1").state == Drop.STATE_DISPENSED
    said = f"USER {BOB.name}\nPASS {BOB.password}\nDROP 2\nQUIT\n".encode()
    answers = converse(system.session_port, said, one_byte_segments=False).decode().splitlines()
    assert answers[3].startswith("OK Credits remaining")
    assert system.runs("d") == before + DROPS + 1
    # A link that ends, and an agent that starts again, are logged too.
    agent = system.agents["d"]
    assert agent.stop() == 0
    agent.start()
    system.wait_ready("d")
    assert system.alice.drop("d/1").state == Drop.STATE_DISPENSED
    system.audit()
    # Whoever waits for the log at the end does so for a moment only.
    assert [process.stop() for process in (agent, system.frontend)] == [0, 0]


def _answers(system: AuditedSystem) -> bool:
    try:
        converse(system.session_port, b"QUIT\n", one_byte_segments=False)
    except OSError:
        return False
    return True
