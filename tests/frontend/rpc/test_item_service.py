"""Items over gRPC."""

from typing import Any

import pytest

from drink.v1 import item_service_pb2 as pb
from drink.v1 import machine_service_pb2 as machines
from tests.support.rpc_frontend import ANN, ROOT, Frontend

SLOT = "machines/d/slots/1"


@pytest.fixture
async def shop(frontend: Frontend) -> Frontend:
    """With two items, of which slot 1 of machine d sells the first."""
    for name, price, barcode in (("Cola", 60, "4001234"), ("Tea", 30, "")):
        request = pb.CreateItemRequest(display_name=name, price=price, barcode=barcode)
        await frontend.call(request, ROOT)
    await frontend.call(machines.UpdateSlotRequest(name=SLOT, sold_item="items/1"), ROOT)
    return frontend


async def slot_of(frontend: Frontend) -> machines.Slot:
    answer = await frontend.call(machines.GetMachineRequest(name="machines/d"))
    slot: machines.Slot = answer.machine.slots[0]
    return slot


async def test_everybody_sees_items(shop: Frontend) -> None:
    for caller in (None, ANN, ROOT):
        found = (await shop.call(pb.ListItemsRequest(), caller)).items
        assert [(each.name, each.display_name, each.price) for each in found] == [
            ("items/1", "Cola", 60),
            ("items/2", "Tea", 30),
        ]
        one = (await shop.call(pb.GetItemRequest(name="items/1"), caller)).item
        assert one == found[0]
    assert one.create_time.ToMilliseconds() == shop.bench.clock.now_ms()
    by_barcode = await shop.call(pb.ListItemsRequest(barcode="4001234"))
    assert list(by_barcode.items) == [one]


async def test_items_come_in_pages(shop: Frontend) -> None:
    seen, token = [], ""
    while True:
        answer = await shop.call(pb.ListItemsRequest(page_size=1, page_token=token))
        seen += [each.name for each in answer.items]
        token = answer.next_page_token
        if not token:
            break
    assert seen == ["items/1", "items/2"]
    first = await shop.call(pb.ListItemsRequest(page_size=1))
    other = pb.ListItemsRequest(page_token=first.next_page_token, barcode="4001234")
    assert (await shop.refused(other)).facts == {"field": "page_token"}


async def test_a_slot_follows_its_item(shop: Frontend) -> None:
    slot = await slot_of(shop)
    assert (slot.sold_item, slot.item, slot.price) == ("items/1", "Cola", 60)
    change = pb.UpdateItemRequest(name="items/1", display_name="Cola Zero", price=70, barcode="")
    changed = (await shop.call(change, ROOT)).item
    assert (changed.display_name, changed.price, changed.barcode) == ("Cola Zero", 70, "")
    slot = await slot_of(shop)
    assert (slot.sold_item, slot.item, slot.price) == ("items/1", "Cola Zero", 70)


async def test_watches_of_machines_show_a_changed_item(shop: Frontend) -> None:
    watch = shop.call(machines.WatchMachinesRequest(names=["machines/d"]))
    assert (await watch.read()).machine.slots[0].price == 60
    await shop.call(pb.UpdateItemRequest(name="items/1", price=61), ROOT)
    assert (await watch.read()).machine.slots[0].price == 61
    watch.cancel()


async def test_a_slot_with_an_item_keeps_its_terms_until_the_link_is_removed(
    shop: Frontend,
) -> None:
    for terms in ({"item": "Coke"}, {"price": 1}):
        refusal = await shop.refused(machines.UpdateSlotRequest(name=SLOT, **terms), ROOT)
        assert refusal.status == ("FAILED_PRECONDITION", "SLOT_SELLS_ITEM")
        assert refusal.facts == {"item": "items/1"}
    free = machines.UpdateSlotRequest(name=SLOT, item="Coke", price=1, sold_item="")
    slot = (await shop.call(free, ROOT)).slot
    assert (slot.sold_item, slot.item, slot.price) == ("", "Coke", 1)
    await shop.call(pb.DeleteItemRequest(name="items/1"), ROOT)
    assert await slot_of(shop) == slot


async def test_a_sold_item_is_not_deleted(shop: Frontend) -> None:
    refusal = await shop.refused(pb.DeleteItemRequest(name="items/1"), ROOT)
    assert refusal.status == ("FAILED_PRECONDITION", "ITEM_SOLD")
    assert refusal.facts == {"slots": "1"}


