from pathlib import Path

import pytest

from drink.v1 import account_service_pb2 as pb
from drink.v1 import item_service_pb2 as items
from drink.v1 import machine_service_pb2 as machines
from drink_web.pages.favourites import FAVOURITES_MAX
from tests.support.rpc_frontend import ANN, ROOT
from tests.web.visitor import House, away_house, running_house

SLOT = "machines/d/slots/1"


async def favourites(house: House) -> list[str]:
    answer = await house.frontend.call(pb.GetPreferencesRequest(), ANN)
    return list(answer.preferences.favourites)


async def keep(house: House, *names: str) -> None:
    favourites = pb.Favourites(names=names)
    await house.frontend.call(pb.UpdatePreferencesRequest(favourites=favourites), ANN)


async def test_a_star_brings_a_slot_to_the_top_and_away_again(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        assert 'id="favourite-d-1"' not in (await ann.get("/")).text
        answer = await ann.post("/favourites", {"favourite": SLOT, "do": "add"})
        assert answer.goal == "/#tile-d-1"
        page = (await ann.get("/")).text
        assert page.index('id="favourite-d-1"') < page.index('id="machine-d"')
        assert await favourites(house) == [SLOT]
        # Twice is once.
        await ann.post("/favourites", {"favourite": SLOT, "do": "add"})
        assert await favourites(house) == [SLOT]
        await ann.post("/favourites", {"favourite": SLOT, "do": "remove"})
        assert await favourites(house) == []


async def test_an_item_of_the_list_is_a_favourite_wherever_it_is_sold(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        made = await house.frontend.call(
            items.CreateItemRequest(display_name="Mate", price=70), ROOT
        )
        for slot in (SLOT, "machines/ld/slots/1"):
            request = machines.UpdateSlotRequest(name=slot, sold_item=made.item.name)
            await house.frontend.call(request, ROOT)
        known = house.site.house
        while not all(
            known.machines[f"machines/{name}"].slots[0].sold_item for name in ("d", "ld")
        ):
            await known.changed(known.version)
        ann = await house.ann()
        await ann.post("/favourites", {"favourite": SLOT, "do": "add"})
        assert await favourites(house) == [made.item.name]
        page = (await ann.get("/")).text
        assert 'id="favourite-d-1"' in page
        assert 'id="favourite-ld-1"' in page


async def test_nobody_sees_the_favourites_of_others(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await keep(house, SLOT)
        assert 'id="favourite-d-1"' not in (await house.visitor().get("/")).text
        assert (await house.visitor().post("/favourites", {"favourite": SLOT})).goal.startswith(
            "/login"
        )


@pytest.mark.parametrize("slot", ["", "machines/d/slots/99", "machines/x", "<b>", "accounts/ann"])
async def test_a_favourite_has_to_be_a_slot(tmp_path: Path, slot: str) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        assert (await ann.post("/favourites", {"favourite": slot, "do": "add"})).status == 404


async def test_more_than_the_api_keeps_are_refused_and_told(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        made = [
            await house.frontend.call(items.CreateItemRequest(display_name="x", price=1), ROOT)
            for _ in range(FAVOURITES_MAX)
        ]
        await keep(house, *(each.item.name for each in made))
        answer = await (await house.ann()).post("/favourites", {"favourite": SLOT, "do": "add"})
        assert answer.status == 409
        assert "20 favourites" in answer.text
        assert len(await favourites(house)) == FAVOURITES_MAX


async def test_the_language_of_the_account_is_spoken_from_the_login_on(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await house.frontend.call(pb.UpdatePreferencesRequest(language="de-AT"), ANN)
        ann = await house.ann()
        assert "Verlauf" in (await ann.get("/history", accept_language="en")).text
        # Changed elsewhere: the first page learns of it, and all pages after it.
        await house.frontend.call(pb.UpdatePreferencesRequest(language="en"), ANN)
        assert "3 left" in (await ann.get("/", accept_language="de")).text
        assert "History" in (await ann.get("/history", accept_language="de")).text
        # A language that the page does not speak: the browser's.
        await house.frontend.call(pb.UpdatePreferencesRequest(language="fr"), ANN)
        assert "noch 3" in (await ann.get("/", accept_language="de")).text


async def test_without_a_frontend_there_are_no_favourites(tmp_path: Path) -> None:
    site, visitor = await away_house(tmp_path)
    assert (await visitor.get("/?q=coke")).status == 503
    await site.api.close()
