"""The contract of `Changes` and `Subscription`."""

import asyncio
from collections.abc import Callable

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Account, Drop, LinkOwnership, Reach
from drink_frontend.domain.errors import SlotEmptyError
from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.domain.ledger import FUNDING_ACCOUNT, sales_account
from drink_frontend.domain.stock import Place, Sensor
from drink_frontend.storage.changes import (
    RECENT_MAX,
    ChangeSet,
    ElsewhereSubscription,
    Subscription,
)
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.contract.storage.conftest import OpenStorage
from tests.support.books import NOW, add_account, add_machine, advance, found, fund, reserve
from tests.support.books import drop as order
from tests.support.ids import ALICE, BOB, id_of

LIMIT_S = 20


async def _woken(subscription: Subscription) -> None:
    async with asyncio.timeout(LIMIT_S):
        await subscription.changed()


async def _asleep(storage: Database, subscription: Subscription | ElsewhereSubscription) -> None:
    """Fails if a wake-up is pending; commits have fired all they fire when `write` returns."""
    await storage.write(lambda _: None)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await subscription.changed()


async def test_a_drop_wakes_who_listens_to_it_and_nobody_else(house: Database) -> None:
    changes = house.changes
    with changes.drop(order(1).id) as first, changes.drop(order(2).id) as second:
        await house.write(lambda tx: reserve(tx, order(1)))
        await _woken(first)
        await _asleep(house, first)
        await house.write(lambda tx: advance(tx, order(1).id, State.DISPATCHED, Cause.NONE))
        await _woken(first)
        await _asleep(house, second)


def _handed_on(storage: Database, drop: Drop) -> Drop | None:
    """Where other processes commit too, each reads what is committed last."""
    return None if storage.shared else drop


async def test_a_drop_is_handed_to_who_listens_as_it_was_committed(house: Database) -> None:
    placed = await house.write(lambda tx: tx.drops.add(order(1)))
    assert placed == await house.read(lambda tx: tx.drops.get(order(1).id))
    with house.changes.drop(order(1).id) as first, house.changes.drop(order(2).id) as second:
        assert first.latest == _handed_on(house, placed)
        assert second.latest is None
        assert house.changes.is_followed(order(1).id)
    assert not house.changes.is_followed(order(1).id)


async def test_accounts_are_handed_on_as_they_were_committed(house: Database) -> None:
    handed_on: dict[str, Account | None] = {}

    def hear(changed: ChangeSet | None) -> None:
        assert changed is not None
        handed_on.update(changed.accounts)

    house.changes.add_listener(hear)

    def pay_and_promote(tx: Transaction) -> None:
        fund(tx, ALICE, 7, "gift")
        fund(tx, ALICE, 1, "another")
        tx.accounts.update(BOB, admin=True)

    await house.write(pay_and_promote)
    alice = await house.read(lambda tx: tx.accounts.get(ALICE))
    # Balances of the house are changed without being read.
    rows = {ALICE: alice, FUNDING_ACCOUNT: None, BOB: None}
    assert handed_on == (dict.fromkeys(rows) if house.shared else rows)


async def test_a_unit_that_was_undone_hands_nothing_on(house: Database) -> None:
    placed = await house.write(lambda tx: reserve(tx, order(1)))

    def fail(tx: Transaction) -> None:
        advance(tx, order(1).id, State.DISPATCHED, Cause.NONE)
        raise SlotEmptyError("the slot is empty")

    with house.changes.drop(order(1).id) as subscription:
        with pytest.raises(SlotEmptyError):
            await house.write(fail)
        assert subscription.latest == _handed_on(house, placed)


async def test_what_another_process_may_have_changed_is_to_be_read(house: Database) -> None:
    await house.write(lambda tx: reserve(tx, order(1)))
    await house.write(lambda tx: reserve(tx, order(2)))
    with house.changes.drop(order(1).id) as first, house.changes.drop(order(2).id) as second:
        house.changes.publish_remote(ChangeSet(drops={order(1).id: None}))
        assert first.latest is None
        assert (second.latest is None) == house.shared
        house.changes.publish_remote(None)
        assert second.latest is None


