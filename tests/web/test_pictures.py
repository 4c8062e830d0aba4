import asyncio
from pathlib import Path

import pytest

from drink.v1 import item_service_pb2 as pb
from drink_web.errors import CallError
from drink_web.pictures import CHUNK_BYTES, Pictures
from drink_web.settings import PictureSettings
from tests.support.rpc_frontend import ANN, ROOT
from tests.web.test_images import file
from tests.web.visitor import House, running_house

PICTURE = file("PNG", (40, 40))


async def item(house: House, name: str = "Mate") -> str:
    made = await house.frontend.call(pb.CreateItemRequest(display_name=name, price=70), ROOT)
    return str(made.item.name)


async def test_a_picture_is_set_and_read_and_removed(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        name, pictures = await item(house), house.site.house.pictures
        assert await pictures.file(name, ANN) is None
        await pictures.set(name, PICTURE, ROOT)
        assert pictures.known[name].media_type == "image/png"
        found = await pictures.file(name, ANN)
        assert found is not None
        assert (found.media_type, found.content) == ("image/png", PICTURE)
        # Kept: the same object, however many ask.
        again = await asyncio.gather(*(pictures.file(name, ANN) for _ in range(3)))
        assert all(each is found for each in again)
        await pictures.set(name, b"", ROOT)
        assert await pictures.file(name, ANN) is None


async def test_a_large_picture_goes_in_chunks(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        name, pictures = await item(house), house.site.house.pictures
        large = PICTURE + bytes(3 * CHUNK_BYTES)
        await pictures.set(name, large, ROOT)
        found = await pictures.file(name, ANN)
        assert found is not None
        assert found.content == large


async def test_only_administrators_set_a_picture(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        with pytest.raises(CallError) as caught:
            await house.site.house.pictures.set(await item(house), PICTURE, ANN)
        assert caught.value.reason == "ADMIN_REQUIRED"


async def test_what_is_known_changes_only_with_the_pictures(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        name, pictures = await item(house), house.site.house.pictures
        await pictures.set(name, PICTURE, ROOT)
        known = pictures.known
        assert not await pictures.refresh()
        assert pictures.known is known


async def test_memory_is_bounded_and_the_newest_stays(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        settings = PictureSettings(memory_bytes=1_048_576)
        pictures = Pictures(house.site.api, settings)
        names = [await item(house, f"item {number}") for number in range(3)]
        for number, name in enumerate(names):
            await pictures.set(name, PICTURE + bytes([number]) * 600_000, ROOT)
        first = await pictures.file(names[0], ANN)
        for name in names[1:]:
            await pictures.file(name, ANN)
        assert len(pictures._files) == 1
        again = await pictures.file(names[0], ANN)
        assert again == first
        assert again is not first
