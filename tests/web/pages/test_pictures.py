from pathlib import Path

from tests.support.rpc_frontend import ROOT
from tests.web.test_pictures import PICTURE, item
from tests.web.visitor import away_house, running_house


async def test_a_picture_has_an_address_that_changes_with_it(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        name = await item(house)
        path = f"/pictures/{name.removeprefix('items/')}"
        visitor = house.visitor()
        assert (await visitor.get(path)).status == 404
        await house.site.house.set_picture(name, PICTURE, ROOT)
        etag = house.site.house.pictures.known[name].etag
        answer = await visitor.get(f"{path}?v={etag}")
        assert answer.status == 200
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-length"] == str(len(PICTURE))
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        # Another address must not keep it.
        assert (await visitor.get(f"{path}?v=old")).headers["cache-control"] == "no-cache"
        kept = await visitor.get(path, if_none_match=answer.headers["etag"])
        assert (kept.status, kept.text) == (304, "")


async def test_there_is_nothing_at_other_addresses(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        for path in ("/pictures/99", "/pictures/x", "/pictures/%3Cb%3E", "/pictures/"):
            assert (await house.visitor().get(path)).status == 404


async def test_a_frontend_that_is_away_is_told(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        name = await item(house)
        await house.site.house.set_picture(name, PICTURE, ROOT)
        await house.frontend.server.stop(0)
        answer = await house.visitor().get(f"/pictures/{name.removeprefix('items/')}")
        assert answer.status == 503
    site, visitor = await away_house(tmp_path)
    assert (await visitor.get("/pictures/1")).status == 404
    await site.api.close()
