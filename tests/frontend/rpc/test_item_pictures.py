"""Pictures of items over gRPC: who may send them, their limits, and their way back."""

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from drink.v1 import item_service_pb2 as pb
from drink.v1 import item_service_pb2_grpc
from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import PictureChangedError
from drink_frontend.domain.pictures import PART_BYTES, PICTURE_BYTES_MAX
from drink_frontend.rpc.item_service import UPLOADS_MAX
from tests.support.pictures import jpeg, png
from tests.support.rpc_frontend import (
    ANN,
    LIMIT_S,
    ROOT,
    Frontend,
    Refused,
    read_refusal,
    refused,
    running_frontend,
)

ITEM = "items/1"
LARGE = png(40, 30, PICTURE_BYTES_MAX)


def stub(frontend: Frontend) -> Any:
    return item_service_pb2_grpc.ItemServiceStub(frontend.channel)


def chunks(content: bytes, name: str = ITEM, size: int = 60_000) -> Iterator[Any]:
    yield pb.SetItemPictureRequest(name=name)
    for start in range(0, len(content), size):
        yield pb.SetItemPictureRequest(chunk=content[start : start + size])


def send(frontend: Frontend, requests: Any, caller: Any = ROOT) -> Any:
    return stub(frontend).SetItemPicture(requests, metadata=caller, timeout=LIMIT_S)


async def received(frontend: Frontend, name: str = ITEM) -> tuple[pb.Picture, bytes]:
    call = frontend.call(pb.GetItemPictureRequest(name=name))
    parts = [part async for part in call]
    assert not any(part.HasField("picture") for part in parts[1:])
    return parts[0].picture, b"".join(part.chunk for part in parts)


async def refused_stream(call: Any) -> Refused:
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        return read_refusal(error)
    raise AssertionError("not refused")


@pytest.fixture
async def shop(frontend: Frontend) -> Frontend:
    """With one item."""
    await frontend.call(pb.CreateItemRequest(display_name="Cola", price=60), ROOT)
    return frontend


async def test_a_picture_comes_back_as_it_was_sent(shop: Frontend) -> None:
    item = (await send(shop, chunks(LARGE))).item
    shown = item.picture
    assert (shown.media_type, shown.width, shown.height) == ("image/png", 40, 30)
    assert shown.size == len(LARGE)
    assert await received(shop) == (shown, LARGE)
    assert (await shop.call(pb.GetItemRequest(name=ITEM))).item == item

    other = (await send(shop, chunks(jpeg()))).item.picture
    assert (other.media_type, await received(shop)) == ("image/jpeg", (other, jpeg()))
    assert other.etag != shown.etag
    gone = (await send(shop, chunks(b""))).item
    assert not gone.HasField("picture")
    refusal = await refused_stream(shop.call(pb.GetItemPictureRequest(name=ITEM)))
    assert refusal.status == ("NOT_FOUND", "PICTURE_NOT_FOUND")
    facts = [each.facts["picture"] for each in (await shop.bench.audit(AuditKind.ITEM_CHANGED))[1:]]
    assert facts == [shown.etag, other.etag, ""]


@pytest.mark.parametrize("caller", [None, ANN])
async def test_without_rights_nothing_is_read(shop: Frontend, caller: Any) -> None:
    call = stub(shop).SetItemPicture(metadata=caller, timeout=LIMIT_S)
    # Not a message is sent.
    refusal = await refused(call)
    assert refusal.reason == ("TOKEN_INVALID" if caller is None else "ADMIN_REQUIRED")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"<svg/>", "chunk"),
        (b"GIF89a" + bytes(50), "chunk"),
        (png(5_000, 1), "chunk"),
        (LARGE + b"x", "chunk"),
    ],
)
async def test_a_wrong_picture_leaves_the_one_before(
    shop: Frontend, content: bytes, field: str
) -> None:
    await send(shop, chunks(png()))
    refusal = await refused(send(shop, chunks(content)))
    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})
    assert (await received(shop))[1] == png()


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [pb.SetItemPictureRequest()],
        [pb.SetItemPictureRequest(chunk=png())],
        [pb.SetItemPictureRequest(name="items/x", chunk=png())],
        [pb.SetItemPictureRequest(name=ITEM), pb.SetItemPictureRequest(name="items/2")],
    ],
)
async def test_the_item_must_be_named_once(shop: Frontend, requests: list[Any]) -> None:
    refusal = await refused(send(shop, requests))
    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": "name"})


async def test_what_is_not_there_is_told(frontend: Frontend) -> None:
    for content in (png(), b""):
        refusal = await refused(send(frontend, chunks(content, "items/404")))
        assert refusal.status == ("NOT_FOUND", "ITEM_NOT_FOUND")
    refusal = await refused_stream(frontend.call(pb.GetItemPictureRequest(name="items/404")))
    assert refusal.status == ("NOT_FOUND", "ITEM_NOT_FOUND")
    refusal = await refused_stream(frontend.call(pb.GetItemPictureRequest(name="items/x")))
    assert refusal.facts == {"field": "name"}


async def test_so_many_pictures_come_at_a_time(shop: Frontend) -> None:
    begun = [stub(shop).SetItemPicture(metadata=ROOT, timeout=LIMIT_S) for _ in range(UPLOADS_MAX)]
    for call in begun:
        await call.write(pb.SetItemPictureRequest(name=ITEM))
    async with asyncio.timeout(LIMIT_S):
        while True:
            answer = await asyncio.gather(send(shop, chunks(png())), return_exceptions=True)
            if isinstance(answer[0], grpc.aio.AioRpcError):
                assert read_refusal(answer[0]).reason == "RATE_LIMITED"
                break
    for call in begun:
        await call.write(pb.SetItemPictureRequest(chunk=png(9, 9)))
        await call.done_writing()
        assert (await call).item.picture.width == 9
    assert (await send(shop, chunks(png()))).item.picture.width == 2


async def test_a_slow_picture_is_refused() -> None:
    async with running_frontend(picture_limit_s=0.2) as shop:
        await shop.call(pb.CreateItemRequest(display_name="Cola", price=60), ROOT)
        call = stub(shop).SetItemPicture(metadata=ROOT, timeout=LIMIT_S)
        await call.write(pb.SetItemPictureRequest(name=ITEM))
        assert (await refused(call)).reason == "RATE_LIMITED"


async def test_a_picture_that_is_replaced_while_it_is_read_ends_the_call(shop: Frontend) -> None:
    await send(shop, chunks(LARGE))
    picture = (await shop.bench.items.get(1)).picture
    assert picture is not None
    assert await shop.bench.items.picture_part(1, picture, 31) == LARGE[31 * PART_BYTES :]
    await send(shop, chunks(png()))
    with pytest.raises(PictureChangedError):
        await shop.bench.items.picture_part(1, picture, 31)
