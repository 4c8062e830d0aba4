"""First can: a house that was just started sells over gRPC and by `nc`, as the README says."""

import socket
import ssl
import subprocess
import sys

import pytest

from drink.v1.drop_service_pb2 import Drop
from scripts.client import session
from scripts.demo.house import ALICE, BOB
from tests.system.engine import ROOT
from tests.system.house import House


def test_over_grpc_as_the_readme_says(house: House) -> None:
    fell = house.boards["d"].counts()["motor_runs"]
    authority = [str(house.authority)] if house.authority else []
    buy = [sys.executable, "-m", "scripts.demo.buy", house.address(), ALICE.name, ALICE.password]
    subprocess.run([*buy, "d/1", *authority], cwd=ROOT, check=True, timeout=60)
    assert house.boards["d"].counts()["motor_runs"] == fell + 1


def test_typed_into_a_session(house: House) -> None:
    lines = ["USER bob", f"PASS {BOB.password}", "DROP 2", "GETBALANCE", "QUIT"]
    replies = dict(session(house.session_port(), lines))
    assert replies["DROP 2"].startswith("OK Credits remaining: ")
    assert house.boards["d"].counts()["dispensed"]["2"] >= 1


def test_sessions_and_strangers_see_the_same_house(house: House) -> None:
    alice = house.client(ALICE)
    drop = alice.drop("ld/1")
    assert drop.state == Drop.STATE_DISPENSED
    stat = dict(session(house.session_port(), ["MACHINE ld", "STAT 1", "QUIT"]))["STAT 1"]
    assert f'"Jolt" {drop.price} {alice.slot("ld/1").available} ' in stat
    alice.close()


def test_a_session_over_tls(house: House) -> None:
    if house.authority is None:
        pytest.skip("this profile serves plain text on loopback only")
    port = house.ports[house.profile.frontends[0]].session_tls
    context = ssl.create_default_context(cafile=str(house.authority))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
        connection.makefile("rw", encoding="utf-8", newline="\n") as lines,
    ):
        assert lines.readline().startswith("OK Welcome")
