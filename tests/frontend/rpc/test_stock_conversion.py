"""Movements of stock as messages of drink.v1, over the wire."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import machine_service_pb2 as pb
from drink_frontend.domain.stock import MovementKind
from drink_frontend.rpc.stock_conversion import KINDS
from tests.support.rpc_frontend import ROOT, Frontend

SLOT = "machines/d/slots/1"
LOADED, COUNTED = pb.StockMovement.KIND_LOADED, pb.StockMovement.KIND_COUNTED


async def adjust(frontend: Frontend, request_id: str = "r", **terms: Any) -> pb.AdjustStockResponse:
    request = pb.AdjustStockRequest(**{"request_id": request_id, "name": SLOT, **terms})
    answer = await frontend.call(request, ROOT)
    assert isinstance(answer, pb.AdjustStockResponse)
    return answer


async def seen(frontend: Frontend) -> pb.Slot:
    answer = await frontend.call(pb.GetMachineRequest(name="machines/d"))
    assert isinstance(answer, pb.GetMachineResponse)
    return next(slot for slot in answer.machine.slots if slot.name == SLOT)


def test_every_kind_has_its_value() -> None:
    assert set(KINDS) == set(MovementKind)
    assert sorted(KINDS.values()) == sorted(pb.StockMovement.Kind.values())[1:]


async def test_a_change_is_answered_with_its_movement_and_its_slot(frontend: Frontend) -> None:
    made = await adjust(frontend, change=4, reason="delivery")
    movement = made.movement
    assert movement.name.startswith(f"{SLOT}/movements/")
    assert (movement.kind, movement.change, movement.on_hand) == (LOADED, 4, 7)
    assert (movement.actor, movement.reason, movement.drop) == ("root", "delivery", "")
    assert movement.create_time.ToMilliseconds() == frontend.bench.clock.now_ms()
    assert made.slot == await seen(frontend)
    assert await adjust(frontend, change=4, reason="delivery") == made


async def test_a_count_stands_if_nothing_has_happened(frontend: Frontend) -> None:
    before = await seen(frontend)
    counted = await adjust(frontend, count=0, etag=before.etag)
    assert (counted.movement.kind, counted.movement.change) == (COUNTED, -3)
    assert counted.slot.etag != before.etag
    request = pb.AdjustStockRequest(request_id="2", name=SLOT, count=3, etag=before.etag)
    refusal = await frontend.refused(request, ROOT)
    assert refusal.status == ("FAILED_PRECONDITION", "SLOT_CHANGED")
    assert refusal.facts == {"on_hand": "0"}


async def test_movements_come_in_pages(frontend: Frontend) -> None:
    for number in range(3):
        await adjust(frontend, f"{number}", change=1)
    names: list[str] = []
    token = ""
    while True:
        request = pb.ListStockMovementsRequest(slot=SLOT, page_size=3, page_token=token)
        page = await frontend.call(request, ROOT)
        names += [movement.name for movement in page.movements]
        token = page.next_page_token
        if not token:
            break
    assert len(names) == len(set(names)) == 4
    everything = await frontend.call(pb.ListStockMovementsRequest(), ROOT)
    assert len(everything.movements) == 6
    kinds = [COUNTED, LOADED]
    loaded = await frontend.call(pb.ListStockMovementsRequest(slot=SLOT, kinds=kinds), ROOT)
    assert [movement.change for movement in loaded.movements] == [1, 1, 1, 3]
    ms = frontend.bench.clock.now_ms()
    now, later = (Timestamp(seconds=ms // 1_000 + after) for after in (0, 1))
    request = pb.ListStockMovementsRequest(start_time=now, end_time=later)
    assert len((await frontend.call(request, ROOT)).movements) == 6
    request = pb.ListStockMovementsRequest(start_time=later)
    assert not (await frontend.call(request, ROOT)).movements


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({}, "change"),
        ({"change": 0}, "change"),
        ({"change": 2**31 - 1}, "change"),
        ({"change": -(2**31)}, "change"),
        ({"count": -1, "etag": "0" * 16}, "count"),
        ({"count": 2**31 - 1, "etag": "0" * 16}, "count"),
        ({"count": 1}, "etag"),
        ({"change": 1, "etag": "x" * 10_000}, "etag"),
        ({"change": 1, "etag": "a\0"}, "etag"),
        ({"change": 1, "kind": 99}, "kind"),
        ({"change": 1, "kind": -1}, "kind"),
        ({"change": 1, "kind": pb.StockMovement.KIND_SOLD}, "kind"),
        ({"change": 1, "request_id": ""}, "request_id"),
        ({"change": 1, "request_id": "x" * 65}, "request_id"),
        ({"change": 1, "request_id": "a\n"}, "request_id"),
        ({"change": 1, "reason": "x" * 201}, "reason"),
        ({"change": 1, "reason": "\x07"}, "reason"),
        ({"change": 1, "name": ""}, "name"),
        ({"change": 1, "name": "machines/d"}, "name"),
        ({"change": 1, "name": "accounts/ann"}, "name"),
        ({"change": 1, "name": "machines/d/slots/0"}, "name"),
        ({"change": 1, "name": "machines/d/slots/100"}, "name"),
        ({"change": 1, "name": "machines/d/slots/-1"}, "name"),
        ({"change": 1, "name": "machines/d\0/slots/1"}, "name"),
        ({"change": 1, "name": f"machines/{'d' * 33}/slots/1"}, "name"),
    ],
)
async def test_a_wrong_field_of_a_change_is_named(
    frontend: Frontend, terms: dict[str, Any], field: str
) -> None:
    before = await seen(frontend)
    request = pb.AdjustStockRequest(**{"request_id": "r", "name": SLOT, **terms})
    refusal = await frontend.refused(request, ROOT)
    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})
    assert await seen(frontend) == before


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"slot": "machines/d"}, "slot"),
        ({"slot": "d/1"}, "slot"),
        ({"slot": "machines/d/slots/100"}, "slot"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "x"}, "page_token"),
        ({"page_token": "x" * 10_000}, "page_token"),
        ({"kinds": [0]}, "kinds"),
        ({"kinds": [LOADED, 99]}, "kinds"),
        ({"start_time": Timestamp(seconds=-(2**62))}, "start_time"),
        ({"end_time": Timestamp(seconds=2**62)}, "end_time"),
        ({"end_time": Timestamp(nanos=-1)}, "end_time"),
    ],
)
async def test_a_wrong_field_of_a_list_is_named(
    frontend: Frontend, terms: dict[str, Any], field: str
) -> None:
    refusal = await frontend.refused(pb.ListStockMovementsRequest(**terms), ROOT)
    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})


async def test_a_page_token_is_good_for_its_own_list(frontend: Frontend) -> None:
    first = await frontend.call(pb.ListStockMovementsRequest(page_size=1), ROOT)
    other = pb.ListStockMovementsRequest(slot=SLOT, page_token=first.next_page_token)
    assert (await frontend.refused(other, ROOT)).facts == {"field": "page_token"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [("machines/none/slots/1", "MACHINE_NOT_FOUND"), ("machines/d/slots/9", "SLOT_NOT_FOUND")],
)
async def test_what_is_not_there_is_named(frontend: Frontend, name: str, reason: str) -> None:
    change = pb.AdjustStockRequest(request_id="r", name=name, change=1)
    assert (await frontend.refused(change, ROOT)).status == ("NOT_FOUND", reason)
    listed = pb.ListStockMovementsRequest(slot=name)
    assert (await frontend.refused(listed, ROOT)).status == ("NOT_FOUND", reason)
