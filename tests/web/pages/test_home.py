import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from drink.v1.account_service_pb2 import AddCreditsRequest
from drink_frontend.domain.entities import Reach
from tests.support.rpc_frontend import PASSWORD, ROOT
from tests.web.visitor import LIMIT_S, House, away_house, running_house

PAGE = "0123456789012345678901"
SLOT = "machines/d/slots/1"


async def test_a_visitor_sees_what_there_is(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        page = await house.visitor().get("/")
        assert page.status == 200
        for word in ("Coke", "50", "3 left", "Log in"):
            assert word in page.text
        assert 'action="/drops"' not in page.text
        assert page.headers["cache-control"] == "no-store"


async def test_german_is_spoken_to_those_who_wish_it(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        page = await house.visitor().get("/", accept_language="de-DE,en;q=0.5")
        assert "noch 3" in page.text
        assert 'lang="de"' in page.text


async def test_names_of_markup_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await house.bench.machines.change("test", "d", display_name="<script>alert(1)</script>")
        async with asyncio.timeout(LIMIT_S):
            while "<script>" not in house.site.house.machines["machines/d"].display_name:
                await house.site.house.changed(house.site.house.version)
        page = await house.visitor().get("/")
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert" in page.text


async def test_each_drawing_has_buttons_of_its_own(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        first, second = await ann.get("/"), await ann.get("/")
        assert first.field("request_id") != second.field("request_id")
        assert "200 credits" in first.text


async def test_changes_are_told_with_the_buttons_of_the_drawn_page(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        async with ann.stream(f"/events?page={PAGE}") as stream:
            assert await asyncio.wait_for(stream.get(), LIMIT_S) == "200"
            assert f"web-{PAGE}-d-1" in await asyncio.wait_for(stream.get(), LIMIT_S)
            await house.bench.reach(Reach.OFFLINE)
            told = ""
            while "offline" not in told:
                told = await asyncio.wait_for(stream.get(), LIMIT_S)
            assert 'hx-target="#machine-d"' in told
            assert "machine-ld" not in told
            assert f"web-{PAGE}-d-1" in told


@pytest.mark.parametrize("page", ["", "short", "<script>012345678901234"])
async def test_a_stream_is_for_a_drawn_page(tmp_path: Path, page: str) -> None:
    async with running_house(tmp_path) as house:
        assert (await house.visitor().get(f"/events?page={page}")).status == 400


async def priced(house: House, price: int) -> None:
    """Sets the price of the first slot, and waits until the page knows."""
    await house.bench.change_slot("d", 1, price=price)
    known = house.site.house
    async with asyncio.timeout(LIMIT_S):
        while known.machines["machines/d"].slots[0].price != price:
            await known.changed(known.version)


async def test_who_cannot_pay_sees_what_is_missing_and_where_to_go_on(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await priced(house, 230)
        ann, bob = await house.ann(), house.visitor()
        await house.bench.accounts.change("test", "bob", password=PASSWORD)
        assert (await bob.log_in("bob")).status == 303
        page = (await ann.get("/")).text
        assert '<a class="button quiet" href="/machines/d/1">30 short' in page
        assert f'value="{SLOT}"' not in page.replace(f'name="favourite" value="{SLOT}"', "")
        assert 'name="slot" value="machines/d/slots/2"' in page
        assert '<a class="button quiet" href="/machines/d/1">130 short' in (await bob.get("/")).text
        slot = (await ann.get("/machines/d/1")).text
        assert "It costs 230, and you have 200." in slot
        assert 'href="/account"' in slot
        assert 'action="/drops"' not in slot


async def test_a_page_from_before_the_credits_came_locks_nobody_out(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await priced(house, 230)
        ann = await house.ann()
        order = {"request_id": f"web-{PAGE}-d-1", "slot": SLOT, "price": "230"}
        refused = await ann.post("/drops", order)
        assert refused.status == 409
        assert "It costs 230, and you have 200." in refused.text
        assert "30 short" in (await ann.get("/")).text
        given = AddCreditsRequest(account="accounts/ann", credits=30, request_id="more")
        await house.frontend.call(given, ROOT)
        # The page that is still open leads to the slot, which is drawn for the credits of now.
        assert 'action="/drops"' in (await ann.get("/machines/d/1")).text
        async with ann.stream(f"/events?page={PAGE}") as stream, asyncio.timeout(LIMIT_S):
            assert await stream.get() == "200"
            told = await stream.get()
            assert "230 credits" in told
            assert "short" not in told
        assert (await ann.post("/drops", order)).goal.startswith("/drops/")


async def test_drops_on_their_way_are_on_top(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.place()
        page = await (await house.ann()).get("/")
        assert f"/drops/{drop.id}" in page.text
        assert f"/drops/{drop.id}" not in (await house.visitor().get("/")).text


async def test_without_a_frontend_the_page_says_so(tmp_path: Path) -> None:
    site, visitor = await away_house(tmp_path)
    page = await visitor.get("/")
    assert page.status == 503
    assert "does not answer" in page.text
    assert "data-reload-s" in page.text
    await site.api.close()


async def test_items_are_searched_in_all_machines(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        found = (await house.visitor().get("/?q=cOk")).text
        assert 'id="tile-d-1"' in found
        assert 'value="cOk"' in found
        none = (await house.visitor().get("/?q=%3Cb%3Ex")).text
        assert 'id="tile-d-1"' not in none
        assert "No machine has such an item." in none
        assert "<b>x" not in none


async def test_a_search_is_told_of_changes_of_what_it_found(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        async with ann.stream(f"/events?page={PAGE}&q=tea") as stream, asyncio.timeout(LIMIT_S):
            assert await stream.get() == "200"
            assert "tile-d-2" in await stream.get()
            await house.bench.change_slot("d", 2, item="Mate")
            while "No machine has such an item." not in await stream.get():
                pass


async def test_favourites_are_told_of_changes(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        await ann.post("/favourites", {"favourite": "machines/d/slots/1", "do": "add"})
        async with ann.stream(f"/events?page={PAGE}") as stream, asyncio.timeout(LIMIT_S):
            await house.bench.change_slot("d", 1, price=77)
            told = ""
            while 'hx-target="#favourites"' not in told or "77" not in told:
                told = await stream.get()


async def test_the_stream_of_an_ended_login_is_refused(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        await house.frontend.revoke("ann")
        assert (await ann.get(f"/events?page={PAGE}")).status == 401


async def test_a_thousand_streams_of_one_address_leave_room_for_others(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house, AsyncExitStack() as undo:
        statuses: Counter[str] = Counter()
        for _ in range(1_000):
            stream = await undo.enter_async_context(
                house.visitor(address="192.0.2.66").stream(f"/events?page={PAGE}")
            )
            statuses[await asyncio.wait_for(stream.get(), LIMIT_S)] += 1
        allowed = house.site.settings.streams.per_address_max
        assert statuses == {"200": allowed, "429": 1_000 - allowed}
        other = house.visitor(address="192.0.2.67")
        async with other.stream(f"/events?page={PAGE}") as stream:
            assert await asyncio.wait_for(stream.get(), LIMIT_S) == "200"
        assert (await house.visitor(address="192.0.2.66").get("/")).status == 200
