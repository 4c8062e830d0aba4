import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import grpc
import pytest

from drink.v1 import machine_service_pb2 as machines
from drink_cli.api import Api
from drink_cli.errors import CallError, CommandError, Exit
from drink_cli.profile import make_profile
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan
from tests.cli.conftest import ALICE, Drink
from tests.support.ports import with_own_ports


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


def test_a_server_with_a_certificate_is_talked_to_by_tls_and_no_other_way(
    tmp_path: Path, folders: Path
) -> None:
    """A real frontend whose certificate an authority of the house has signed."""
    certs = tmp_path / "house/certs"
    frontend = {"rpc": f'tls_certificate = "{certs}/server.pem"\ntls_key = "{certs}/server.key"'}
    plan = Plan(machines=(MachinePlan("d", "D", ()),), users=(ALICE,), frontend=frontend)

    with LocalSystem(tmp_path / "house", with_own_ports(plan)) as house:
        house.install()
        house.admin("certs", "init", f"--folder={certs}")
        house.admin("certs", "server", f"--folder={certs}", "localhost")
        house.start_frontend()
        server, drink = f"localhost:{house.rpc_port}", Drink("")
        login = ("login", ALICE.name, "--server", server)

        plain = drink(*login, typed=ALICE.password)
        trusted = drink(*login, "--ca", str(certs / "ca.pem"), typed=ALICE.password)
        later = drink("whoami")
        stranger = tmp_path / "stranger"
        house.admin("certs", "init", f"--folder={stranger}")
        other = drink(*login, "--ca", str(stranger / "ca.pem"), typed=ALICE.password)

    assert (plain.exit_code, other.exit_code) == (Exit.UNREACHABLE, Exit.UNREACHABLE)
    assert (trusted.exit_code, later.exit_code) == (0, 0)


def test_a_server_that_is_no_server_of_drink_is_told() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as web:
        Thread(target=web.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{web.server_port}"
        result = Drink("")("login", "alice", "--server", address, typed="secret")
        web.shutdown()

    assert result.exit_code in {Exit.UNREACHABLE, Exit.FAULT}
    assert address in result.stderr


HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("header", "sent"),
    [(HEADER, [HEADER]), ("", []), ("é", []), ("a\nb", []), ("x" * 5_000, [])],
)
def test_a_call_belongs_to_the_span_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, header: str, sent: list[str]
) -> None:
    monkeypatch.setenv("TRACEPARENT", header)
    monkeypatch.setenv("DRINK_TOKEN", "token")
    told: list[str] = []

    def method(request: object, *, metadata: tuple[tuple[str, str], ...], timeout: float) -> None:
        assert ("authorization", "Bearer token") in metadata
        told.extend(value for key, value in metadata if key == "traceparent")

    with Api(make_profile("p", "127.0.0.1:1", None, plain=False)) as api:
        api.call(method, machines.ListMachinesRequest())
    assert told == sent
