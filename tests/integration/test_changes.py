"""What people change while drops are under way: prices, stock, accounts, machines, agents."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from drink.v1.account_service_pb2 import AddCreditsRequest, TransferCreditsRequest
from drink.v1.drop_service_pb2 import Drop
from drink.v1.machine_service_pb2 import Machine, UpdateSlotRequest
from scripts.client import Client
from scripts.plan import UserPlan
from scripts.proxy import Way
from tests.integration.house import COUPLE, PRICE, House, outcome, refused

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
def carol(house: House) -> Iterator[Client]:
    """A buyer who can pay for two cans."""
    carol = house.client(CAROL)
    yield carol
    carol.close()


def update(house: House, **changes: Any) -> None:
    request = UpdateSlotRequest(name="machines/d/slots/2", **changes)
    house.root.call(house.root.machines.UpdateSlot, request)


def to_bob(credits_: int) -> TransferCreditsRequest:
    return TransferCreditsRequest(
        request_id=str(uuid.uuid4()), recipient="accounts/bob", credits=credits_
    )


def test_fault_54_a_drop_keeps_the_price_and_the_item_it_was_reserved_at(house: House) -> None:
    credits_ = house.alice.account().available_credits
    drop = house.alice.place("d/2", delay_s=1)
    update(house, price=PRICE + 30, item="Tonic", enabled=False)
    with refused("SLOT_DISABLED"):
        house.alice.drop("d/2")
    drop = house.alice.settled(drop.name)
    assert outcome(drop) == ("DISPENSED", "BOARD_ACK")
    assert (drop.item, drop.price) == ("Dew", PRICE)
    assert house.alice.account().available_credits == credits_ - PRICE
    update(house, price=PRICE, item="Dew", enabled=True)


def test_fault_54_a_reserved_item_is_not_counted_away(house: House) -> None:
    board, left = house.boards["d"], house.root.slot("d/2").available
    drop = house.alice.place("d/2", delay_s=1)
    update(house, available=0)
    board.ask(do="refill", slot=2, cans=1)
    with refused("SLOT_EMPTY"):
        house.alice.drop("d/2")
    assert outcome(house.alice.settled(drop.name))[0] == "DISPENSED"
    update(house, available=left)
    board.ask(do="refill", slot=2, cans=left)


def test_fault_55_an_account_closed_with_a_drop_pending_pays_for_it(
    house: House, carol: Client
) -> None:
    drop = house.turning(SLOW_S, buyer=carol)
    house.admin("user", "change", CAROL.name, "--closed")
    with refused("TOKEN_INVALID"):
        carol.account()
    with refused("CREDENTIALS_INVALID"):
        house.client(CAROL)
    assert outcome(house.root.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert house.root.account(CAROL.name).held_credits == 0
    house.admin("user", "change", CAROL.name, "--open")
    house.client(CAROL).close()


def test_fault_55_held_credits_cannot_be_moved(house: House, carol: Client) -> None:
    free = carol.account().available_credits - PRICE
    drop = house.turning(SLOW_S, buyer=carol)
    with refused("INSUFFICIENT_CREDITS"):
        carol.call(carol.accounts.TransferCredits, to_bob(free + 1))
    taken = AddCreditsRequest(
        request_id=str(uuid.uuid4()), account=f"accounts/{CAROL.name}", credits=-(free + 1)
    )
    with refused("INSUFFICIENT_CREDITS"):
        house.root.call(house.root.accounts.AddCredits, taken)
    carol.call(carol.accounts.TransferCredits, to_bob(free))
    assert outcome(carol.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert carol.account().posted_credits == 0


def test_fault_56_a_machine_taken_out_of_service_ends_what_it_began(house: House) -> None:
    drop = house.turning(SLOW_S)
    house.links.stall(Way.UP)
    waiting = house.alice.place("d/2")
    house.admin("machine", "change", "d", "--disabled")
    with refused("MACHINE_DISABLED"):
        house.alice.drop("d/1")
    house.links.flow()
    assert outcome(house.alice.settled(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert house.alice.get(waiting.name).state == Drop.STATE_RESERVED
    house.admin("machine", "change", "d", "--enabled")
    assert outcome(house.alice.settled(waiting.name)) == ("DISPENSED", "BOARD_ACK")


def test_fault_56_a_replaced_agents_token_gives_no_more_commands(house: House) -> None:
    """The present link may still report, the next one needs the new token."""
    drop, agent, token = house.turning(SLOW_S), house.agents["d"], house.folder / "d.token"
    waiting = house.alice.place("d/2")
    house.admin("machine", "token", "d", "--output=new.token")
    agent.wait_for("link_lost", reason="TOKEN_INVALID")
    (house.folder / "new.token").replace(token)
    for each in (drop, waiting):
        assert outcome(house.alice.settled(each.name)) == ("DISPENSED", "BOARD_ACK")


def test_fault_56_a_replaced_board_is_found_by_its_name(house: House) -> None:
    board = house.boards["d"]
    board.process.kill()
    house.wait_reach(Machine.REACH_BOARD_DOWN, "d")
    with refused("BOARD_UNREACHABLE"):
        house.alice.drop("d/1")
    board.start()
    house.wait_ready("d")
    assert outcome(house.alice.drop("d/1")) == ("DISPENSED", "BOARD_ACK")
