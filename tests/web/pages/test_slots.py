import asyncio
from pathlib import Path

import pytest

from tests.web.pages.test_admin import root
from tests.web.visitor import LIMIT_S, House, running_house

NEW = {
    "number": "7",
    "item": "<b>Dew",
    "price": "60",
    "available": "3",
    "capacity": "9",
    "low_stock_mark": "2",
}


async def slots_of(house: House) -> dict[int, tuple[str, int, int, int, int]]:
    """Item, price, items in it, capacity and mark of each slot of machine d."""
    machine = await house.bench.machines.get("d")
    return {
        each.number: (each.item, each.price, each.on_hand, each.capacity, each.low_stock_mark)
        for each in machine.slots
    }


async def test_a_slot_is_made_and_is_there_at_once(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        made = await admin.post("/admin/machines/d/slots", NEW)
        assert made.goal == "/admin/machines/d?done=1"
        assert (await slots_of(house))[7] == ("<b>Dew", 60, 3, 9, 2)
        page = await admin.get(made.goal)
        assert 'href="/admin/machines/d/7"><strong>&lt;b&gt;Dew' in page.text
        slot = await admin.get("/admin/machines/d/7")
        assert slot.field("capacity") == "9"
        assert slot.field("low_stock_mark") == "2"


async def test_a_slot_is_made_for_an_item_of_the_list(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        item = await house.bench.items.create("test", "Cola", 65)
        form = {"number": "8", "sold_item": f"items/{item.number}", "item": "", "price": ""}
        assert (await admin.post("/admin/machines/d/slots", form)).status == 303
        assert (await slots_of(house))[8] == ("Cola", 65, 0, 0, 0)
        form = {"number": "9", "sold_item": "items/99"}
        gone = await admin.post("/admin/machines/d/slots", form)
        assert gone.status == 422
        assert "no such item" in gone.text
        assert 9 not in await slots_of(house)


@pytest.mark.parametrize(
    ("form", "status", "told"),
    [
        ({"number": "0"}, 422, "1 to 99"),
        ({"number": "x"}, 422, "1 to 99"),
        ({"number": "100"}, 422, "1 to 99"),
        ({"item": ""}, 422, "1 to 64 characters"),
        ({"item": "a\u200bb"}, 422, "1 to 64 characters"),
        ({"price": "-1"}, 422, "A price is"),
        ({"available": "x"}, 422, "0 to 10,000"),
        ({"capacity": "10001"}, 422, "0 to 10,000"),
        ({"low_stock_mark": "1.5"}, 422, "0 to 10,000"),
        ({"available": "10"}, 409, "More items than fit in."),
        ({"number": "1"}, 409, "a slot of this number already"),
    ],
)
async def test_a_wrong_new_slot_is_told_and_keeps_what_was_typed(
    tmp_path: Path, form: dict[str, str], status: int, told: str
) -> None:
    async with running_house(tmp_path) as house:
        admin, before = await root(house), await slots_of(house)
        sent = {**NEW, **form}
        answer = await admin.post("/admin/machines/d/slots", sent)
        assert answer.status == status
        assert told in answer.text
        assert answer.field("price") == sent["price"]
        assert await slots_of(house) == before


async def test_an_empty_slot_is_removed(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin, path = await root(house), "/admin/machines/d/1"
        filled = await admin.post(f"{path}/remove")
        assert filled.status == 409
        assert "Items in it: 3; reserved for drops: 0" in filled.text
        assert 1 in await slots_of(house)
        drop = await house.bench.unknown()
        await house.bench.change_slot("d", 1, available=0)
        held = await admin.post(f"{path}/remove", accept_language="de")
        assert held.status == 409
        assert "von Drops, über die niemand entschieden hat: 1" in held.text
        decided = {"outcome": "fell", "reason": "it is gone", "confirmed": "yes"}
        assert (await admin.post(f"/admin/drops/{drop.id}/decide", decided)).status == 303
        assert (await admin.post(f"{path}/remove")).goal == "/admin/machines/d?done=1"
        assert 1 not in await slots_of(house)
        assert (await admin.get(path)).status == 404
        assert (await admin.post(f"{path}/remove")).status == 404


async def test_others_make_and_remove_no_slots(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await house.bench.change_slot("d", 1, available=0)
        ann, before = await house.ann(), await slots_of(house)
        for machine in ("d", "x"):
            path = f"/admin/machines/{machine}"
            assert (await ann.post(f"{path}/slots", NEW)).status == 403
            assert (await ann.post(f"{path}/1/remove")).status == 403
            assert (await ann.post(f"{path}/1", NEW)).status == 403
        admin = await root(house)
        for path, form in (("slots", NEW), ("1/remove", {})):
            foreign = f"/admin/machines/d/{path}"
            assert (await admin.post(foreign, form, sec_fetch_site="cross-site")).status == 403
        assert await slots_of(house) == before


async def test_a_slot_gets_another_item_and_price(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        assert 'value="Coke"' in (await admin.get("/admin/machines/d/1")).text
        form = {"item": "Dew", "price": "60", "enabled": "yes"}
        answer = await admin.post("/admin/machines/d/1", form)
        assert answer.goal == "/admin/machines/d/1?done=1"
        known = house.site.house
        async with asyncio.timeout(LIMIT_S):
            while known.machines["machines/d"].slots[0].item != "Dew":
                await known.changed(known.version)
        slot = known.machines["machines/d"].slots[0]
        assert (slot.price, slot.available, slot.enabled) == (60, 3, True)


async def test_a_slot_that_sells_an_item_of_the_list_keeps_its_price(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        item = await house.bench.items.create("test", "Cola", 60)
        await house.bench.change_slot("d", 1, sold_item=item.number)
        form = {"item": "Cola", "price": "61", "enabled": "yes"}
        answer = await admin.post("/admin/machines/d/1", form)
        assert answer.status == 409
        assert "change the item" in answer.text
        assert (await house.bench.slot()).price == 60
        assert (await admin.post("/admin/machines/d/1", {**form, "price": "60"})).status == 303


@pytest.mark.parametrize(
    "form",
    [
        {"item": "", "price": "60"},
        {"item": 'a"b', "price": "60"},
        {"item": "x" * 65, "price": "60"},
        {"item": "Dew", "price": "-1"},
        {"item": "Dew", "price": "1000001"},
    ],
)
async def test_wrong_fields_change_nothing(tmp_path: Path, form: dict[str, str]) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        answer = await admin.post("/admin/machines/d/1", {**form, "enabled": "yes"})
        assert answer.status == 422
        assert house.site.house.machines["machines/d"].slots[0].price == 50


async def test_a_slot_gets_another_size(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        form = {"item": "Coke", "price": "50", "enabled": "yes"}
        sized = {**form, "capacity": "12", "low_stock_mark": ""}
        assert (await admin.post("/admin/machines/d/1", sized)).status == 303
        assert (await slots_of(house))[1] == ("Coke", 50, 3, 12, 0)
        # A form without these fields leaves them as they are.
        assert (await admin.post("/admin/machines/d/1", form)).status == 303
        assert (await slots_of(house))[1] == ("Coke", 50, 3, 12, 0)
        wrong = await admin.post("/admin/machines/d/1", {**form, "capacity": "x"})
        assert wrong.status == 422


async def test_an_old_page_undoes_no_newer_change(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        fields = ("item", "price", "capacity", "low_stock_mark")
        drawn = await admin.get("/admin/machines/d/1")
        shown = {f"shown.{field}": drawn.field(f"shown.{field}") for field in fields}
        old = {field: shown[f"shown.{field}"] for field in fields}
        old |= shown | {"enabled": "yes", "shown.enabled": "yes"}
        await house.bench.change_slot("d", 1, price=70)
        await house.bench.change_slot("d", 1, enabled=False)
        renamed = await admin.post("/admin/machines/d/1", {**old, "item": "Dew"})
        assert renamed.status == 303
        slot = await house.bench.slot()
        assert (slot.item, slot.price, slot.enabled) == ("Dew", 70, False)
        assert (await admin.post("/admin/machines/d/1", old)).status == 303
        assert await house.bench.slot() == slot
