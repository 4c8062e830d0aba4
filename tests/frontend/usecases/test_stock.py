"""Changing the number of items in a slot by hand."""

import asyncio
from typing import Any

import pytest

from drink_frontend.domain.entities import Account, AuditKind, Slot
from drink_frontend.domain.errors import (
    AdminRequiredError,
    FieldInvalidError,
    MachineNotFoundError,
    RequestIdReusedError,
    SlotChangedError,
    SlotNotFoundError,
    StockInvalidError,
)
from drink_frontend.domain.movements import ALL_MOVEMENTS, MovementSelection, StockMovement
from drink_frontend.domain.stock import STOCK_MAX, MovementKind
from drink_frontend.usecases.refunds import RefundOrder
from drink_frontend.usecases.stock import StockOrder
from tests.support.bench import Bench


@pytest.fixture
async def root(bench: Bench) -> Account:
    return await bench.account("root")


async def adjust(bench: Bench, actor: Account, **terms: Any) -> tuple[StockMovement, Slot]:
    order = StockOrder(**{"request_id": "r", "machine": "d", "slot": 1, **terms})
    return await bench.machines.adjust_stock(actor, order)


async def count(bench: Bench, actor: Account, items: int, seen: Slot, **terms: Any) -> Slot:
    return (await adjust(bench, actor, count=items, etag=seen.etag, **terms))[1]


async def movements(bench: Bench, root: Account, **selection: Any) -> list[tuple[str, int, int]]:
    found = await bench.machines.stock_movements(root, None, 99, MovementSelection(**selection))
    return [(each.kind, each.change, each.on_hand) for each in found]


async def test_what_is_put_in_and_taken_out_is_kept(bench: Bench, root: Account) -> None:
    """Invariants 10 and 27."""
    await adjust(bench, root, change=5, reason="delivery")
    await adjust(bench, root, request_id="2", change=-2)
    lost, slot = await adjust(bench, root, request_id="3", change=-1, kind=MovementKind.LOST)
    assert slot.on_hand == lost.on_hand == 5
    assert await movements(bench, root, slot=("d", 1)) == [
        ("LOST", -1, 5),
        ("TAKEN_OUT", -2, 6),
        ("LOADED", 5, 8),
        ("LOADED", 3, 3),
    ]
    records = await bench.audit(AuditKind.STOCK_CHANGED)
    assert records[-3].facts == {
        "slot": 1,
        "from": {"on_hand": 3},
        "to": {"on_hand": 8},
        "movement": "LOADED",
        "why": "delivery",
    }
    assert {record.actor for record in records[-3:]} == {"root"}
    assert await bench.storage.verify() == []


async def test_a_count_corrects_by_the_difference(bench: Bench, root: Account) -> None:
    """Invariant 27; a count that agrees is kept too."""
    fewer = await count(bench, root, 2, await bench.slot())
    same = await count(bench, root, 2, fewer, request_id="again")
    assert (fewer.on_hand, same.etag) == (2, fewer.etag)
    assert (await movements(bench, root, kinds=(MovementKind.COUNTED,))) == [
        ("COUNTED", 0, 2),
        ("COUNTED", -1, 2),
    ]
    assert await bench.storage.verify() == []


async def test_a_count_of_a_slot_that_has_sold_is_refused(bench: Bench, root: Account) -> None:
    seen = await bench.slot()
    drop = await bench.dispatched()
    with pytest.raises(SlotChangedError) as refused:
        await count(bench, root, 3, seen)
    assert refused.value.facts == {"on_hand": 2}
    reserved = await bench.slot()
    await bench.report(drop)
    with pytest.raises(SlotChangedError):
        await count(bench, root, 2, reserved)
    assert await bench.stock() == (2, 0, 1, 0)
    await count(bench, root, 1, await bench.slot())
    assert await bench.stock() == (1, 0, 1, 0)


async def test_a_price_is_no_change_of_the_stock_and_an_item_is(
    bench: Bench, root: Account
) -> None:
    seen = await bench.slot()
    await bench.change_slot("d", 1, price=1, enabled=False)
    await count(bench, root, 4, seen)
    seen = await bench.slot()
    await bench.change_slot("d", 1, item="Mate")
    with pytest.raises(SlotChangedError):
        await count(bench, root, 4, seen, request_id="2")


async def test_a_change_with_an_etag_is_refused_like_a_count(bench: Bench, root: Account) -> None:
    seen = await bench.slot()
    await adjust(bench, root, change=1, etag=seen.etag)
    with pytest.raises(SlotChangedError):
        await adjust(bench, root, request_id="2", change=1, etag=seen.etag)
    assert (await bench.slot()).on_hand == 4


async def test_two_administrators_count_one_slot_at_once(bench: Bench, root: Account) -> None:
    """Invariant 27: one count stands, the other administrator counts again."""
    other = await bench.accounts.create("test", "anna", admin=True)
    seen = await bench.slot()
    answers = await asyncio.gather(
        count(bench, root, 9, seen), count(bench, other, 8, seen), return_exceptions=True
    )
    kept = [answer for answer in answers if isinstance(answer, Slot)]
    assert [type(each) for each in answers if each not in kept] == [SlotChangedError]
    assert (await bench.slot()).on_hand == kept[0].on_hand
    assert len(await movements(bench, root, kinds=(MovementKind.COUNTED,))) == 1
    assert await bench.storage.verify() == []


