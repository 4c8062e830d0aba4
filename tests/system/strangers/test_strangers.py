"""Wrong token and wrong certificate: refused at the link, sold nothing, told clearly."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from scripts.demo.plan import ALICE
from scripts.processes import wait_until
from tests.system.compose_system import POSTGRES, SQLITE, ComposeSystem

FOLDER = "/var/lib/drink-machine-agent"
"""Where an agent has what it proves itself with."""


def read(system: ComposeSystem, machine: str, name: str) -> bytes:
    encoded = system.run(system.profile.agent(machine), "base64", f"{FOLDER}/{name}")
    return base64.b64decode(encoded)


def write(system: ComposeSystem, machine: str, name: str, data: bytes) -> None:
    text = base64.b64encode(data).decode()
    command = f"echo {text} | base64 --decode > {FOLDER}/{name}"
    system.run(system.profile.agent(machine), "sh", "-c", command)


@contextmanager
def instead(system: ComposeSystem, machine: str, files: dict[str, bytes]) -> Iterator[None]:
    """An agent that was restarted with other files; it finds its own again afterwards."""
    own = {name: read(system, machine, name) for name in files}
    for name, data in files.items():
        write(system, machine, name, data)
    system.docker("restart", system.profile.agent(machine))
    try:
        yield
    finally:
        for name, data in own.items():
            write(system, machine, name, data)


@contextmanager
def sells_nothing(system: ComposeSystem, machine: str) -> Iterator[None]:
    """A machine that nobody can buy from, although its motor would run; and then can again."""
    runs = system.boards[machine].counts()["motor_runs"]
    yield
    alice = system.client(ALICE)
    with pytest.raises(grpc.RpcError) as error:
        alice.drop(f"{machine}/1")
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert system.boards[machine].counts()["motor_runs"] == runs
    alice.close()


def is_refused(system: ComposeSystem, machine: str, files: dict[str, bytes], told: str) -> None:
    """Checks that a machine's agent hears why it is refused, and later needs no restart."""
    agent = system.profile.agent(machine)
    before = len(system.logs(agent))
    with instead(system, machine, files), sells_nothing(system, machine):
        wait_until(lambda: told in system.logs(agent)[before:], f"{agent} tells {told}")
    system.wait_ready(machine)


@pytest.mark.parametrize("standing", [SQLITE], indirect=True, ids=["sqlite"])
def test_a_wrong_token(system: ComposeSystem) -> None:
    is_refused(system, "d", {"token": b"stolen-or-mistyped"}, "TOKEN_INVALID")


@pytest.mark.parametrize("standing", [SQLITE], indirect=True, ids=["sqlite"])
def test_fault_19_another_machines_token(system: ComposeSystem) -> None:
    token = read(system, "ld", "token")
    is_refused(system, "d", {"token": token}, "NOT_OWNER")
    system.wait_ready("ld")


@pytest.mark.parametrize("standing", [POSTGRES], indirect=True, ids=["postgres"])
def test_fault_19_another_machines_certificate(system: ComposeSystem) -> None:
    files = {name: read(system, "ld", name) for name in ("machine.pem", "machine.key")}
    is_refused(system, "d", files, "NOT_OWNER")
    system.wait_ready("ld")


@pytest.mark.parametrize("standing", [POSTGRES], indirect=True, ids=["postgres"])
def test_a_certificate_of_another_authority(system: ComposeSystem) -> None:
    frontend = system.profile.frontends[0]
    certs = ("drink-frontend", "admin", "certs")
    system.run(frontend, *certs, "init", "--folder=/tmp/forged", "--force")
    system.run(frontend, *certs, "machine", "d", "--folder=/tmp/forged", "--force")
    forged = {
        f"machine.{kind}": base64.b64decode(
            system.run(frontend, "base64", f"/tmp/forged/machine-d.{kind}")
        )
        for kind in ("pem", "key")
    }
    is_refused(system, "d", forged, "link_lost")
