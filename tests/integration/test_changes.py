"""What people change while drops are under way: prices, stock, accounts, machines, agents."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from drink.v1.account_service_pb2 import AddCreditsRequest, TransferCreditsRequest
from drink.v1.drop_service_pb2 import Drop
from drink.v1.machine_service_pb2 import Machine, Slot, UpdateSlotRequest
from scripts.client import Client
from scripts.plan import UserPlan
from scripts.processes import wait_until
from scripts.proxy import Way
from tests.integration.audited_system import COUPLE, PRICE, AuditedSystem, outcome, refused

CAROL = UserPlan("carol", "tr0ub4dor", 2 * PRICE + 30)

PLAN = replace(
    COUPLE,
    users=(*COUPLE.users, CAROL),
    # A stalled link has to outlast a command on a busy machine.
    frontend={"links": "heartbeat_interval_s = 60", "rpc": "keepalive_timeout_s = 60"},
    agent={"link": "backoff_slow_s = 0.2"},
)

SLOW_S = 2.0


@pytest.fixture
def carol(system: AuditedSystem) -> Iterator[Client]:
    """A buyer who can pay for two cans."""
    carol = system.client(CAROL)
    yield carol
    carol.close()


def update(system: AuditedSystem, **changes: Any) -> None:
    request = UpdateSlotRequest(name="machines/d/slots/2", **changes)
    system.root.call(system.root.machines.UpdateSlot, request)


def to_bob(credits_: int) -> TransferCreditsRequest:
    return TransferCreditsRequest(
        request_id=str(uuid.uuid4()), recipient="accounts/bob", credits=credits_
    )


def test_fault_54_a_drop_keeps_the_price_and_the_item_it_was_reserved_at(
    system: AuditedSystem,
) -> None:
    credits_ = system.alice.account().available_credits
    drop = system.alice.place("d/2", delay_s=1)
    update(system, price=PRICE + 30, item="Tonic", enabled=False)
    with refused("SLOT_DISABLED"):
        system.alice.drop("d/2")
    drop = system.alice.settled(drop.name)
    assert outcome(drop) == ("DISPENSED", "BOARD_ACK")
    assert (drop.item, drop.price) == ("Dew", PRICE)
    assert system.alice.account().available_credits == credits_ - PRICE
    update(system, price=PRICE, item="Dew", enabled=True)


def test_fault_54_a_reserved_item_is_not_counted_away(system: AuditedSystem) -> None:
    board, left = system.boards["d"], system.root.slot("d/2").available
    drop = system.alice.place("d/2", delay_s=1)
    update(system, available=0)
    board.ask(do="refill", slot=2, cans=1)
    with refused("SLOT_EMPTY"):
        system.alice.drop("d/2")
    assert outcome(system.alice.settled(drop.name))[0] == "DISPENSED"
    # The board's news of its slots comes by itself, and while they say empty nothing is available.
    wait_until(lambda: system.root.slot("d/2").sensor == Slot.SENSOR_EMPTY, "the slot is empty")
    update(system, available=left)
    board.ask(do="refill", slot=2, cans=left)
    wait_until(lambda: system.root.slot("d/2").available == left, "the slot is stocked again")


def test_fault_55_an_account_closed_with_a_drop_pending_pays_for_it(
    system: AuditedSystem, carol: Client
) -> None:
    drop = system.turning(SLOW_S, buyer=carol)
    system.admin("user", "change", CAROL.name, "--closed")
    with refused("TOKEN_INVALID"):
        carol.account()
    with refused("CREDENTIALS_INVALID"):
        system.client(CAROL)
    assert outcome(system.root.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert system.root.account(CAROL.name).held_credits == 0
    system.admin("user", "change", CAROL.name, "--open")
    system.client(CAROL).close()


def test_fault_55_held_credits_cannot_be_moved(system: AuditedSystem, carol: Client) -> None:
    free = carol.account().available_credits - PRICE
    drop = system.turning(SLOW_S, buyer=carol)
    with refused("INSUFFICIENT_CREDITS"):
        carol.call(carol.accounts.TransferCredits, to_bob(free + 1))
    taken = AddCreditsRequest(
        request_id=str(uuid.uuid4()), account=f"accounts/{CAROL.name}", credits=-(free + 1)
    )
    with refused("INSUFFICIENT_CREDITS"):
        system.root.call(system.root.accounts.AddCredits, taken)
    carol.call(carol.accounts.TransferCredits, to_bob(free))
    assert outcome(carol.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert carol.account().posted_credits == 0


def test_fault_56_a_machine_taken_out_of_service_ends_what_it_began(system: AuditedSystem) -> None:
    drop = system.turning(SLOW_S)
    system.links.stall(Way.UP)
    waiting = system.alice.place("d/2")
    system.admin("machine", "change", "d", "--disabled")
    with refused("MACHINE_DISABLED"):
        system.alice.drop("d/1")
    system.links.flow()
    assert outcome(system.alice.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert system.alice.get(waiting.name).state == Drop.STATE_RESERVED
    system.admin("machine", "change", "d", "--enabled")
    assert outcome(system.alice.settled(waiting.name)) == ("DISPENSED", "BOARD_ACK")


def test_fault_56_a_replaced_agents_token_gives_no_more_commands(system: AuditedSystem) -> None:
    """The present link may still report, the next one needs the new token."""
    drop, agent, token = system.turning(SLOW_S), system.agents["d"], system.folder / "d.token"
    waiting = system.alice.place("d/2")
    system.admin("machine", "token", "d", "--output=new.token")
    agent.wait_for("link_lost", reason="TOKEN_INVALID")
    (system.folder / "new.token").replace(token)
    for each in (drop, waiting):
        assert outcome(system.alice.settled(each.name)) == ("DISPENSED", "BOARD_ACK")


def test_fault_56_a_replaced_board_is_found_by_its_name(system: AuditedSystem) -> None:
    board = system.boards["d"]
    board.process.kill()
    system.wait_reach(Machine.REACH_BOARD_DOWN, "d")
    with refused("BOARD_UNREACHABLE"):
        system.alice.drop("d/1")
    board.start()
    system.wait_ready("d")
    assert outcome(system.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")
