import asyncio
from pathlib import Path

from drink_frontend.domain.entities import Reach
from drink_web.pictures import Pictures
from drink_web.settings import PictureSettings
from tests.support.rpc_frontend import ROOT
from tests.support.tasks import cancel
from tests.web.test_pictures import PICTURE, item
from tests.web.visitor import LIMIT_S, away_house, running_house


async def test_machines_are_known_and_kept_up_to_date(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        known = house.site.house
        assert list(known.machines) == ["machines/d", "machines/ld"]
        assert known.is_current
        async with asyncio.timeout(LIMIT_S):
            await house.frontend.machines.followers.are(1)
            await house.bench.reach(Reach.OFFLINE)
            await house.bench.machines.change("test", "d", display_name="Renamed")
            while known.machines["machines/d"].display_name != "Renamed":
                await known.changed(known.version)


async def test_a_new_machine_takes_its_place(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        known = house.site.house
        async with asyncio.timeout(LIMIT_S):
            await house.frontend.machines.followers.are(1)
            await house.bench.machines.create("test", "a", "First")
            while "machines/a" not in known.machines:
                await known.changed(known.version)
        assert list(known.machines) == ["machines/a", "machines/d", "machines/ld"]


async def test_one_watch_serves_every_browser(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        page = "0123456789012345678901"
        async with (
            house.visitor().stream(f"/events?page={page}") as first,
            house.visitor().stream(f"/events?page={page}") as second,
        ):
            for stream in (first, second):
                assert await asyncio.wait_for(stream.get(), LIMIT_S) == "200"
            await asyncio.wait_for(house.frontend.machines.followers.are(1), LIMIT_S)


async def test_without_a_frontend_nothing_is_known(tmp_path: Path) -> None:
    site, _ = await away_house(tmp_path)
    watching = asyncio.create_task(site.house.run())
    await asyncio.sleep(0)
    assert not site.house.is_current
    await cancel(watching)
    await site.api.close()


async def test_a_frontend_that_ends_is_noticed_and_what_was_known_stays(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        known = house.site.house
        await house.frontend.server.stop(0)
        async with asyncio.timeout(LIMIT_S):
            while known.is_current:
                await known.changed(known.version)
        assert list(known.machines) == ["machines/d", "machines/ld"]


async def test_pictures_that_change_elsewhere_are_told_after_a_while(tmp_path: Path) -> None:
    async with running_house(tmp_path, pictures={"refresh_s": 0.05}) as house:
        known = house.site.house
        name = await item(house)
        await Pictures(house.site.api, PictureSettings()).set(name, PICTURE, ROOT)
        async with asyncio.timeout(LIMIT_S):
            while name not in known.pictures.known:
                await known.changed(known.version)