async def test_a_slot_is_made_with_an_item(shop: Frontend) -> None:
    new: dict[str, Any] = {
        "name": "machines/d/slots/3",
        "sold_item": "items/2",
        "available": 4,
    }
    slot = (await shop.call(machines.CreateSlotRequest(**new), ROOT)).slot
    assert (slot.sold_item, slot.item, slot.price) == ("items/2", "Tea", 30)
    for terms, field in (({"item": "Tea"}, "item"), ({"price": 30}, "price")):
        request = machines.CreateSlotRequest(**{**new, "name": "machines/d/slots/4", **terms})
        assert (await shop.refused(request, ROOT)).facts == {"field": field}


@pytest.mark.parametrize(
    "request_",
    [
        pb.GetItemRequest(name="items/404"),
        pb.UpdateItemRequest(name="items/404", price=1),
        pb.DeleteItemRequest(name="items/404"),
    ],
)
async def test_what_is_not_there_is_told(frontend: Frontend, request_: Any) -> None:
    refusal = await frontend.refused(request_, ROOT)
    assert refusal.status == ("NOT_FOUND", "ITEM_NOT_FOUND")


async def test_a_slot_does_not_sell_what_is_not_there(frontend: Frontend) -> None:
    for request in (
        machines.UpdateSlotRequest(name=SLOT, sold_item="items/404"),
        machines.CreateSlotRequest(name="machines/d/slots/9", sold_item="items/404"),
    ):
        refusal = await frontend.refused(request, ROOT)
        assert refusal.status == ("NOT_FOUND", "ITEM_NOT_FOUND")


@pytest.mark.parametrize("name", ["items/0", "items/x", "1", "items/1000000", "items/1\x00"])
async def test_a_wrong_name_is_refused(frontend: Frontend, name: str) -> None:
    for request in (
        pb.GetItemRequest(name=name),
        pb.CreateItemRequest(name=name, display_name="Tea"),
        pb.UpdateItemRequest(name=name),
        pb.DeleteItemRequest(name=name),
    ):
        assert (await frontend.refused(request, ROOT)).facts == {"field": "name"}
    for sale in (
        machines.UpdateSlotRequest(name=SLOT, sold_item=name),
        machines.CreateSlotRequest(name="machines/d/slots/9", sold_item=name),
    ):
        assert (await frontend.refused(sale, ROOT)).facts == {"field": "sold_item"}


@pytest.mark.parametrize(
    "request_", [pb.GetItemRequest(), pb.UpdateItemRequest(), pb.DeleteItemRequest()]
)
async def test_a_missing_name_is_refused(frontend: Frontend, request_: Any) -> None:
    assert (await frontend.refused(request_, ROOT)).facts == {"field": "name"}


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"display_name": ""}, "display_name"),
        ({"display_name": "x" * 65}, "display_name"),
        ({"display_name": "a\x07"}, "display_name"),
        ({"price": -1}, "price"),
        ({"price": 2**63 - 1}, "price"),
        ({"barcode": "1"}, "barcode"),
        ({"barcode": "1" * 60_000}, "barcode"),
    ],
)
async def test_a_wrong_field_is_refused(shop: Frontend, terms: dict[str, Any], field: str) -> None:
    for request in (
        pb.CreateItemRequest(**{"display_name": "Mate", "price": 1, **terms}),
        pb.UpdateItemRequest(name="items/1", **terms),
    ):
        refusal = await shop.refused(request, ROOT)
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})
    assert len((await shop.call(pb.ListItemsRequest())).items) == 2


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"page_size": -1}, "page_size"),
        ({"page_token": "x"}, "page_token"),
        ({"barcode": "x y z 1 2"}, "barcode"),
    ],
)
async def test_a_wrong_filter_is_refused(
    frontend: Frontend, terms: dict[str, Any], field: str
) -> None:
    refusal = await frontend.refused(pb.ListItemsRequest(**terms))
    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})


async def test_what_there_is_is_not_made_again(shop: Frontend) -> None:
    for request in (
        pb.CreateItemRequest(display_name="Mate", name="items/1"),
        pb.CreateItemRequest(display_name="Mate", barcode="4001234"),
    ):
        refusal = await shop.refused(request, ROOT)
        assert refusal.status == ("ALREADY_EXISTS", "ALREADY_EXISTS")
