"""The contract of `ItemTable`, and of slots that sell an item."""

import sqlite3
from dataclasses import replace

import psycopg
import pytest

from drink_frontend.domain.items import Item
from drink_frontend.domain.pictures import PART_BYTES, parse_picture
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from tests.support.books import NOW, drop, kept, reserve
from tests.support.pictures import png

COKE = Item(7, "Coke", "4001234", 50, NOW, NOW)
TEA = Item(3, "Tea", None, 30, NOW, NOW + 1)
IntegrityError = (sqlite3.IntegrityError, psycopg.IntegrityError)


def add_both(tx: Transaction) -> None:
    for item in (COKE, TEA):
        tx.items.add(item)


@pytest.fixture
async def shop(house: Database) -> Database:
    """The house with two items, of which slot 1 of machine d sells the first."""
    await house.write(add_both)
    await house.write(lambda tx: tx.machines.sell_item("d", 1, COKE, NOW + 5))
    return house


async def test_items_are_found_as_they_were_stored(house: Database) -> None:
    assert await house.read(lambda tx: tx.items.count()) == (0, 0)
    await house.write(add_both)
    assert await house.read(lambda tx: tx.items.get(7)) == COKE
    assert await house.read(lambda tx: tx.items.get(8)) is None
    assert await house.read(lambda tx: tx.items.by_barcode("4001234")) == COKE
    assert await house.read(lambda tx: tx.items.by_barcode("")) is None
    assert await house.read(lambda tx: tx.items.count()) == (2, 7)


async def test_items_are_listed_in_order_of_their_numbers(house: Database) -> None:
    await house.write(add_both)
    assert await house.read(lambda tx: tx.items.list(limit=9)) == [TEA, COKE]
    assert await house.read(lambda tx: tx.items.list(limit=1)) == [TEA]
    assert await house.read(lambda tx: tx.items.list(after=3, limit=9)) == [COKE]
    assert await house.read(lambda tx: tx.items.list(barcode="4001234", limit=9)) == [COKE]
    assert await house.read(lambda tx: tx.items.list(barcode="nothing", limit=9)) == []


async def test_a_slot_gets_the_name_and_price_of_its_item(shop: Database) -> None:
    slot = await shop.read(lambda tx: tx.machines.slot("d", 1))
    assert slot is not None
    assert (slot.item, slot.price, slot.item_number) == ("Coke", 50, 7)
    assert slot.updated_ms == NOW + 5
    assert await shop.read(lambda tx: tx.items.slots(7)) == [("d", 1)]
    assert await shop.read(lambda tx: tx.items.slots(3)) == []


async def test_a_changed_item_changes_its_slots_and_no_drop(shop: Database) -> None:
    order = drop(1, item="Coke", price=50)
    cheaper = replace(COKE, name="Cola", price=40, barcode=None, updated_ms=NOW + 9)

    def change(tx: Transaction) -> set[str]:
        reserve(tx, order)
        tx.items.change(cheaper)
        tx.touched.machines.clear()
        tx.items.change_slots(cheaper)
        return set(tx.touched.machines)

    assert await shop.write(change) == {"d"}
    assert await shop.read(lambda tx: tx.items.get(7)) == cheaper
    one, other = [
        await shop.read(lambda tx, n=number: tx.machines.slot("d", n))  # type: ignore[misc]
        for number in (1, 2)
    ]
    assert one is not None
    assert (one.item, one.price, one.item_number, one.updated_ms) == ("Cola", 40, 7, NOW + 9)
    assert other is not None
    assert (other.item, other.item_number) == ("item 2", None)
    assert (await shop.read(lambda tx: kept(tx, order.id))).price == 50


async def test_a_link_that_is_removed_leaves_name_and_price(shop: Database) -> None:
    await shop.write(lambda tx: tx.machines.sell_item("d", 1, None, NOW + 6))
    slot = await shop.read(lambda tx: tx.machines.slot("d", 1))
    assert slot is not None
    assert (slot.item, slot.price, slot.item_number) == ("Coke", 50, None)
    await shop.write(lambda tx: tx.items.remove(7))
    assert await shop.read(lambda tx: tx.items.list(limit=9)) == [TEA]


async def test_a_slot_cannot_part_from_its_item(shop: Database) -> None:
    for change in (
        lambda tx: tx.machines.update_slot("d", 1, NOW, price=51),
        lambda tx: tx.machines.update_slot("d", 1, NOW, item="Cola"),
        lambda tx: tx.machines.sell_item("d", 1, replace(COKE, price=1), NOW),
        lambda tx: tx.machines.sell_item("d", 1, replace(COKE, number=9), NOW),
        lambda tx: tx.items.change_slots(replace(COKE, price=1)),
        lambda tx: tx.items.remove(7),
    ):
        with pytest.raises(IntegrityError):
            await shop.write(change)
    slot = await shop.read(lambda tx: tx.machines.slot("d", 1))
    assert slot is not None
    assert (slot.item, slot.price, slot.item_number) == ("Coke", 50, 7)


async def test_numbers_and_barcodes_are_given_once(house: Database) -> None:
    await house.write(add_both)
    for twin in (replace(COKE, barcode=None), replace(COKE, number=8)):
        with pytest.raises(IntegrityError):
            await house.write(lambda tx, twin=twin: tx.items.add(twin))  # type: ignore[misc]
    with pytest.raises(IntegrityError):
        await house.write(lambda tx: tx.items.change(replace(TEA, barcode="4001234")))
    with pytest.raises(AssertionError):
        await house.write(lambda tx: tx.items.change(replace(TEA, number=99)))
    assert await house.read(lambda tx: tx.items.list(limit=9)) == [TEA, COKE]


async def test_a_picture_is_stored_in_parts_and_goes_with_its_item(house: Database) -> None:
    await house.write(add_both)
    content = png(size=2 * PART_BYTES + 1)
    picture = parse_picture(content)
    await house.write(lambda tx: tx.items.set_picture(7, picture, content, NOW + 3))
    item = await house.read(lambda tx: tx.items.get(7))
    assert item == replace(COKE, picture=picture, updated_ms=NOW + 3)
    assert await house.read(lambda tx: tx.items.list(limit=9)) == [TEA, item]

    def parts(tx: Transaction) -> list[bytes | None]:
        return [tx.items.picture_part(7, picture.etag, number) for number in range(4)]

    *found, nothing = await house.read(parts)
    assert b"".join(each or b"" for each in found) == content
    assert nothing is None

    other = parse_picture(png(5, 5))
    await house.write(lambda tx: tx.items.set_picture(7, other, png(5, 5), NOW + 4))
    assert set(await house.read(parts)) == {None}
    await house.write(lambda tx: tx.items.remove(7))
    assert await house.read(lambda tx: tx.items.get(7)) is None
    assert await house.read(lambda tx: tx.items.picture_part(7, other.etag, 0)) is None
