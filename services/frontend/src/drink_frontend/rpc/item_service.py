"""ItemService: anyone can list items, administrators look after them."""
# ruff: noqa: N802 - the methods are named by the protocol

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from drink.v1 import item_service_pb2 as pb
from drink.v1 import item_service_pb2_grpc
from drink_frontend.domain.errors import (
    FieldInvalidError,
    PictureNotFoundError,
    RateLimitedError,
)
from drink_frontend.domain.pictures import PART_BYTES, PICTURE_BYTES_MAX
from drink_frontend.rpc.calls import Context, administrator, current_call
from drink_frontend.rpc.conversion import page_limit, page_token, parse_item, parse_page_token
from drink_frontend.rpc.item_conversion import item_message, picture_message
from drink_frontend.rpc.response_limits import PageLimits
from drink_frontend.usecases.items import Items
from drink_frontend.usecases.watches import Watches

UPLOADS_MAX = 2
"""Pictures that are received at a time; each is in memory until its last byte has come."""

ROWS_OF_PART = 32
"""As how many rows of a list a part of a picture counts: it has as many bytes. A place reads some
2 MB a second with it."""


class ItemService(item_service_pb2_grpc.ItemServiceServicer):
    """The RPCs of drink.v1.ItemService.

    Args:
        items: The use cases of items.
        pages: Limits pages of lists, and parts of pictures as such.
        watches: Limits pictures that are sent, which count as watches.
        picture_limit_s: Seconds that a picture may take to come or to leave.
    """

    def __init__(
        self, items: Items, pages: PageLimits, watches: Watches, picture_limit_s: float
    ) -> None:
        self._items = items
        self._pages = pages
        self._watches = watches
        self._picture_limit_s = picture_limit_s
        self._uploads = 0

    async def ListItems(
        self, request: pb.ListItemsRequest, _context: Context
    ) -> pb.ListItemsResponse:
        """One page of items, in order of their numbers."""
        limit = page_limit(request.page_size)
        scope = f"items {request.barcode}"
        after = parse_page_token(request.page_token, scope) or 0
        async with self._pages.turn(current_call().place, limit):
            found = await self._items.list(after=after, barcode=request.barcode, limit=limit)
            messages, token = self._pages.page(
                found, item_message, limit, lambda item: page_token(item.number, scope)
            )
            return pb.ListItemsResponse(items=messages, next_page_token=token)

    async def GetItem(self, request: pb.GetItemRequest, _context: Context) -> pb.GetItemResponse:
        """Returns one item."""
        item = await self._items.get(parse_item(request.name, "name"))
        return pb.GetItemResponse(item=item_message(item))

    async def CreateItem(
        self, request: pb.CreateItemRequest, _context: Context
    ) -> pb.CreateItemResponse:
        """Makes an item."""
        actor = administrator("make items").id
        item = await self._items.create(
            actor,
            request.display_name,
            request.price,
            number=parse_item(request.name, "name") if request.name else None,
            barcode=request.barcode,
        )
        return pb.CreateItemResponse(item=item_message(item))

    async def UpdateItem(
        self, request: pb.UpdateItemRequest, _context: Context
    ) -> pb.UpdateItemResponse:
        """Changes what is given of an item, and with it the slots that sell it."""
        actor = administrator("change items").id
        item = await self._items.change(
            actor,
            parse_item(request.name, "name"),
            name=request.display_name if request.HasField("display_name") else None,
            price=request.price if request.HasField("price") else None,
            barcode=request.barcode if request.HasField("barcode") else None,
        )
        return pb.UpdateItemResponse(item=item_message(item))

    async def DeleteItem(
        self, request: pb.DeleteItemRequest, _context: Context
    ) -> pb.DeleteItemResponse:
        """Deletes an item that no slot sells."""
        actor = administrator("delete items").id
        await self._items.delete(actor, parse_item(request.name, "name"))
        return pb.DeleteItemResponse()

    async def SetItemPicture(
        self, requests: AsyncIterator[pb.SetItemPictureRequest], _context: Context
    ) -> pb.SetItemPictureResponse:
        """Gives an item another picture."""
        actor = administrator("change pictures").id
        if self._uploads >= UPLOADS_MAX:
            raise RateLimitedError("too many pictures are under way")
        self._uploads += 1
        try:
            async with asyncio.timeout(self._picture_limit_s):
                number, content = await _received(requests)
        except TimeoutError:
            raise RateLimitedError("the picture did not come in time") from None
        finally:
            self._uploads -= 1
        item = await self._items.set_picture(actor, number, content)
        return pb.SetItemPictureResponse(item=item_message(item))

    async def GetItemPicture(
        self, request: pb.GetItemPictureRequest, _context: Context
    ) -> AsyncGenerator[pb.GetItemPictureResponse, None]:
        """Sends the picture of an item."""
        owner = current_call().place
        number = parse_item(request.name, "name")
        parts = self._watches.follow(owner, self._picture(number, owner))
        async with aclosing(parts):
            async for part in parts:
                yield part

    async def _picture(
        self, number: int, owner: str
    ) -> AsyncGenerator[pb.GetItemPictureResponse, None]:
        loop = asyncio.get_running_loop()
        latest = loop.time() + self._picture_limit_s
        picture = (await self._items.get(number)).picture
        if picture is None:
            raise PictureNotFoundError("the item has no picture")
        for part in range(-(-picture.size // PART_BYTES)):
            if loop.time() > latest:
                raise RateLimitedError("the picture was not read in time")
            async with self._pages.turn(owner, ROWS_OF_PART):
                chunk = await self._items.picture_part(number, picture, part)
            known = None if part else picture_message(picture)
            yield pb.GetItemPictureResponse(picture=known, chunk=chunk)


async def _received(requests: AsyncIterator[pb.SetItemPictureRequest]) -> tuple[int, bytes]:
    """The item's number and the bytes of the picture in a stream of chunks.

    Raises:
        FieldInvalidError: the item is not named, or there are too many bytes.
    """
    name, content = "", bytearray()
    async for request in requests:
        if not name:
            parse_item(request.name, "name")
            name = request.name
        elif request.name not in ("", name):
            raise FieldInvalidError("name", "must be the same in all messages")
        if len(content) + len(request.chunk) > PICTURE_BYTES_MAX:
            raise FieldInvalidError("chunk", f"must be at most {PICTURE_BYTES_MAX} bytes in all")
        content += request.chunk
    return parse_item(name, "name"), bytes(content)