async def test_the_drops_that_are_remembered_have_a_bound(house: Database) -> None:
    placed = await house.write(lambda tx: reserve(tx, order(1)))
    with house.changes.drop(placed.id) as subscription:
        others = {str(number): placed for number in range(RECENT_MAX - 1)}
        house.changes.publish(ChangeSet(drops=dict(others)))
        assert subscription.latest == _handed_on(house, placed)
        house.changes.publish(ChangeSet(drops={"one more": placed}))
        assert subscription.latest is None


async def test_changes_since_the_last_wait_are_one_wake_up(house: Database) -> None:
    with house.changes.drop(order(1).id) as subscription:
        await house.write(lambda tx: reserve(tx, order(1)))
        await house.write(lambda tx: advance(tx, order(1).id, State.DISPATCHED, Cause.NONE))
        await _woken(subscription)
        await _asleep(house, subscription)


async def test_no_wake_up_is_lost_between_looking_and_waiting(house: Database) -> None:
    """The loop that every waiter runs ends, wherever the change falls."""
    await house.write(lambda tx: reserve(tx, order(1)))

    async def settled() -> None:
        with house.changes.drop(order(1).id) as subscription:
            while True:
                drop = await house.read(lambda tx: tx.drops.get(order(1).id))
                assert drop is not None
                if drop.state.final:
                    return
                await subscription.changed()

    waiters = [asyncio.create_task(settled()) for _ in range(20)]
    for _ in range(3):
        await asyncio.sleep(0)
    await house.write(lambda tx: advance(tx, order(1).id, State.DISPATCHED, Cause.NONE))
    await house.write(lambda tx: advance(tx, order(1).id, State.DISPENSED, Cause.BOARD_ACK))
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(*waiters)


async def test_a_unit_that_was_undone_wakes_nobody(house: Database) -> None:
    def unit(tx: Transaction) -> None:
        reserve(tx, order(1))
        raise SlotEmptyError("empty")

    with house.changes.drop(order(1).id) as drop, house.changes.machine("d") as machine:
        with pytest.raises(SlotEmptyError):
            await house.write(unit)
        await _asleep(house, drop)
        await _asleep(house, machine)


@pytest.mark.parametrize(
    "change",
    [
        lambda tx: tx.machines.update("d", enabled=False),
        lambda tx: tx.machines.add_slot("d", 3, "Tea", 50, NOW),
        lambda tx: tx.machines.update_slot("d", 1, NOW, sensor=Sensor.EMPTY),
        lambda tx: tx.machines.move_item("d", 1, Place.ON_HAND, Place.RESERVED, NOW),
        lambda tx: tx.machines.set_temperature("d", 3.5, NOW),
        lambda tx: tx.machines.open_link("d", "journal", 0, "F", Reach.READY, now_ms=NOW),
        lambda tx: tx.machines.retire_link("d", NOW),
        lambda tx: tx.machines.keep_ownership(LinkOwnership("d", 1, "F", Reach.BOARD_DOWN), NOW),
    ],
)
async def test_whatever_is_shown_of_a_machine_wakes_its_listeners(
    house: Database, change: Callable[[Transaction], None]
) -> None:
    await house.write(lambda tx: add_machine(tx, "s"))
    changes = house.changes
    with changes.machine("d") as one, changes.machine(None) as any_one, changes.machine("s") as no:
        await house.write(change)
        await _woken(one)
        await _woken(any_one)
        await _asleep(house, no)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda tx: add_account(tx, "eve"), {id_of("eve")}),
        (lambda tx: tx.accounts.update(ALICE, admin=True), {ALICE}),
        (lambda tx: fund(tx, ALICE, 5, request_id="more"), {ALICE, FUNDING_ACCOUNT}),
        (lambda tx: reserve(tx, order(1)), {ALICE, sales_account("d")}),
    ],
)
async def test_whatever_is_shown_of_an_account_is_told_before_its_commit_is_answered(
    house: Database, change: Callable[[Transaction], None], names: set[str]
) -> None:
    told: set[str] = set()

    def tell(changed: ChangeSet | None) -> None:
        assert changed is not None
        told.update(changed.accounts)

    house.changes.add_listener(tell)
    await house.write(change)
    assert told == names


