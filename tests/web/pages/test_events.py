import asyncio
import re
from pathlib import Path

import pytest

from drink.v1 import event_service_pb2 as pb
from drink_web.pages import events
from drink_web.pages.events import GROUPS, ROWS, event_view
from drink_web.texts import TEXTS
from tests.support.rpc_frontend import ROOT
from tests.web.pages.test_items import root
from tests.web.visitor import LIMIT_S, House, running_house


def stream_path(text: str) -> str:
    """Where a page gets what is new from."""
    found = re.search(r'hx-sse:connect="([^"]*)"', text)
    assert found is not None, text
    return found[1].replace("&amp;", "&")


async def test_what_happened_is_listed_with_who_did_it(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        drop = await house.bench.place()
        await house.bench.change_slot("d", 2, item="<b>Mate")
        page = (await admin.get("/admin/events")).text
        assert f'href="/admin/drops/{drop.id}"' in page
        assert "&lt;b&gt;Mate" in page
        assert "root" in page
        assert page.index("&lt;b&gt;Mate") < page.index(drop.id)


async def test_events_are_selected_by_what_they_are_about(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        drop = await house.bench.place()
        for query, is_there in (
            ("kind=drops", True),
            ("kind=alarms", False),
            ("machine=d", True),
            ("machine=ld", False),
            ("account=ann", True),
            ("account=bob", False),
        ):
            page = (await admin.get(f"/admin/events?{query}")).text
            assert (f"/admin/drops/{drop.id}" in page) == is_there, query


@pytest.mark.parametrize(
    ("query", "status"),
    [("kind=x", 400), ("machine=x", 404), ("account=x", 404), ("page=x", 404)],
)
async def test_a_wrong_selection_is_refused(tmp_path: Path, query: str, status: int) -> None:
    async with running_house(tmp_path) as house:
        assert (await (await root(house)).get(f"/admin/events?{query}")).status == status


async def test_older_ones_are_on_further_pages(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        for price in range(ROWS):
            await house.bench.change_slot("d", 1, price=price + 100)
        page = (await admin.get("/admin/events?kind=stock")).text
        older = re.search(r'href="(/admin/events\?[^"]*page=[^"]*)"', page)
        assert older is not None
        second = (await admin.get(older[1].replace("&amp;", "&"))).text
        assert "149 credits" in page
        assert "149 credits" not in second
        assert "hx-sse:connect" not in second


async def test_what_happens_comes_by_itself_and_the_list_stays_bounded(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        path = stream_path((await admin.get("/admin/events?kind=stock")).text)
        async with admin.stream(path) as stream, asyncio.timeout(2 * LIMIT_S):
            assert await stream.get() == "200"
            for price in range(ROWS + 5):
                await house.bench.change_slot("d", 1, price=price + 100)
            told = ""
            while f"{ROWS + 104} credits" not in told:
                told = await stream.get()
            assert told.count("<li ") == ROWS
            assert "100 credits" not in told


async def test_a_stream_goes_on_after_the_frontend_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "RETRY_S", 0.05)
    async with running_house(tmp_path) as house:
        admin = await root(house)
        path = stream_path((await admin.get("/admin/events")).text)
        async with admin.stream(path) as stream, asyncio.timeout(LIMIT_S):
            await house.bench.change_slot("d", 1, price=77)
            while "77 credits" not in await stream.get():
                pass
            await house.frontend.server.stop(0)
            while "does not answer" not in await stream.get():
                pass


async def test_a_watch_that_cannot_go_on_has_the_page_loaded_again(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        path = stream_path((await admin.get("/admin/events")).text)
        async with admin.stream(path) as stream, asyncio.timeout(LIMIT_S):
            await stream.get()
            await house.bench.accounts.change("test", "bob", admin=True)
            # The watch has begun: one that begins later has the rights of then.
            while "bob" not in await stream.get():
                pass
            await house.bench.accounts.change("test", "ann", admin=False)
            while "event: reload" not in await stream.get():
                pass


async def test_events_are_for_administrators(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        for path in ("/admin/events", "/admin/events/stream"):
            assert (await ann.get(path)).status == 403


async def all_events(house: House) -> list[pb.Event]:
    answer = await house.frontend.call(pb.ListEventsRequest(page_size=100), ROOT)
    return list(answer.events)


async def test_every_kind_has_words_and_a_group(tmp_path: Path) -> None:
    kinds = set(pb.Event.Kind.values()) - {pb.Event.KIND_UNSPECIFIED}
    assert {kind for group in GROUPS.values() for kind in group} == kinds
    for texts in TEXTS.values():
        assert not any(texts.word("event", kind).startswith("event ") for kind in kinds)
    async with running_house(tmp_path) as house:
        await house.bench.unknown()
        for each in await all_events(house):
            view = event_view(each, TEXTS["de"])
            assert view.title
            assert view.kind
    # Of a newer frontend, without what this page knows.
    assert event_view(pb.Event(name="things/1"), TEXTS["en"]).title == "things/1"
