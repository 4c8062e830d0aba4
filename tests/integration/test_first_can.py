"""A can falls: over gRPC for an outside client, and byte for byte in a session."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import drink.v1
from tests.integration.audited_system import ALICE, BOB, COUPLE, PRICE, AuditedSystem
from tests.support import programs

PLAN = COUPLE

LIMIT_S = 60

PROTOS = Path(__file__).parents[2] / "protos"


def client_of_readme() -> str:
    """The program that the stubs' README shows to people outside."""
    found = re.search(
        r"^```python\n(.*?)^```$", (PROTOS / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert found
    return found[1]


@pytest.fixture
def only_the_stubs(tmp_path: Path) -> Path:
    """A folder with what an outside client has: grpcio, protobuf, the stubs, and nothing else."""
    site = Path(grpc.__file__).parents[1]
    (tmp_path / "google").mkdir()
    for name in ("grpc", "typing_extensions.py", "google/protobuf", "google/_upb"):
        (tmp_path / name).symlink_to(site / name)
    (tmp_path / "drink").symlink_to(Path(drink.v1.__path__[0]).parent)
    return tmp_path


def test_an_outside_client_logs_in_drops_and_watches_to_dispensed(
    system: AuditedSystem, only_the_stubs: Path
) -> None:
    path = f"import sys; sys.path.insert(0, {str(only_the_stubs)!r})\n"
    # Neither this environment's packages nor its variables.
    buy_outside(system, [sys.executable, "-I", "-S", "-c", path + client_of_readme()])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_environment_with_nothing_but_the_stubs_installed_is_enough(
    system: AuditedSystem, tmp_path: Path
) -> None:
    python = tmp_path / "bin" / "python"
    for command in (
        [sys.executable, "-m", "venv", str(tmp_path)],
        [str(python), "-m", "pip", "install", "--quiet", str(PROTOS)],
    ):
        subprocess.run(command, check=True, timeout=10 * LIMIT_S)
    buy_outside(system, [str(python), "-I", "-c", client_of_readme()])


def buy_outside(system: AuditedSystem, client: list[str]) -> None:
    """Runs a client that logs in, drops, and prints each state that it watches."""
    before = system.runs("d")
    done = programs.run(*client, system.address, ALICE.name, ALICE.password, "machines/d/slots/1")
    assert done.returncode == 0, done.stderr
    states = done.stdout.splitlines()
    assert states[0] == f"SCHEDULED Coke {PRICE}"
    assert states[-1] == f"DISPENSED Coke {PRICE}"
    assert system.runs("d") == before + 1


def test_health_answers_for_the_server_and_each_service(system: AuditedSystem) -> None:
    with grpc.insecure_channel(system.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
        for service in ("", "drink.v1.DropService", "drink.v1.MachineLinkService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=LIMIT_S)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_the_services_and_gives_their_files(system: AuditedSystem) -> None:
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="drink.v1.DropService"),
    ]
    with grpc.insecure_channel(system.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[no-untyped-call]
        listed, file = stub.ServerReflectionInfo(iter(requests), timeout=LIMIT_S)
    names = {service.name for service in listed.list_services_response.service}
    assert names >= {
        "drink.v1.AccountService",
        "drink.v1.DropService",
        "drink.v1.MachineLinkService",
        "drink.v1.MachineService",
        "grpc.health.v1.Health",
    }
    assert file.file_descriptor_response.file_descriptor_proto


def converse(port: int, said: bytes, *, one_byte_segments: bool) -> bytes:
    """Everything that a session answers until it ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pieces = [bytes([byte]) for byte in said] if one_byte_segments else [said]
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize("one_byte_segments", [False, True])
def test_a_session_answers_byte_for_byte(system: AuditedSystem, one_byte_segments: bool) -> None:
    dew = system.root.slot("d/2")
    credits_ = system.bob.account().available_credits
    said = (
        f"USER {BOB.name}\nPASS {BOB.password}\nWHOAMI\nSTAT 2\nDROP 2\r\ngetbalance\nBREW\nQUIT\n"
    )
    answered = converse(system.session_port, said.encode(), one_byte_segments=one_byte_segments)
    assert answered.decode() == (
        "OK Welcome to Big Drink\n"
        "OK Password required.\n"
        f"OK Credits: {credits_}\n"
        "OK Username: bob\n"
        f'2 "Dew" {PRICE} {dew.available} {dew.dispensed} true\n'
        "OK 1 Slots retrieved\n"
        f"OK Credits remaining: {credits_ - PRICE}\n"
        f"OK Credits: {credits_ - PRICE}\n"
        "ERR 452 Invalid command.\n"
        "OK Disconnecting.\n"
    )


def test_a_whole_machine_is_listed_without_a_login(system: AuditedSystem) -> None:
    coke, dew = system.root.slot("d/1"), system.root.slot("d/2")
    answered = converse(system.session_port, b"STAT\nQUIT\n", one_byte_segments=False)
    assert answered.decode() == (
        "OK Welcome to Big Drink\n"
        f'1 "Coke" {PRICE} {coke.available} {coke.dispensed} true\n'
        f'2 "Dew" {PRICE} {dew.available} {dew.dispensed} true\n'
        "OK 2 Slots retrieved\n"
        "OK Disconnecting.\n"
    )
