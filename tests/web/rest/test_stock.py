from pathlib import Path
from typing import Any

import pytest

from tests.web.rest.client import Client
from tests.web.visitor import House, away_house, running_house


async def number(house: House, name: str) -> int:
    """The id of an item."""
    items = (await Client(house, "").ask("GET", "/items")).body["items"]
    (found,) = [item["id"] for item in items if item["name"] == name]
    return int(found)


async def test_what_is_sold_is_listed_once(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        reply = await Client(house, "").ask("GET", "/items")
        shown = [(item["name"], item["price"]) for item in reply.body["items"]]
        assert shown == [("Coke", 50), ("Tea", 30)]
        assert reply.body["message"] == "Retrieved 2 items"


async def test_an_item_is_changed_in_every_slot(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        body = {"id": await number(house, "Coke"), "name": "Mate", "price": 60}
        reply = await Client(house, "root").ask("PUT", "/items", body)
        assert reply.body["message"] == "Item updated in 2 slots"
        assert reply.body["item"]["name"] == "Mate"
        for machine, slot, found in (("d", 1, ("Mate", 60)), ("ld", 1, ("Mate", 60))):
            now = await house.bench.slot(machine, slot)
            assert (now.item, now.price) == found
        assert (await house.bench.slot("d", 2)).item == "Tea"


async def test_a_slot_is_changed(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        root = Client(house, "root")
        body: dict[str, Any] = {"machine": "d", "slot": 1, "active": False, "count": 7}
        reply = await root.ask("PUT", "/slots", {**body, "item_id": await number(house, "Tea")})
        slot = reply.body["slot"]
        assert (slot["active"], slot["count"], slot["item"]["name"]) == (False, 7, "Tea")
        now = await house.bench.slot("d", 1)
        assert (now.item, now.price, now.enabled, now.on_hand) == ("Tea", 30, False, 7)
        only = await root.ask("PUT", "/slots", {"machine": "d", "slot": 1, "active": True})
        assert only.body["slot"]["count"] == 7


async def test_an_item_of_the_list_is_made_sold_changed_and_removed(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        root = Client(house, "root")
        made = await root.ask("POST", "/items", {"name": "Mate", "price": 60})
        assert made.status == 201
        item = made.body["item"]
        assert item["id"] < 1_000_000
        assert await number(house, "Mate") == item["id"]
        slot = {"machine": "d", "slot": 1, "item_id": item["id"]}
        sold = await root.ask("PUT", "/slots", slot)
        assert sold.body["slot"]["item"] == item
        changed = await root.ask("PUT", "/items", {"id": item["id"], "price": 65})
        assert changed.body["item"] == {**item, "price": 65}
        now = await house.bench.slot("d", 1)
        assert (now.item, now.price) == ("Mate", 65)
        refused = await root.ask("DELETE", "/items", {"id": item["id"]})
        assert (refused.status, refused.body["message"]) == (400, "ITEM_SOLD")
        own = {**slot, "item_id": await number(house, "Tea")}
        assert (await root.ask("PUT", "/slots", own)).body["slot"]["item"]["name"] == "Tea"
        assert (await root.ask("DELETE", "/items", {"id": item["id"]})).status == 200
        assert (await root.ask("DELETE", "/items", {"id": item["id"]})).status == 400


async def test_what_slots_name_themselves_is_not_removed(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        body = {"id": await number(house, "Coke")}
        refused = await Client(house, "root").ask("DELETE", "/items", body)
        assert (refused.status, refused.body["message"]) == (400, "ITEM_SOLD")


async def test_only_administrators_make_and_remove_items(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        for user in ("ann", ""):
            client = Client(house, user)
            body = {"name": "Mate", "price": 60}
            assert (await client.ask("POST", "/items", body)).status == 401
            for item in (1, 999):
                assert (await client.ask("DELETE", "/items", {"id": item})).status == 401
        assert len((await Client(house, "").ask("GET", "/items")).body["items"]) == 2


async def test_only_administrators_change_them(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        item = {"id": await number(house, "Coke"), "price": 1}
        for user in ("ann", ""):
            client = Client(house, user)
            assert (await client.ask("PUT", "/items", item)).status == 401
            for slot in (1, 9):
                body = {"machine": "d", "slot": slot, "count": 0}
                assert (await client.ask("PUT", "/slots", body)).status == 401
        now = await house.bench.slot("d", 1)
        assert (now.price, now.on_hand) == (50, 3)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/items", {}),
        ("/items", {"id": 1, "price": 5}),
        ("/items", {"id": "1", "price": 5}),
        ("/items", {"id": None, "name": ""}),
        ("/items", {"id": None, "name": 'a"b'}),
        ("/items", {"id": None, "name": "x" * 65}),
        ("/items", {"id": None, "price": -1}),
        ("/items", {"id": None, "price": 1_000_001}),
        ("/items", {"id": None, "price": "5"}),
        ("/slots", {"machine": "d"}),
        ("/slots", {"machine": "d", "slot": 9, "count": 1}),
        ("/slots", {"machine": "x", "slot": 1, "count": 1}),
        ("/slots", {"machine": "d", "slot": 1, "count": -1}),
        ("/slots", {"machine": "d", "slot": 1, "count": 10_001}),
        ("/slots", {"machine": "d", "slot": 1, "count": True}),
        ("/slots", {"machine": "d", "slot": 1, "active": 1}),
        ("/slots", {"machine": "d", "slot": 1, "item_id": 5}),
    ],
)
async def test_wrong_members_change_nothing(tmp_path: Path, path: str, body: Any) -> None:
    async with running_house(tmp_path) as house:
        before = await house.bench.slot("d", 1)
        if "id" in body and body["id"] is None:
            body = {**body, "id": await number(house, "Coke")}
        assert (await Client(house, "root").ask("PUT", path, body)).status == 400
        assert await house.bench.slot("d", 1) == before


async def test_without_a_frontend_nothing_is_known(tmp_path: Path) -> None:
    site, visitor = await away_house(tmp_path)
    assert (await visitor.get("/items")).status == 503
    await site.api.close()