async def test_fault_3_a_repeat_has_the_same_answer(bench: Bench, root: Account) -> None:
    """Invariants 12 and 13: one after the other, after further changes, and all at once."""
    orders = [adjust(bench, root, change=2, reason="box") for _ in range(5)]
    made = {movement for movement, _ in await asyncio.gather(*orders)}
    await adjust(bench, root, request_id="2", change=-1)
    again, slot = await adjust(bench, root, change=2, reason="box")
    assert made == {again}
    assert (again.on_hand, slot.on_hand) == (5, 4)

    seen = await bench.slot()
    first, _ = await adjust(bench, root, request_id="3", count=7, etag=seen.etag)
    repeat, _ = await adjust(bench, root, request_id="3", count=7, etag=seen.etag)
    assert first == repeat
    assert (await bench.slot()).on_hand == 7


@pytest.mark.parametrize(
    "other",
    [
        {"change": 3},
        {"change": -2},
        {"change": 2, "slot": 2},
        {"change": 2, "machine": "ld"},
        {"change": 2, "reason": "crate"},
        {"count": 5},
    ],
)
async def test_fault_4_another_change_by_the_same_request(
    bench: Bench, root: Account, other: dict[str, Any]
) -> None:
    await adjust(bench, root, change=2, reason="box")
    if "count" in other:
        other = {**other, "etag": (await bench.slot()).etag}
    before = await bench.machines.list()
    with pytest.raises(RequestIdReusedError):
        await adjust(bench, root, **{"reason": "box", **other})
    assert await bench.machines.list() == before


async def test_two_people_may_use_one_request_id(bench: Bench, root: Account) -> None:
    other = await bench.accounts.create("test", "anna", admin=True)
    await adjust(bench, root, change=1)
    await adjust(bench, other, change=1)
    assert (await bench.slot()).on_hand == 5


async def test_fault_4_a_refund_and_a_change_by_one_request(bench: Bench, root: Account) -> None:
    drop = await bench.dispatched()
    await bench.report(drop)
    await adjust(bench, root, change=1)
    order = RefundOrder(request_id="r", drop_id=drop.id, reason="warm", restock=True)
    with pytest.raises(RequestIdReusedError):
        await bench.drops.refund(root, order)
    assert await bench.credits() == (150, 0)

    order = RefundOrder(request_id="back", drop_id=drop.id, reason="warm", restock=True)
    await bench.drops.refund(root, order)
    with pytest.raises(RequestIdReusedError):
        await adjust(bench, root, request_id="back", change=1)
    (returned, *_) = await bench.machines.stock_movements(root, None, 9, ALL_MOVEMENTS)
    assert (returned.kind, returned.change) == (MovementKind.RETURNED, 1)
    assert (returned.drop_id, returned.reason) == (drop.id, "warm")
    assert await bench.storage.verify() == []


async def test_a_slot_never_has_fewer_than_nothing_or_too_many(bench: Bench, root: Account) -> None:
    for terms in ({"change": -4}, {"change": STOCK_MAX - 2}):
        with pytest.raises(StockInvalidError):
            await adjust(bench, root, **terms)
    assert await bench.stock() == (3, 0, 0, 0)
    await bench.dispatched()
    with pytest.raises(StockInvalidError):
        await adjust(bench, root, change=-3)
    await adjust(bench, root, change=-2)
    assert await bench.stock() == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({}, "change"),
        ({"change": 1, "count": 1, "etag": "0" * 16}, "change"),
        ({"change": 0}, "change"),
        ({"change": STOCK_MAX + 1}, "change"),
        ({"change": -STOCK_MAX - 1}, "change"),
        ({"count": -1, "etag": "0" * 16}, "count"),
        ({"count": STOCK_MAX + 1, "etag": "0" * 16}, "count"),
        ({"count": 1}, "etag"),
        ({"count": 1, "etag": "0" * 15}, "etag"),
        ({"change": 1, "etag": "G" * 16}, "etag"),
        ({"change": 1, "etag": "0" * 17}, "etag"),
        ({"change": 1, "kind": MovementKind.LOST}, "kind"),
        ({"change": 1, "kind": MovementKind.TAKEN_OUT}, "kind"),
        ({"change": -1, "kind": MovementKind.LOADED}, "kind"),
        ({"change": -1, "kind": MovementKind.SOLD}, "kind"),
        ({"change": 1, "kind": MovementKind.RETURNED}, "kind"),
        ({"change": 1, "kind": MovementKind.COUNTED}, "kind"),
        ({"count": 1, "etag": "0" * 16, "kind": MovementKind.LOADED}, "kind"),
        ({"change": 1, "request_id": ""}, "request_id"),
        ({"change": 1, "request_id": "x" * 65}, "request_id"),
        ({"change": 1, "request_id": "a b"}, "request_id"),
        ({"change": 1, "request_id": "a\x00"}, "request_id"),
        ({"change": 1, "reason": "x" * 201}, "reason"),
        ({"change": 1, "reason": "a\x1bb"}, "reason"),
        ({"change": 1, "reason": "a\x00b"}, "reason"),
    ],
)
def test_a_wrong_field_is_named(terms: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldInvalidError) as refused:
        StockOrder(**{"request_id": "r", "machine": "d", "slot": 1, **terms})
    assert refused.value.facts == {"field": field}


async def test_what_is_not_there_is_not_changed(bench: Bench, root: Account) -> None:
    with pytest.raises(MachineNotFoundError):
        await adjust(bench, root, machine="none", change=1)
    with pytest.raises(SlotNotFoundError):
        await adjust(bench, root, slot=9, change=1)
    with pytest.raises(SlotNotFoundError):
        await movements(bench, root, slot=("d", 9))


async def test_only_administrators_change_stock_and_see_who_did(bench: Bench) -> None:
    ann = await bench.account("ann")
    with pytest.raises(AdminRequiredError):
        await adjust(bench, ann, machine="none", change=1)
    with pytest.raises(AdminRequiredError):
        await bench.machines.stock_movements(ann, None, 9, MovementSelection(slot=("none", 1)))
