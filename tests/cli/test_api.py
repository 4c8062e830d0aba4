import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from drink.v1 import machine_service_pb2 as machines
from drink_cli.api import Api
from drink_cli.errors import CallError, CommandError, Exit
from drink_cli.profile import make_profile


@pytest.fixture
def old_server() -> Iterator[str]:
    """A server without the API's methods."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0)


def _list(server: str, limit_s: float = 20) -> None:
    with Api(make_profile("p", server, None, plain=False)) as api:
        api.call_public(api.machines.ListMachines, machines.ListMachinesRequest(), limit_s=limit_s)


def test_no_server_is_told_with_its_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(CallError, match=f"no answer from {server}") as refused:
            _list(server)

    assert refused.value.code is Exit.UNREACHABLE


def test_a_server_that_stays_silent_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(CallError) as refused:
        _list(f"127.0.0.1:{silent.getsockname()[1]}", limit_s=0.5)

    assert refused.value.code is Exit.UNREACHABLE


def test_a_server_without_the_method_is_called_older(old_server: str) -> None:
    with pytest.raises(CallError, match="older than this command needs") as refused:
        _list(old_server)

    assert refused.value.code is Exit.FAULT


def test_a_call_that_needs_a_login_is_not_made_without() -> None:
    with (
        Api(make_profile("p", "127.0.0.1:1", None, plain=False)) as api,
        pytest.raises(CommandError, match="not logged in"),
    ):
        api.call(api.machines.ListMachines, machines.ListMachinesRequest())


def test_an_authority_that_cannot_be_read_is_told() -> None:
    with pytest.raises(CommandError, match="No such file"):
        Api(make_profile("p", "localhost", Path("/nowhere.pem"), plain=False))