async def test_an_account_that_another_process_changed_is_told_of(
    open_storage: OpenStorage,
) -> None:
    async with open_storage() as here, open_storage(beside=True) as there:
        await here.write(found)
        heard = asyncio.Event()

        def tell(changed: ChangeSet | None) -> None:
            if changed is None or ALICE in changed.accounts:
                heard.set()

        here.changes.add_listener(tell)
        await there.write(lambda tx: tx.accounts.update(ALICE, admin=True))
        async with asyncio.timeout(LIMIT_S):
            await heard.wait()


async def test_a_new_machine_wakes_who_listens_to_all(storage: Database) -> None:
    with storage.changes.machine(None) as subscription:
        await storage.write(lambda tx: tx.machines.add("d", "Big Drink", ""))
        await _woken(subscription)


async def test_what_is_shown_to_nobody_wakes_nobody(house: Database) -> None:
    await house.write(lambda tx: reserve(tx, order(1)))
    with house.changes.machine(None) as machines, house.changes.drop(order(1).id) as drop:
        await house.write(lambda tx: tx.machines.saw_journal("d", "journal-d", 9))
        await house.write(lambda tx: tx.drops.saw_revision(order(1).id, 9))
        await house.write(lambda tx: fund(tx, ALICE, 1, "gift"))
        await house.write(
            lambda tx: tx.machines.keep_ownership(LinkOwnership("d", 0, "F", Reach.READY), NOW)
        )
        await house.write(lambda tx: tx.frontends.beat(FrontendInstance("F", "here", "1", NOW)))
        await _asleep(house, machines)
        await _asleep(house, drop)


async def test_who_stopped_listening_is_forgotten(house: Database) -> None:
    with house.changes.drop(order(1).id), house.changes.drop(order(1).id) as stays:
        pass
    with house.changes.drop(order(1).id) as listens:
        await house.write(lambda tx: reserve(tx, order(1)))
        await _woken(listens)
        await _asleep(house, stays)


async def test_what_another_process_changes_wakes_who_waits_for_it(
    open_storage: OpenStorage,
) -> None:
    async with open_storage() as storage:
        await storage.write(found)
        await storage.write(lambda tx: reserve(tx, order(1)))
        changes = storage.changes
        with (
            changes.elsewhere() as elsewhere,
            changes.drop(order(1).id) as drop,
            changes.machine("d") as machine,
        ):
            await storage.write(lambda tx: fund(tx, ALICE, 1, "own"))
            await _asleep(storage, elsewhere)
            async with open_storage(beside=True) as beside:
                await beside.write(
                    lambda tx: advance(tx, order(1).id, State.NOT_DISPENSED, Cause.CANCELLED)
                )
            async with asyncio.timeout(LIMIT_S):
                machines = await elsewhere.changed()
            assert machines is None or "d" in machines
            await _woken(drop)
            await _woken(machine)
            await _asleep(storage, elsewhere)


async def test_a_drop_that_waits_again_is_its_machines_news(house: Database) -> None:
    """Whoever has the machine's link may be another than who returned the drop to its queue."""
    await house.write(lambda tx: reserve(tx, order(1)))
    await house.write(lambda tx: advance(tx, order(1).id, State.DISPATCHED, Cause.NONE))
    with house.changes.machine("d") as machine:
        await house.write(lambda tx: advance(tx, order(1).id, State.RESERVED, Cause.NOT_RECEIVED))
        await _woken(machine)
