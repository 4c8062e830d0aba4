"""Items: their administration, and the slots that sell them."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import (
    AlreadyExistsError,
    DrinkError,
    FieldInvalidError,
    ItemNotFoundError,
    ItemSoldError,
    SlotSellsItemError,
    TooManyItemsError,
)
from drink_frontend.domain.items import ITEM_NUMBER_MAX, ITEMS_MAX, NO_ITEM, Item
from drink_frontend.storage.database import Database
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.items import Items
from drink_frontend.usecases.machines import Machines
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import CountingRandomness
from tests.support.bench import Bench
from tests.support.books import open_house
from tests.support.databases import fresh_sqlite
from tests.support.ids import ALICE, ANN, ROOT
from tests.support.postgres import fresh_postgres


async def cola(bench: Bench, **terms: Any) -> Item:
    """An item that slot 1 of machine d sells."""
    item = await bench.items.create(ROOT, "Cola", 60, **terms)
    await bench.change_slot("d", 1, sold_item=item.number)
    return item


async def test_items_get_numbers_in_order_or_the_wanted_one(bench: Bench) -> None:
    made = [
        await bench.items.create(ROOT, "Coke", 50, number=number, barcode=barcode)
        for number, barcode in ((None, "4001234"), (70, ""), (None, ""))
    ]
    assert [each.number for each in made] == [1, 70, 71]
    assert [each.barcode for each in made] == ["4001234", None, None]
    assert await bench.items.list(limit=9) == made
    assert await bench.items.list(barcode="4001234", limit=9) == made[:1]
    assert await bench.items.get(70) == made[1]
    assert made[0].created_ms == made[0].updated_ms == bench.clock.now_ms()


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"name": ""}, "display_name"),
        ({"name": "x" * 65}, "display_name"),
        ({"name": " Tea"}, "display_name"),
        ({"name": 'T"ea'}, "display_name"),
        ({"name": "T\x07ea"}, "display_name"),
        ({"name": "T\u202eea"}, "display_name"),
        ({"price": -1}, "price"),
        ({"price": 1_000_001}, "price"),
        ({"price": 2**63 - 1}, "price"),
        ({"barcode": "12345"}, "barcode"),
        ({"barcode": "1" * 65}, "barcode"),
        ({"barcode": "400123\n"}, "barcode"),
        ({"barcode": "ä" * 8}, "barcode"),
    ],
)
async def test_a_wrong_value_is_refused(bench: Bench, terms: dict[str, Any], field: str) -> None:
    item = await bench.items.create(ROOT, "Tea", 30)
    for refused in (
        bench.items.create(ROOT, **{"name": "Coke", "price": 1, **terms}),
        bench.items.change(ROOT, item.number, **terms),
    ):
        with pytest.raises(FieldInvalidError) as error:
            await refused
        assert error.value.facts == {"field": field}
    assert await bench.items.list(limit=9) == [item]


@pytest.mark.parametrize("number", [0, -1, ITEM_NUMBER_MAX + 1, 2**63])
async def test_a_wrong_number_is_refused(bench: Bench, number: int) -> None:
    with pytest.raises(FieldInvalidError):
        await bench.items.create(ROOT, "Coke", 1, number=number)


async def test_numbers_and_barcodes_are_given_once(bench: Bench) -> None:
    one = await bench.items.create(ROOT, "Coke", 50, number=5, barcode="4001234")
    two = await bench.items.create(ROOT, "Tea", 50)
    for refused in (
        bench.items.create(ROOT, "Mate", 1, number=5),
        bench.items.create(ROOT, "Mate", 1, barcode="4001234"),
        bench.items.change(ROOT, two.number, barcode="4001234"),
    ):
        with pytest.raises(AlreadyExistsError):
            await refused
    assert await bench.items.change(ROOT, 5, barcode="4001234", price=50) == one
    assert (await bench.items.change(ROOT, 5, barcode="")).barcode is None
    assert (await bench.items.change(ROOT, two.number, barcode="4001234")).barcode == "4001234"


async def test_after_the_highest_number_it_has_to_be_given(bench: Bench) -> None:
    await bench.items.create(ROOT, "Coke", 1, number=ITEM_NUMBER_MAX)
    with pytest.raises(FieldInvalidError):
        await bench.items.create(ROOT, "Tea", 1)
    assert (await bench.items.create(ROOT, "Tea", 1, number=2)).number == 2


async def test_there_are_so_many_items_and_no_more(bench: Bench) -> None:
    def fill(tx: Transaction) -> None:
        for number in range(1, ITEMS_MAX + 1):
            tx.items.add(Item(number, "Coke", None, 1, 0, 0))

    await bench.storage.write(fill)
    with pytest.raises(TooManyItemsError) as error:
        await bench.items.create(ROOT, "Tea", 1)
    assert error.value.facts == {"items_max": ITEMS_MAX}
    await bench.items.delete(ROOT, 9)
    await bench.items.create(ROOT, "Tea", 1)


async def test_a_slot_that_sells_an_item_follows_it(bench: Bench) -> None:
    item = await cola(bench)
    order = await bench.place()
    bench.clock.pass_s(1)
    changed = await bench.items.change(ROOT, item.number, name="Cola Zero", price=70)

    slot = await bench.slot()
    assert (slot.item, slot.price, slot.item_number) == ("Cola Zero", 70, item.number)
    assert slot.updated_ms == changed.updated_ms == bench.clock.now_ms()
    assert (await bench.slot("ld", 1)).price == 50
    kept = await bench.drop(order.id)
    assert (kept.item, kept.price) == ("Cola", 60)
    assert await bench.credits() == (200, 60)
    assert (await bench.place("r2")).price == 70


async def test_a_new_barcode_leaves_the_slots_alone(bench: Bench) -> None:
    item = await cola(bench)
    before = await bench.slot()
    bench.clock.pass_s(1)
    await bench.items.change(ROOT, item.number, barcode="4001234")
    assert await bench.slot() == before


async def test_the_slot_has_no_other_name_or_price_than_its_item(bench: Bench) -> None:
    item = await cola(bench)
    tea = await bench.items.create(ROOT, "Tea", 30)
    before = await bench.slot()
    for terms in (
        {"item": "Coke"},
        {"price": 50},
        {"item": "Cola", "price": 61},
        {"sold_item": item.number, "price": 50},
        {"sold_item": tea.number, "item": "Cola"},
    ):
        with pytest.raises(SlotSellsItemError) as error:
            await bench.change_slot("d", 1, available=9, **terms)
        assert str(error.value.facts["item"]).startswith("items/")
    assert await bench.slot() == before

    same = await bench.change_slot("d", 1, item="Cola", price=60, available=9, enabled=False)
    assert (same.item_number, same.on_hand, same.enabled) == (item.number, 9, False)
    other = await bench.change_slot("d", 1, sold_item=tea.number, item="Tea", price=30)
    assert (other.item, other.price, other.item_number) == ("Tea", 30, tea.number)
    with pytest.raises(ItemNotFoundError):
        await bench.change_slot("d", 1, sold_item=404)
    own = await bench.change_slot("d", 1, sold_item=NO_ITEM, price=31)
    assert (own.item, own.price, own.item_number) == ("Tea", 31, None)


async def test_where_it_may_another_name_or_price_removes_the_link(bench: Bench) -> None:
    item = await cola(bench)
    same = await bench.change_slot("d", 1, item="Cola", price=60, replaces_item=True)
    assert same.item_number == item.number
    own = await bench.change_slot("d", 1, item="Cola", price=61, replaces_item=True)
    assert (own.item, own.price, own.item_number) == ("Cola", 61, None)
    await bench.items.change(ROOT, item.number, price=1)
    assert await bench.slot() == own


async def test_a_slot_is_made_with_an_item(bench: Bench) -> None:
    item = await bench.items.create(ROOT, "Cola", 60)
    slot = await bench.machines.create_slot(ROOT, "d", 3, sold_item=item.number, available=4)
    assert (slot.item, slot.price, slot.item_number, slot.on_hand) == ("Cola", 60, 1, 4)
    for terms in ({"item": "Cola"}, {"price": 60}):
        with pytest.raises(FieldInvalidError):
            await bench.machines.create_slot(ROOT, "d", 4, sold_item=item.number, **terms)
    with pytest.raises(FieldInvalidError):
        await bench.machines.create_slot(ROOT, "d", 4)
    with pytest.raises(ItemNotFoundError):
        await bench.machines.create_slot(ROOT, "d", 4, sold_item=404)
    assert len((await bench.machines.get("d")).slots) == 3


async def test_an_item_is_deleted_once_no_slot_sells_it(bench: Bench) -> None:
    item = await cola(bench)
    with pytest.raises(ItemSoldError) as error:
        await bench.items.delete(ROOT, item.number)
    assert error.value.facts == {"slots": 1}
    await bench.change_slot("d", 1, sold_item=NO_ITEM)
    await bench.items.delete(ROOT, item.number)
    for missing in (
        bench.items.get(item.number),
        bench.items.delete(ROOT, item.number),
        bench.items.change(ROOT, item.number, price=1),
    ):
        with pytest.raises(ItemNotFoundError):
            await missing
    assert (await bench.slot()).item == "Cola"


async def test_a_slot_that_is_deleted_sells_no_item(bench: Bench) -> None:
    root, item = await bench.account("root"), await cola(bench)
    await bench.change_slot("d", 1, available=0)
    await bench.machines.delete_slot(root, "d", 1)
    await bench.items.delete(ROOT, item.number)
    again = await bench.machines.create_slot(ROOT, "d", 1, item="Mate", price=20)
    assert (again.item, again.price, again.item_number) == ("Mate", 20, None)
    assert await bench.storage.verify() == []


async def test_every_change_is_in_the_audit_log(bench: Bench) -> None:
    item = await cola(bench)
    await bench.items.change(ANN, item.number, price=61)
    await bench.change_slot("d", 1, sold_item=NO_ITEM)
    await bench.items.delete(ROOT, item.number)
    records = await bench.audit(AuditKind.ITEM_CHANGED)
    first = {"name": "Cola", "price": 60, "barcode": None}
    then = {**first, "price": 61}
    assert [(each.actor, each.facts) for each in records] == [
        ("root", {"item_number": 1, "to": first}),
        ("ann", {"item_number": 1, "from": first, "to": then, "slots": 1}),
        ("root", {"item_number": 1, "from": then}),
    ]
    linked, unlinked = (await bench.audit(AuditKind.STOCK_CHANGED))[-2:]
    assert linked.facts["to"]["item_number"] == 1
    assert "item_number" not in unlinked.facts["to"]


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> StorageSettings:
    return fresh_sqlite(tmp_path) if request.param == "sqlite" else fresh_postgres()


async def test_two_administrators_at_once_change_what_each_has_given(
    settings: StorageSettings,
) -> None:
    async with open_house(settings) as house, Database.open(settings, beside=True) as beside:
        clock = FakeClock()
        here, there = Items(house, clock), Items(beside, clock)
        item = await here.create("root", "Cola", 60)
        machines = Machines(house, clock, CountingRandomness("M"))
        alice = await house.read(lambda tx: tx.accounts.get(ALICE))
        assert alice is not None
        root = replace(alice, admin=True)
        await machines.update_slot(root, "d", 1, sold_item=item.number)
        for round_ in range(10):
            name, price = f"Cola {round_}", 61 + round_
            await asyncio.gather(
                here.change("root", item.number, name=name),
                there.change("other", item.number, price=price),
            )
            slot = await house.read(lambda tx: tx.machines.slot("d", 1))
            assert slot is not None
            assert (slot.item, slot.price) == (name, price)
        assert await house.verify() == []


async def test_an_item_that_a_slot_begins_to_sell_is_sold_or_gone(
    settings: StorageSettings,
) -> None:
    async with open_house(settings) as house, Database.open(settings, beside=True) as beside:
        clock = FakeClock()
        items, machines = Items(house, clock), Machines(beside, clock, CountingRandomness("M"))
        alice = await house.read(lambda tx: tx.accounts.get(ALICE))
        assert alice is not None
        root = replace(alice, admin=True)
        for _ in range(10):
            item = await items.create(ROOT, "Cola", 60)
            answers = await asyncio.gather(
                items.delete(ROOT, item.number),
                machines.update_slot(root, "d", 1, sold_item=item.number),
                return_exceptions=True,
            )
            (refused,) = [each for each in answers if isinstance(each, DrinkError)]
            slot = await house.read(lambda tx: tx.machines.slot("d", 1))
            assert slot is not None
            if isinstance(refused, ItemSoldError):
                assert slot.item_number == item.number
                await machines.update_slot(root, "d", 1, sold_item=NO_ITEM)
                await items.delete(ROOT, item.number)
            else:
                assert isinstance(refused, ItemNotFoundError)
                assert slot.item_number is None
        assert await house.verify() == []
