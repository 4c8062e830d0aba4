"""Guessers at a house whose passwords a real directory knows: they keep nobody else out.

Skipped, with the reason, where OpenLDAP's server or python-ldap is missing.
"""

import contextlib
import json
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from drink.v1 import account_service_pb2 as pb
from drink.v1 import account_service_pb2_grpc
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from tests.integration.audited_system import reason
from tests.support.directory import Slapd, password_of

ROOT = UserPlan("root", "secret-of-root", 0, admin=True)

LIMIT_S = 30.0
"""Seconds within which each attempt is answered."""

GUESS_LIMIT_S = 4.0
"""Seconds after which a guesser gives up."""

GUESSES = 1_000
AT_ONCE = 50
"""Calls on one connection, fewer than it may have."""

HERE, THERE = "127.0.0.1", "127.0.0.2"
"""Where the guesses come from, and another address."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with Slapd(tmp_path_factory.mktemp("directory")) as directory:
        yield directory


@pytest.fixture(scope="module")
def system(directory: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    values = {name: each for name, each in directory.values.items() if name != "card_attribute"}
    ldap = "\n".join(f"{name} = {json.dumps(each)}" for name, each in values.items())
    plan = Plan(
        machines=(MachinePlan("d", "Big Drink", (SlotPlan(1, "Coke", 50, 5),)),),
        users=(ROOT,),
        frontend={"ldap": ldap},
    )
    with LocalSystem(tmp_path_factory.mktemp("house"), plan) as system:
        system.set_up()
        yield system


def typed(system: LocalSystem, name: str, address: str) -> str:
    """The answer of a session to somebody's USER and PASS, from an address."""
    where = (HERE, system.session_port)
    with socket.create_connection(where, LIMIT_S, (address, 0)) as peer:
        lines = peer.makefile("rwb", buffering=0)
        lines.readline()
        lines.write(f'USER {name}\r\nPASS "{password_of(name)}"\r\n'.encode())
        lines.readline()
        return str(lines.readline().decode())


def guess(system: LocalSystem, names: Sequence[str]) -> set[str]:
    """Guesses at these names, all at once; the reasons of the refusals."""
    with contextlib.ExitStack() as stack:
        calls = []
        for begin in range(0, len(names), AT_ONCE):
            # Otherwise the channels share one connection.
            options = (("grpc.use_local_subchannel_pool", 1),)
            channel = stack.enter_context(grpc.insecure_channel(system.address, options))
            stub = account_service_pb2_grpc.AccountServiceStub(channel)
            for name in names[begin : begin + AT_ONCE]:
                given = pb.PasswordCredentials(account=f"accounts/{name}", password="guess")
                request = pb.LoginRequest(password=given)
                calls.append(stub.Login.future(request, timeout=GUESS_LIMIT_S))
        reasons = set()
        for call in calls:
            refusal = call.exception()
            assert isinstance(refusal, grpc.RpcError)
            reasons.add(reason(refusal))
        return reasons


def test_a_thousand_guesses_from_one_address_keep_nobody_out(system: LocalSystem) -> None:
    # Who has logged in from there before is known there.
    assert typed(system, "member", HERE).startswith("OK")
    names = [f"nobody-{number}" for number in range(GUESSES // 2)]
    names += ["boss", "nested"] * (GUESSES // 4)
    with ThreadPoolExecutor(1) as pool:
        refusals = pool.submit(guess, system, names)
        for name, address in (("member", HERE), ("boss", THERE), ("nested", THERE)):
            assert typed(system, name, address).startswith("OK")
        assert refusals.result() & {"CREDENTIALS_INVALID", "RATE_LIMITED"}
