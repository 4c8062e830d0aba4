"""Wrong token and wrong certificate: refused at the link, sold nothing, told clearly."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from scripts.demo.house import ALICE
from scripts.processes import wait_until
from tests.system.house import POSTGRES, SQLITE, House

FOLDER = "/var/lib/drink-machine-agent"
"""Where an agent has what it proves itself with."""


def read(house: House, machine: str, name: str) -> bytes:
    encoded = house.run(house.profile.agent(machine), "base64", f"{FOLDER}/{name}")
    return base64.b64decode(encoded)


def write(house: House, machine: str, name: str, data: bytes) -> None:
    text = base64.b64encode(data).decode()
    command = f"echo {text} | base64 --decode > {FOLDER}/{name}"
    house.run(house.profile.agent(machine), "sh", "-c", command)


@contextmanager
def instead(house: House, machine: str, files: dict[str, bytes]) -> Iterator[None]:
    """An agent that was restarted with other files; it finds its own again afterwards."""
    own = {name: read(house, machine, name) for name in files}
    for name, data in files.items():
        write(house, machine, name, data)
    house.docker("restart", house.profile.agent(machine))
    try:
        yield
    finally:
        for name, data in own.items():
            write(house, machine, name, data)


@contextmanager
def sells_nothing(house: House, machine: str) -> Iterator[None]:
    """A machine that nobody can buy from, although its motor would run; and then can again."""
    runs = house.boards[machine].counts()["motor_runs"]
    yield
    alice = house.client(ALICE)
    with pytest.raises(grpc.RpcError) as error:
        alice.drop(f"{machine}/1")
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert house.boards[machine].counts()["motor_runs"] == runs
    alice.close()


def is_refused(house: House, machine: str, files: dict[str, bytes], told: str) -> None:
    """Checks that a machine's agent hears why it is refused, and later needs no restart."""
    agent = house.profile.agent(machine)
    before = len(house.logs(agent))
    with instead(house, machine, files), sells_nothing(house, machine):
        wait_until(lambda: told in house.logs(agent)[before:], f"{agent} tells {told}")
    house.wait_ready(machine)


@pytest.mark.parametrize("standing", [SQLITE], indirect=True, ids=["sqlite"])
def test_a_wrong_token(house: House) -> None:
    is_refused(house, "d", {"token": b"stolen-or-mistyped"}, "TOKEN_INVALID")


@pytest.mark.parametrize("standing", [SQLITE], indirect=True, ids=["sqlite"])
def test_fault_19_another_machines_token(house: House) -> None:
    token = read(house, "ld", "token")
    is_refused(house, "d", {"token": token}, "NOT_OWNER")
    house.wait_ready("ld")


@pytest.mark.parametrize("standing", [POSTGRES], indirect=True, ids=["postgres"])
def test_fault_19_another_machines_certificate(house: House) -> None:
    files = {name: read(house, "ld", name) for name in ("machine.pem", "machine.key")}
    is_refused(house, "d", files, "NOT_OWNER")
    house.wait_ready("ld")


@pytest.mark.parametrize("standing", [POSTGRES], indirect=True, ids=["postgres"])
def test_a_certificate_of_another_authority(house: House) -> None:
    frontend = house.profile.frontends[0]
    certs = ("drink-frontend", "admin", "certs")
    house.run(frontend, *certs, "init", "--folder=/tmp/forged", "--force")
    house.run(frontend, *certs, "machine", "d", "--folder=/tmp/forged", "--force")
    forged = {
        f"machine.{kind}": base64.b64decode(
            house.run(frontend, "base64", f"/tmp/forged/machine-d.{kind}")
        )
        for kind in ("pem", "key")
    }
    is_refused(house, "d", forged, "link_lost")
