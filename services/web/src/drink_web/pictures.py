"""The pictures of items: which there are, and their bytes, kept in memory up to a limit."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from drink.v1 import item_service_pb2 as pb
from drink_web.api import Api, Metadata
from drink_web.errors import CallError
from drink_web.settings import PictureSettings

CHUNK_BYTES = 32_768
"""Bytes of a message of an upload; the API takes 60,000."""

PAGE_ROWS = 1_000
"""Items of one call: as many as the API gives at once."""


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture as it is served."""

    media_type: str
    content: bytes


class Pictures:
    """What is known of the pictures of all items.

    Args:
        api: The frontend.
        settings: Limits.
    """

    def __init__(self, api: Api, settings: PictureSettings) -> None:
        self._api = api
        self._settings = settings
        self._files: OrderedDict[str, PictureFile] = OrderedDict()
        self._reading = asyncio.Lock()
        self.known: Mapping[str, pb.Picture] = {}
        """The picture of each item that has one, by the item's resource name. Another object
        whenever one of them is another."""

    async def refresh(self) -> bool:
        """Asks which items have pictures; returns whether anything is new.

        Raises:
            CallError: the frontend does not answer.
        """
        found: dict[str, pb.Picture] = {}
        request = pb.ListItemsRequest(page_size=PAGE_ROWS)
        while True:
            answer = await self._api.call(self._api.items.ListItems, request, self._api.caller())
            found |= {item.name: item.picture for item in answer.items if item.HasField("picture")}
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
        if found == self.known:
            return False
        self.known = found
        return True

    async def set(self, item: str, content: bytes, caller: Metadata) -> None:
        """Gives an item another picture; no bytes at all remove it.

        Raises:
            CallError: the frontend refused, or did not answer.
        """
        await self._api.call(self._api.items.SetItemPicture, _chunks(item, content), caller)
        await self.refresh()

    async def file(self, item: str, caller: Metadata) -> PictureFile | None:
        """The picture of an item; None if it has none.

        Raises:
            CallError: the frontend does not answer, or the picture is just being replaced.
        """
        picture = self.known.get(item)
        if picture is None:
            return None
        # One after another, so that many browsers at once do not fetch the same one.
        async with self._reading:
            found = self._files.get(picture.etag)
            if found is None:
                found = await self._read(item, caller)
                self._keep(picture.etag, found)
            self._files.move_to_end(picture.etag)
        return found

    async def _read(self, item: str, caller: Metadata) -> PictureFile:
        media_type, content = "", bytearray()
        request = pb.GetItemPictureRequest(name=item)
        watch = self._api.watch(self._api.items.GetItemPicture, request, caller)
        try:
            async with asyncio.timeout(self._settings.read_limit_s), watch as messages:
                async for message in messages:
                    media_type = media_type or message.picture.media_type
                    content += message.chunk
        except TimeoutError:
            raise CallError("DEADLINE_EXCEEDED") from None
        return PictureFile(media_type, bytes(content))

    def _keep(self, etag: str, file: PictureFile) -> None:
        self._files[etag] = file
        size = sum(len(each.content) for each in self._files.values())
        while size > self._settings.memory_bytes and len(self._files) > 1:
            _, oldest = self._files.popitem(last=False)
            size -= len(oldest.content)


async def _chunks(item: str, content: bytes) -> AsyncIterator[pb.SetItemPictureRequest]:
    yield pb.SetItemPictureRequest(name=item)
    for start in range(0, len(content), CHUNK_BYTES):
        yield pb.SetItemPictureRequest(chunk=content[start : start + CHUNK_BYTES])
