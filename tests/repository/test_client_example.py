"""The client in protos/README.md works as printed there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from drink.v1 import account_service_pb2 as account_pb
from drink.v1 import account_service_pb2_grpc as account_grpc
from drink.v1 import drop_service_pb2 as drop_pb
from drink.v1 import drop_service_pb2_grpc as drop_grpc
from tests.support import programs

README = Path(__file__).parents[2] / "protos" / "README.md"

STATES = ("SCHEDULED", "RESERVED", "DISPATCHED", "DISPENSED")


def example() -> str:
    """The first Python block of the README."""
    found = re.search(r"^```python\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


class OneUser(account_grpc.AccountServiceServicer):
    """Knows alice, whose password is `secret`; the client needs no other method."""

    def Login(  # noqa: N802
        self, request: account_pb.LoginRequest, context: grpc.ServicerContext
    ) -> account_pb.LoginResponse:
        credentials = request.password
        if (credentials.account, credentials.password) != ("accounts/alice", "secret"):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no match")
        return account_pb.LoginResponse(token="token-of-alice")


class OneDrop(drop_grpc.DropServiceServicer):
    """Makes one drop for alice and takes it through its states."""

    def __init__(self) -> None:
        self.requests: list[drop_pb.DropRequest] = []

    def Drop(  # noqa: N802
        self, request: drop_pb.DropRequest, context: grpc.ServicerContext
    ) -> drop_pb.DropResponse:
        assert ("authorization", "Bearer token-of-alice") in context.invocation_metadata()
        self.requests.append(request)
        return drop_pb.DropResponse(drop=drop_pb.Drop(name="drops/1"))

    def WatchDrop(  # noqa: N802
        self, request: drop_pb.WatchDropRequest, context: grpc.ServicerContext
    ) -> Iterator[drop_pb.WatchDropResponse]:
        assert ("authorization", "Bearer token-of-alice") in context.invocation_metadata()
        assert request.name == "drops/1"
        for state in STATES:
            drop = drop_pb.Drop(state=drop_pb.Drop.State.Value(f"STATE_{state}"), price=50)
            drop.item = "Coke"
            yield drop_pb.WatchDropResponse(drop=drop)


@pytest.fixture
def drops() -> OneDrop:
    return OneDrop()  # type: ignore[abstract]


@pytest.fixture
def address(drops: OneDrop) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    account_grpc.add_AccountServiceServicer_to_server(OneUser(), server)  # type: ignore[abstract]
    drop_grpc.add_DropServiceServicer_to_server(drops, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(grace=None).wait()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return programs.run(sys.executable, "-c", example(), *arguments)


def test_buys_and_watches_the_drop_to_its_end(address: str, drops: OneDrop) -> None:
    done = run(address, "alice", "secret", "machines/d/slots/1")

    assert done.stdout.splitlines() == [f"{state} Coke 50" for state in STATES]
    assert done.returncode == 0, done.stderr
    (request,) = drops.requests
    assert request.slot == "machines/d/slots/1"
    assert re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", request.request_id)
    assert request.delay.seconds == 1


def test_a_wrong_password_buys_nothing(address: str, drops: OneDrop) -> None:
    done = run(address, "alice", "guess", "machines/d/slots/1")

    assert done.returncode != 0
    assert "UNAUTHENTICATED" in done.stderr
    assert drops.requests == []
