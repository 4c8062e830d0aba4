"""What the network does between a buyer and the frontend never costs a second can or charge."""

import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace

import grpc
import pytest

from drink.v1.drop_service_pb2 import Drop, DropRequest
from scripts.client import Client
from scripts.processes import wait_until
from scripts.proxy import FaultProxy, Way
from tests.integration.audited_system import (
    ALICE,
    COUPLE,
    PRICE,
    AuditedSystem,
    outcome,
    reason,
    refused,
)

PLAN = replace(COUPLE, motor_s=0.2)

LIMIT_S = 30


@pytest.fixture
def network(system: AuditedSystem) -> Iterator[FaultProxy]:
    """What is between the buyer and the frontend."""
    with FaultProxy(system.rpc_port) as network:
        yield network


@pytest.fixture
def buyer(network: FaultProxy) -> Iterator[Client]:
    """A buyer behind the network."""
    buyer = Client(f"127.0.0.1:{network.port}", ALICE.name, ALICE.password)
    yield buyer
    buyer.close()


def request() -> DropRequest:
    return DropRequest(request_id=str(uuid.uuid4()), slot="machines/d/slots/1")


def send(buyer: Client, drop: DropRequest) -> tuple[str, str]:
    """The drop's outcome, asked for until there is an answer."""

    def answer() -> Drop | None:
        try:
            return buyer.call(buyer.drops.Drop, drop).drop
        except grpc.RpcError as error:
            # What the network did to the connection before may only be noticed now.
            if reason(error) != "UNAVAILABLE":
                raise
            return None

    return outcome(wait_until(answer, "an answer"))


def give_up(buyer: Client, drop: DropRequest, after_s: float) -> None:
    """Asks for the drop, and waits in vain for its outcome."""
    with refused("DEADLINE_EXCEEDED"):
        buyer.drops.Drop(drop, metadata=buyer.metadata, timeout=after_s)


def drops_of(system: AuditedSystem, drop: DropRequest) -> int:
    listed = system.alice.recent()
    return sum(each.request_id == drop.request_id for each in listed)


@pytest.mark.parametrize("bytes_passed", [0, 1, 40])
def test_fault_1_a_request_that_is_lost_or_torn_is_sent_again(
    system: AuditedSystem, network: FaultProxy, buyer: Client, bytes_passed: int
) -> None:
    runs, drop = system.runs("d"), request()
    network.swallow_after(bytes_passed, Way.UP)
    give_up(buyer, drop, 0.5)
    assert drops_of(system, drop) == 0
    network.cut()
    assert send(buyer, drop) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 1


@pytest.mark.parametrize("bytes_passed", [0, 20])
def test_fault_2_a_reply_that_is_lost_or_torn_is_given_again(
    system: AuditedSystem, network: FaultProxy, buyer: Client, bytes_passed: int
) -> None:
    runs, drop = system.runs("d"), request()
    network.swallow_after(bytes_passed, Way.DOWN)
    give_up(buyer, drop, 1)
    network.cut()
    assert send(buyer, drop) == ("DISPENSED", "BOARD_ACK")
    assert drops_of(system, drop) == 1
    assert system.runs("d") == runs + 1


def test_fault_2_a_connection_reset_in_mid_drop_costs_nothing(
    system: AuditedSystem, network: FaultProxy, buyer: Client
) -> None:
    runs, drop = system.runs("d"), request()
    call = buyer.drops.Drop.future(drop, metadata=buyer.metadata, timeout=LIMIT_S)
    system.wait_for_motor("d", runs + 1)
    network.cut()
    with refused("UNAVAILABLE"):
        call.result()
    assert send(buyer, drop) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 1


def test_a_slow_network_changes_nothing(
    system: AuditedSystem, network: FaultProxy, buyer: Client
) -> None:
    runs = system.runs("d")
    network.delay(0.3)
    assert send(buyer, request()) == ("DISPENSED", "BOARD_ACK")
    assert system.runs("d") == runs + 1


def test_fault_5_a_buyer_killed_after_asking_gets_the_can_and_pays(system: AuditedSystem) -> None:
    runs, credits_ = system.runs("d"), system.alice.account().available_credits
    program = ["-m", "scripts.demo.buy", system.address, ALICE.name, ALICE.password, "d/1"]
    with subprocess.Popen([sys.executable, *program], stdout=subprocess.DEVNULL) as buyer:
        system.wait_for_motor("d", runs + 1)
        buyer.kill()
    drop = system.alice.recent()[0]
    assert outcome(system.alice.answered(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert system.alice.account().available_credits == credits_ - PRICE


@pytest.mark.parametrize("deadline_ms", [1, 5, 10, 20, 50, 100, 200])
def test_fault_6_a_deadline_ends_the_wait_and_not_the_drop(
    system: AuditedSystem, deadline_ms: int
) -> None:
    runs, drop = system.runs("d"), request()
    with pytest.raises(grpc.RpcError):
        system.alice.drops.Drop(drop, metadata=system.alice.metadata, timeout=deadline_ms / 1000)
    assert send(system.alice, drop) == ("DISPENSED", "BOARD_ACK")
    assert drops_of(system, drop) == 1
    assert system.runs("d") == runs + 1


@pytest.mark.parametrize("how", ["reset", "close", "quit"])
def test_fault_7_a_session_that_ends_during_a_drop_gets_the_can_and_pays(
    system: AuditedSystem, how: str
) -> None:
    runs, credits_ = system.runs("d"), system.alice.account().available_credits
    with (
        FaultProxy(system.session_port) as network,
        socket.create_connection(("127.0.0.1", network.port), timeout=LIMIT_S) as session,
    ):
        session.sendall(f"USER {ALICE.name}\nPASS {ALICE.password}\nDROP 1\n".encode())
        system.wait_for_motor("d", runs + 1)
        match how:
            case "reset":
                network.cut()
            case "quit":
                session.sendall(b"QUIT\n")
                words = b"".join(iter(lambda: session.recv(4096), b""))
                assert words.endswith(
                    f"OK Credits remaining: {credits_ - PRICE}\nOK Disconnecting.\n".encode()
                )

    def paid() -> bool:
        account = system.alice.account()
        return account.posted_credits == credits_ - PRICE and not account.held_credits

    wait_until(paid, "the drop is paid")
    assert system.runs("d") == runs + 1
