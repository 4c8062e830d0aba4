"""ItemService: anyone can list items, administrators look after them."""
# ruff: noqa: N802 - the methods are named by the protocol

from drink.v1 import item_service_pb2 as pb
from drink.v1 import item_service_pb2_grpc
from drink_frontend.rpc.calls import Context, administrator, current_call
from drink_frontend.rpc.conversion import page_limit, page_token, parse_item, parse_page_token
from drink_frontend.rpc.item_conversion import item_message
from drink_frontend.rpc.response_limits import PageLimits
from drink_frontend.usecases.items import Items


class ItemService(item_service_pb2_grpc.ItemServiceServicer):
    """The RPCs of drink.v1.ItemService.

    Args:
        items: The use cases of items.
        pages: Limits pages of lists.
    """

    def __init__(self, items: Items, pages: PageLimits) -> None:
        self._items = items
        self._pages = pages

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
        actor = administrator("make items").name
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
        actor = administrator("change items").name
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
        actor = administrator("delete items").name
        await self._items.delete(actor, parse_item(request.name, "name"))
        return pb.DeleteItemResponse()
