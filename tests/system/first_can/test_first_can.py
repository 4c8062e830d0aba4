"""First can: a system that was just started sells over gRPC and by `nc`, as the README says."""

import contextlib
import socket
import ssl
import subprocess
import sys
import urllib.request

import pytest

from drink.v1.drop_service_pb2 import Drop
from scripts.client import session
from scripts.demo.plan import ALICE, BOB
from scripts.processes import wait_until
from tests.system.compose_system import ComposeSystem
from tests.system.engine import ROOT


def test_over_grpc_as_the_readme_says(system: ComposeSystem) -> None:
    fell = system.boards["d"].counts()["motor_runs"]
    authority = [str(system.authority)] if system.authority else []
    buy = [sys.executable, "-m", "scripts.demo.buy", system.address(), ALICE.name, ALICE.password]
    subprocess.run([*buy, "d/1", *authority], cwd=ROOT, check=True, timeout=60)
    assert system.boards["d"].counts()["motor_runs"] == fell + 1


def test_typed_into_a_session(system: ComposeSystem) -> None:
    lines = ["USER bob", f"PASS {BOB.password}", "DROP 2", "GETBALANCE", "QUIT"]
    replies = dict(session(system.session_port(), lines))
    assert replies["DROP 2"].startswith("OK Credits remaining: ")
    assert system.boards["d"].counts()["dispensed"]["2"] >= 1


def test_sessions_and_strangers_see_the_same_house(system: ComposeSystem) -> None:
    alice = system.client(ALICE)
    drop = alice.drop("ld/1")
    assert drop.state == Drop.STATE_DISPENSED
    stat = dict(session(system.session_port(), ["MACHINE ld", "STAT 1", "QUIT"]))["STAT 1"]
    assert f'"Jolt" {drop.price} {alice.slot("ld/1").available} ' in stat
    alice.close()


def test_the_page_shows_the_same_house(system: ComposeSystem) -> None:
    if system.authority is not None:
        pytest.skip("this profile has no page")

    def shown() -> str:
        with contextlib.suppress(OSError):
            address = f"http://127.0.0.1:{system.web_port}/"
            with urllib.request.urlopen(address, timeout=10) as page:
                return str(page.read().decode())
        return ""

    assert "Big Drink" in wait_until(shown, "the page answers", 60)


def test_a_session_over_tls(system: ComposeSystem) -> None:
    if system.authority is None:
        pytest.skip("this profile serves plain text on loopback only")
    port = system.ports[system.profile.frontends[0]].session_tls
    context = ssl.create_default_context(cafile=str(system.authority))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
        connection.makefile("rw", encoding="utf-8", newline="\n") as lines,
    ):
        assert lines.readline().startswith("OK Welcome")
