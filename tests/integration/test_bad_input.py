"""Bad input gets its documented refusal, changes no books and delays no other client."""

import random
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import grpc
import pytest

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from scripts.client import Client
from scripts.plan import MachinePlan, SlotPlan, UserPlan
from scripts.processes import wait_until
from tests.integration.audited_system import (
    ADMIN,
    ALICE,
    BOB,
    COUPLE,
    PRICE,
    AuditedSystem,
    outcome,
    refused,
)
from tests.support.ports import free_port

LIMIT_S = 30

HANDSHAKE_LIMIT_S, LOGIN_LIMIT_S = 1, 1.0
"""Seconds that a silent connection is kept."""

POOR = UserPlan("poor", "no-money", PRICE - 1)


PLAN = replace(
    COUPLE,
    machines=(
        MachinePlan(
            "d",
            "Big Drink",
            (
                SlotPlan(1, "Coke", PRICE, 60),
                SlotPlan(2, "Dew", PRICE, 60),
                SlotPlan(3, "Air", PRICE, 0),
                SlotPlan(4, "Off", PRICE, 5),
            ),
        ),
        replace(COUPLE.machines[1], board_port=free_port()),
    ),
    users=(ALICE, BOB, ADMIN, POOR),
    frontend={"rpc": f"handshake_timeout_s = {HANDSHAKE_LIMIT_S}"},
    agent={"board": f"login_limit_s = {LOGIN_LIMIT_S}"},
)


@dataclass(frozen=True)
class Caller:
    """One bad call, and the account that it may charge."""

    system: AuditedSystem
    poor: Client

    def drop(self, slot: str = "machines/d/slots/1", **fields: object) -> None:
        """Asks for a drop that cannot be."""
        delay_s = fields.pop("delay_s", None)
        fields.setdefault("request_id", str(uuid.uuid4()))
        request = drops.DropRequest(slot=slot, **fields)  # type: ignore[arg-type]
        if isinstance(delay_s, float):
            request.delay.FromMilliseconds(int(delay_s * 1000))
        self.system.alice.call(self.system.alice.drops.Drop, request)

    def login(self, user: str, password: str) -> None:
        """Tries to log in."""
        Client(self.system.address, user, password)

    def transfer(self, recipient: str, credits_: int) -> None:
        """Tries to give credits away."""
        request = accounts.TransferCreditsRequest(
            request_id=str(uuid.uuid4()), recipient=recipient, credits=credits_
        )
        self.system.alice.call(self.system.alice.accounts.TransferCredits, request)


@pytest.fixture(scope="module")
def poor(standing: AuditedSystem) -> Iterator[Client]:
    """A buyer who lacks one credit."""
    poor = standing.client(POOR)
    yield poor
    poor.close()


@pytest.fixture
def caller(system: AuditedSystem, poor: Client) -> Iterator[Caller]:
    """A client of bad calls; the books must be the same afterwards."""
    update = machines.UpdateSlotRequest(name="machines/d/slots/4", enabled=False)
    system.root.call(system.root.machines.UpdateSlot, update)
    before = state(system)
    yield Caller(system, poor)
    assert state(system) == before


def state(system: AuditedSystem) -> list[object]:
    """What nothing refused may change."""
    listing = drops.ListDropsRequest(parent="accounts/-", page_size=1)
    listed = system.root.call(system.root.machines.ListMachines, machines.ListMachinesRequest())
    return [
        *(system.root.account(user.name) for user in PLAN.users),
        *(kept(machine) for machine in listed.machines),
        system.root.call(system.root.drops.ListDrops, listing).drops,
        *(system.runs(name) for name in system.boards),
    ]


def kept(machine: machines.Machine) -> machines.Machine:
    """What is kept of a machine, without what its board reports at any time."""
    for field in ("reach", "reach_time", "temperature_celsius", "temperature_time"):
        machine.ClearField(field)
    for slot in machine.slots:
        slot.ClearField("sensor")
        slot.ClearField("update_time")
    return machine


@pytest.mark.parametrize(
    ("slot", "fields", "expected"),
    [
        ("machines/x/slots/1", {}, "MACHINE_NOT_FOUND"),
        ("machines/d/slots/9", {}, "SLOT_NOT_FOUND"),
        ("machines/d/slots/3", {}, "SLOT_EMPTY"),
        ("machines/d/slots/4", {}, "SLOT_DISABLED"),
        ("machines/d/slots/0", {}, "FIELD_INVALID"),
        ("machines/d/slots/100", {}, "FIELD_INVALID"),
        ("machines/d/slots/one", {}, "FIELD_INVALID"),
        ("machines/D/slots/1", {}, "FIELD_INVALID"),
        ("machines/d", {}, "FIELD_INVALID"),
        ("", {}, "FIELD_INVALID"),
        ("machines/d/slots/1", {"request_id": ""}, "FIELD_INVALID"),
        ("machines/d/slots/1", {"request_id": "x" * 65}, "FIELD_INVALID"),
        ("machines/d/slots/1", {"request_id": "a b"}, "FIELD_INVALID"),
        ("machines/d/slots/1", {"delay_s": -1.0}, "FIELD_INVALID"),
        ("machines/d/slots/1", {"delay_s": 301.0}, "FIELD_INVALID"),
        ("machines/d/slots/1", {"delay_s": 1.5}, "FIELD_INVALID"),
        ("machines/d/slots/1", {"price_ceiling": -1}, "FIELD_INVALID"),
        ("machines/d/slots/1", {"price_ceiling": PRICE - 1}, "PRICE_ABOVE_CEILING"),
    ],
)
def test_a_drop_that_cannot_be_is_refused(
    caller: Caller, slot: str, fields: dict[str, object], expected: str
) -> None:
    with refused(expected):
        caller.drop(slot, **fields)


def test_an_unaffordable_drop_is_refused(caller: Caller) -> None:
    with refused("INSUFFICIENT_CREDITS"):
        caller.poor.drop("d/1")


@pytest.mark.parametrize(("user", "password"), [(ALICE.name, "guess"), ("nobody", "guess")])
def test_a_wrong_login_is_refused_alike_whoever_it_is(
    caller: Caller, user: str, password: str
) -> None:
    with refused("CREDENTIALS_INVALID"):
        caller.login(user, password)


@pytest.mark.parametrize(
    ("recipient", "credits_", "expected"),
    [
        ("accounts/nobody", 1, "ACCOUNT_NOT_FOUND"),
        ("accounts/bob", 0, "FIELD_INVALID"),
        ("accounts/bob", -5, "FIELD_INVALID"),
        ("accounts/bob", 1_000_000, "INSUFFICIENT_CREDITS"),
        ("bob", 1, "FIELD_INVALID"),
    ],
)
def test_credits_go_nowhere_wrong(
    caller: Caller, recipient: str, credits_: int, expected: str
) -> None:
    with refused(expected):
        caller.transfer(recipient, credits_)


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer " + "x" * 4096])
def test_a_call_without_a_sound_token_is_refused(caller: Caller, token: str) -> None:
    request = drops.DropRequest(request_id=str(uuid.uuid4()), slot="machines/d/slots/1")
    with refused("TOKEN_INVALID"):
        caller.system.alice.drops.Drop(
            request, metadata=(("authorization", token),), timeout=LIMIT_S
        )


def test_bytes_that_are_no_message_are_refused(caller: Caller) -> None:
    with grpc.insecure_channel(caller.system.address) as channel:
        call: Any = channel.unary_unary("/drink.v1.DropService/Drop")
        with refused("FIELD_INVALID"):
            call(b"\xff\xff\xff", metadata=caller.system.alice.metadata, timeout=LIMIT_S)
        with refused("RESOURCE_EXHAUSTED"):
            call(bytes(1_000_000), metadata=caller.system.alice.metadata, timeout=LIMIT_S)
        with refused("UNIMPLEMENTED"):
            brew: Any = channel.unary_unary("/drink.v1.DropService/Brew")
            brew(b"", timeout=LIMIT_S)


class Session:
    """A session that is greeted, and logged in as a user if one is given."""

    def __init__(self, system: AuditedSystem, user: UserPlan | None = None) -> None:
        self._connection = socket.create_connection(
            ("127.0.0.1", system.session_port), timeout=LIMIT_S
        )
        self._replies = self._connection.makefile("rb")
        assert self._replies.readline() == b"OK Welcome to Big Drink\n"
        if user is not None:
            assert self.say(f"USER {user.name}\n".encode()) == b"OK Password required.\n"
            assert self.say(f"PASS {user.password}\n".encode()).startswith(b"OK Credits: ")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._replies.close()
        self._connection.close()

    def say(self, words: bytes) -> bytes:
        """Sends bytes and returns the line that answers them."""
        self._connection.sendall(words)
        return self._replies.readline()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (b"DROP 9\n", b"ERR 409 Invalid slot.\n"),
        (b"DROP one\n", b"ERR 409 Invalid slot.\n"),
        (b"DROP\n", b"ERR 406 Invalid parameters.\n"),
        (b"DROP 1 2 3\n", b"ERR 406 Invalid parameters.\n"),
        (b"DROP 1 -1\n", b"ERR 403 Invalid delay.\n"),
        (b"DROP 1 301\n", b"ERR 403 Invalid delay.\n"),
        (b"DROP 1 soon\n", b"ERR 403 Invalid delay.\n"),
        (b"DROP 3\n", b"ERR 100 Slot empty.\n"),
        (b"DROP 4\n", b"ERR 102 Slot disabled.\n"),
        (b"MACHINE x\n", b"ERR 0 Invalid machine.\n"),
        (b"ADDCREDITS alice 5\n", b"ERR 200 Access denied.\n"),
        (b"BREW\n", b"ERR 452 Invalid command.\n"),
        (b"DROP 1\x01\n", b"ERR 406 Invalid parameters.\n"),
        (b"\xc3\x28\n", b"ERR 406 Invalid parameters.\n"),
        (b"DROP " + b"1" * 600 + b"\n", b"ERR 406 Invalid parameters.\n"),
        (b"x" * 1_000_000 + b"\n", b"ERR 406 Invalid parameters.\n"),
    ],
    ids=lambda words: ascii(words[:16]),
)
def test_a_bad_line_gets_one_refusal_and_the_session_goes_on(
    caller: Caller, words: bytes, expected: bytes
) -> None:
    with Session(caller.system, ALICE) as session:
        assert session.say(words) == expected
        assert session.say(b"WHOAMI\n") == b"OK Username: alice\n"


def test_who_is_not_logged_in_or_cannot_pay_gets_nothing(caller: Caller) -> None:
    with Session(caller.system) as session:
        assert session.say(b"DROP 1\n") == b"ERR 204 You need to login.\n"
        assert session.say(b"PASS guess\n") == b"ERR 201 USER command needs to be issued first.\n"
        for user in (BOB.name, "nobody"):
            assert session.say(f"USER {user}\n".encode()) == b"OK Password required.\n"
            assert session.say(b"PASS guess\n") == b"ERR 202 Invalid username or password.\n"
    with Session(caller.system, POOR) as session:
        assert session.say(b"DROP 1\n") == b"ERR 203 User is poor.\n"


def port_of(system: AuditedSystem, name: str) -> int:
    """The port of the sessions, of gRPC, or the one that the board of ld dials."""
    return {
        "sessions": system.session_port,
        "grpc": system.rpc_port,
        "board": PLAN.machines[1].board_port,
    }[name]


def assert_everybody_is_served(system: AuditedSystem) -> None:
    """A buyer over gRPC and one in a session, at the machine with the port and at the other one."""
    started = time.monotonic()
    for slot in ("d/1", "ld/1"):
        assert outcome(system.alice.drop(slot)) == ("DISPENSED", "BOARD_ACK")
    with Session(system, ALICE) as session:
        assert session.say(b"DROP 1\n").startswith(b"OK Credits remaining: ")
    assert time.monotonic() - started < LIMIT_S


def open_files(system: AuditedSystem) -> int:
    """Files that the frontend and the agents have open."""
    processes = [system.frontend, *system.agents.values()]
    return sum(len(list(Path(f"/proc/{each.pid}/fd").iterdir())) for each in processes)


@pytest.mark.parametrize("port", ["sessions", "grpc", "board"])
def test_fault_8_junk_on_a_port_disturbs_nobody(system: AuditedSystem, port: str) -> None:
    chance = random.Random(port)
    files = open_files(system)
    with ExitStack() as connections:
        for size in (1, 10, 1_000, 100_000, 1_000_000):
            connection = connections.enter_context(
                socket.create_connection(("127.0.0.1", port_of(system, port)), timeout=LIMIT_S)
            )
            try:
                connection.sendall(chance.randbytes(size))
            except OSError:
                continue  # hung up on before the end
        assert_everybody_is_served(system)
    wait_until(lambda: open_files(system) <= files + 2, "the connections are gone", LIMIT_S)


@pytest.mark.parametrize("port", ["sessions", "grpc", "board"])
def test_fault_8_a_megabyte_without_a_line_end_disturbs_nobody(
    system: AuditedSystem, port: str
) -> None:
    with socket.create_connection(("127.0.0.1", port_of(system, port)), timeout=LIMIT_S) as flood:
        try:
            for _ in range(16):
                flood.sendall(b"x" * 65_536)
        except OSError:
            assert port != "sessions"
        assert_everybody_is_served(system)


@pytest.mark.parametrize("port", ["sessions", "grpc", "board"])
def test_fault_8_a_flood_of_silent_connections_disturbs_nobody(
    system: AuditedSystem, port: str
) -> None:
    files = open_files(system)
    with ExitStack() as connections:
        flood = [
            connections.enter_context(
                socket.create_connection(("127.0.0.1", port_of(system, port)), timeout=LIMIT_S)
            )
            for _ in range(300)
        ]
        assert_everybody_is_served(system)
        if port != "sessions":  # whose limit is five minutes
            for connection in flood:
                while connection.recv(4096):
                    pass
    wait_until(lambda: open_files(system) <= files + 2, "the connections are gone", LIMIT_S)
