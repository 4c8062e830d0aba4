"""The kiosk without a browser's scripts: pairing, cards, buying, and what comes in the way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.drop import Cause, State
from tests.support.rpc_frontend import ROOT
from tests.support.sessions import until
from tests.web.test_pictures import PICTURE, item
from tests.web.visitor import House, Visitor, away_house, running_house

CARD = "04a2b3c4"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running_house(tmp_path) as house:
        await house.bench.accounts.cards.add("root", "ann", CardKind.CHIP, CARD)
        yield house


async def paired(house: House) -> Visitor:
    """The browser of a kiosk at machine d."""
    _, code = await house.bench.accounts.kiosks.pair("root", "d", "hall")
    kiosk = house.visitor()
    answer = await kiosk.post("/kiosk/pair", {"code": f" {code[:4]} {code[4:]} "})
    assert (answer.status, answer.goal) == (303, "/kiosk")
    return kiosk


async def with_card(house: House) -> Visitor:
    """A kiosk at which Ann has logged in."""
    kiosk = await paired(house)
    assert (await kiosk.post("/kiosk/login", {"number": CARD})).goal == "/kiosk"
    return kiosk


async def order(kiosk: Visitor) -> dict[str, str]:
    """What the first button on the screen sends."""
    page = await kiosk.get("/kiosk")
    return {name: page.field(name) for name in ("request_id", "slot", "price")}


async def test_a_browser_becomes_a_kiosk_by_its_code(house: House) -> None:
    kiosk = await paired(house)
    page = await kiosk.get("/kiosk")
    assert 'data-kind="start"' in page.text
    assert "Coke" in page.text
    assert 'action="/kiosk/drops"' not in page.text
    secret = next(text for name, text in kiosk.cookies.items() if name.endswith("-kiosk"))
    assert secret not in page.text


async def test_who_cannot_pay_is_told_at_the_kiosk(house: House) -> None:
    known = house.site.house
    await house.bench.change_slot("d", 1, price=230)
    while known.machines["machines/d"].slots[0].price != 230:
        await known.changed(known.version)
    kiosk = await with_card(house)
    page = (await kiosk.get("/kiosk")).text
    assert "30 short" in page
    assert "What shall fall?" in page
    await house.bench.change_slot("d", 2, price=201)
    while known.machines["machines/d"].slots[1].price != 201:
        await known.changed(known.version)
    page = (await kiosk.get("/kiosk")).text
    assert "Not enough credits" in page
    assert "Ask an administrator for credits" in page
    # The frontend has the last word, whatever the screen shows.
    order = {"request_id": "late", "slot": "machines/d/slots/1", "price": "230"}
    assert "It costs 230, and you have 200." in (await kiosk.post("/kiosk/drops", order)).text


async def test_over_https_the_cookies_are_of_this_host_only(house: House) -> None:
    _, code = await house.bench.accounts.kiosks.pair("root", "d")
    kiosk = house.visitor(scheme="https")
    await kiosk.post("/kiosk/pair", {"code": code})
    await kiosk.post("/kiosk/login", {"number": CARD})
    assert set(kiosk.cookies) == {"__Host-drink-kiosk", "__Host-drink-guest"}


@pytest.mark.parametrize("code", ["", "00000000", "1234567", "x" * 500, "\0"])
async def test_a_wrong_code_pairs_nothing(house: House, code: str) -> None:
    await house.bench.accounts.kiosks.pair("root", "d")
    kiosk = house.visitor()
    answer = await kiosk.post("/kiosk/pair", {"code": code})
    assert (answer.status, "This code is wrong" in answer.text) == (422, True)
    assert kiosk.cookies == {}


async def test_a_card_shows_name_credits_and_what_can_be_bought(house: House) -> None:
    kiosk = await with_card(house)
    page = await kiosk.get("/kiosk")
    assert 'data-kind="tiles"' in page.text
    assert "<strong>ann</strong>" in page.text
    assert "200 credits" in page.text
    assert 'data-quiet-s="30"' in page.text
    left_ms = int(page.text.partition('data-left-ms="')[2].partition('"')[0])
    assert 0 < left_ms <= 60_000


async def test_a_drop_is_placed_followed_and_shown_after_a_reload(house: House) -> None:
    kiosk = await with_card(house)
    wanted = await order(kiosk)
    for _ in range(2):
        assert (await kiosk.post("/kiosk/drops", wanted)).goal == "/kiosk"
    page = await kiosk.get("/kiosk")
    assert 'class="middle fall scheduled"' in page.text
    assert "150 credits" in page.text
    (drop,) = await house.frontend.kept_drops()
    assert (drop.state, drop.machine) == (State.SCHEDULED, "d")

    await kiosk.post("/kiosk/cancel")

    page = await kiosk.get("/kiosk")
    assert 'class="middle fall cancelled"' in page.text
    assert "200 credits" in page.text
    assert 'data-quiet-s="8"' in page.text


async def test_an_unknown_outcome_says_that_credits_are_held(house: House) -> None:
    kiosk = await with_card(house)
    await kiosk.post("/kiosk/drops", await order(kiosk))
    (drop,) = await house.frontend.kept_drops()
    house.bench.clock.pass_s(3)
    await house.bench.deadlines.look()
    await house.bench.take()
    await house.bench.report(drop, State.UNKNOWN, Cause.BOARD_SILENT)
    page = await kiosk.get("/kiosk")
    assert "50 credits are held, not paid." in page.text
    assert drop.id in page.text
    assert 'data-quiet-s="45"' in page.text


async def test_logging_out_leaves_nothing_to_the_next_person(house: House) -> None:
    kiosk = await with_card(house)
    kept = dict(kiosk.cookies)
    wanted = await order(kiosk)
    await kiosk.post("/kiosk/logout")
    page = await kiosk.get("/kiosk")
    assert 'data-kind="start"' in page.text
    assert ">ann<" not in page.text
    # The cookie of before is of no use: its token was ended at the frontend.
    kiosk.cookies = kept
    answer = await kiosk.post("/kiosk/drops", wanted)
    assert "That took too long" in answer.text
    assert await house.frontend.kept_drops() == []


async def test_an_unknown_card_is_told_and_logs_nobody_in(house: House) -> None:
    kiosk = await with_card(house)
    for number in ("ffffffff", "", "x" * 500, "<b>1234</b>"):
        answer = await kiosk.post("/kiosk/login", {"number": number})
        assert answer.status == 422
        is_number = number == "ffffffff"
        assert ('id="offered"' in answer.text) == is_number
        assert ("This card is not known here" in answer.text) != is_number
        assert "<strong>ann</strong>" not in answer.text
    for guess in range(10):
        answer = await kiosk.post("/kiosk/login", {"number": f"{guess:08x}"})
    assert "Too many cards" in answer.text


async def test_what_is_refused_is_told_and_costs_nothing(house: House) -> None:
    kiosk = await with_card(house)
    wanted = await order(kiosk)
    await house.bench.change_slot("d", 1, price=60)
    answer = await kiosk.post("/kiosk/drops", wanted)
    assert (answer.status, "The price has risen to 60." in answer.text) == (409, True)
    elsewhere = {**wanted, "slot": "machines/ld/slots/1", "request_id": "r2"}
    assert (await kiosk.post("/kiosk/drops", elsewhere)).status == 409
    assert (await kiosk.post("/kiosk/drops", {**wanted, "price": "x"})).status == 400
    assert await house.frontend.kept_drops() == []


async def test_nobody_buys_without_a_card(house: House) -> None:
    kiosk = await paired(house)
    wanted = {"request_id": "r1", "slot": "machines/d/slots/1", "price": "50"}
    for path in ("drops", "cancel", "logout"):
        assert (await kiosk.post(f"/kiosk/{path}", wanted)).goal == "/kiosk"
    assert (await house.visitor().post("/kiosk/login", {"number": CARD})).goal == "/kiosk"
    assert await house.frontend.kept_drops() == []


async def test_an_ended_kiosk_asks_for_a_code_again(house: House) -> None:
    kiosk = await with_card(house)
    (mine,) = await house.bench.accounts.kiosks.list()
    await house.bench.accounts.kiosks.unpair("root", mine.sequence)
    page = await kiosk.get("/kiosk")
    assert 'data-kind="pair"' in page.text
    assert "ended by an administrator" in page.text
    assert kiosk.cookies == {}


async def test_the_stream_shows_the_machine_as_it_changes(house: House) -> None:
    kiosk = await paired(house)
    page = await kiosk.get("/kiosk")
    name = page.text.partition('data-page="')[2].partition('"')[0]
    async with kiosk.stream(f"/kiosk/events?page={name}") as parts:
        assert await parts.get() == "200"
        assert "3 left" in await parts.get()
        await house.bench.change_slot("d", 1, available=0)
        async with asyncio.timeout(20):
            while "sold out" not in await parts.get():
                pass


async def test_tiles_show_the_pictures_of_items_as_they_change(house: House) -> None:
    kiosk, name = await paired(house), await item(house)
    await house.bench.change_slot("d", 1, sold_item=int(name.removeprefix("items/")))
    known = house.site.house
    async with asyncio.timeout(20):
        while known.machines["machines/d"].slots[0].sold_item != name:
            await known.changed(known.version)
    page = await kiosk.get("/kiosk")
    assert "<img" not in page.text
    drawn = page.text.partition('data-page="')[2].partition('"')[0]
    async with kiosk.stream(f"/kiosk/events?page={drawn}") as parts:
        assert await parts.get() == "200"
        await known.set_picture(name, PICTURE, ROOT)
        address = f'src="/{name.replace("items", "pictures")}?v={known.pictures.known[name].etag}"'
        async with asyncio.timeout(20):
            while address not in await parts.get():
                pass
    assert address in (await kiosk.get("/kiosk")).text


async def test_the_stream_follows_the_drop_to_its_end(house: House) -> None:
    kiosk = await with_card(house)
    await kiosk.post("/kiosk/drops", await order(kiosk))
    (drop,) = await house.frontend.kept_drops()
    async with kiosk.stream(f"/kiosk/events?page={'x' * 22}") as parts:
        assert await parts.get() == "200"
        async with asyncio.timeout(20):
            while "fall scheduled" not in await parts.get():
                pass
        await house.bench.drops.cancel(await house.bench.account("ann"), drop.id)
        told = ""
        async with asyncio.timeout(20):
            while "fall cancelled" not in told:
                told += await parts.get()


async def watched(house: House) -> None:
    """Waits until the frontend watches the cards of a kiosk."""
    await until(lambda: bool(house.bench.accounts.kiosks.cards.watched))


async def ticket_of(parts: asyncio.Queue[str]) -> str:
    """What the stream tells of the next card."""
    told = ""
    async with asyncio.timeout(20):
        while "event: card" not in told:
            told = await parts.get()
    return told.partition("data: ")[2].strip()


async def test_a_card_at_the_machines_reader_logs_in(house: House) -> None:
    kiosk = await paired(house)
    async with kiosk.stream(f"/kiosk/events?page={'x' * 22}") as parts:
        await watched(house)
        await house.bench.accounts.kiosks.cards.read_at_machine("d", CARD)
        ticket = await ticket_of(parts)
    assert (await kiosk.post("/kiosk/login", {"ticket": ticket})).goal == "/kiosk"
    page = await kiosk.get("/kiosk")
    assert "<strong>ann</strong>" in page.text
    await kiosk.post("/kiosk/drops", await order(kiosk))
    assert len(await house.frontend.kept_drops()) == 1


async def test_a_new_card_is_added_with_the_code_on_the_screen(house: House) -> None:
    kiosk, cards = await paired(house), house.bench.accounts.kiosks.cards
    async with kiosk.stream(f"/kiosk/events?page={'x' * 22}") as parts:
        await watched(house)
        await cards.read_at_machine("d", "deadbeef")
        ticket = await ticket_of(parts)
    shown = await kiosk.post("/kiosk/login", {"ticket": ticket})
    assert 'data-kind="code"' in shown.text
    assert 'data-still="all"' in shown.text
    assert 'data-quiet-s="60"' in shown.text
    code = "".join(shown.text.partition('aria-label="')[2].partition('"')[0].split())
    ann = await house.ann()
    form = {"do": "card_code", "code": f" {code[:3]} {code[3:]}", "title": "the new one"}
    assert (await ann.post("/account/devices", form)).goal == "/account/devices?done=1"
    assert "the new one" in (await ann.get("/account/devices")).text
    again = await ann.post("/account/devices", form)
    assert (again.status, "No card waits for this code" in again.text) == (409, True)
    assert (await kiosk.post("/kiosk/login", {"number": "deadbeef"})).goal == "/kiosk"


@pytest.mark.parametrize("ticket", ["x", "x" * 5_000, "\0"])
async def test_a_ticket_that_is_none_shows_the_start(house: House, ticket: str) -> None:
    kiosk = await paired(house)
    assert (await kiosk.post("/kiosk/login", {"ticket": ticket})).goal == "/kiosk"
    assert 'data-kind="start"' in (await kiosk.get("/kiosk")).text


async def test_what_was_told_is_not_drawn_over(house: House) -> None:
    kiosk = await paired(house)
    for still in ("first", "all"):
        async with kiosk.stream(f"/kiosk/events?page={'x' * 22}&still={still}") as parts:
            assert await parts.get() == "200"
            assert "event: beat" in await parts.get()
            await house.bench.change_slot("d", 1, available=0 if still == "first" else 2)
            told = ""
            async with asyncio.timeout(20):
                while told.count("event: beat") < 2 and "sold out" not in told:
                    told += await parts.get()
            assert ("sold out" in told) == (still == "first")


async def test_a_card_during_a_drop_logs_nobody_in_until_its_end(house: House) -> None:
    kiosk = await with_card(house)
    await kiosk.post("/kiosk/drops", await order(kiosk))
    (drop,) = await house.frontend.kept_drops()
    cards = house.bench.accounts.kiosks.cards
    async with kiosk.stream(f"/kiosk/events?page={'x' * 22}") as parts:
        async with asyncio.timeout(20):
            while "fall scheduled" not in await parts.get():
                pass
        assert cards.watched == set()
        await cards.read_at_machine("d", CARD)
        await house.bench.drops.cancel(await house.bench.account("ann"), drop.id)
        await watched(house)
        house.bench.clock.pass_s(1)
        await cards.read_at_machine("d", CARD)
        assert await ticket_of(parts)


@pytest.mark.parametrize("query", ["", "?page=x", f"?page={'<' * 22}"])
async def test_a_stream_needs_a_page_and_a_kiosk(house: House, query: str) -> None:
    kiosk = await paired(house)
    assert (await kiosk.get(f"/kiosk/events{query}")).status == 400
    assert (await house.visitor().get(f"/kiosk/events?page={'x' * 22}")).status == 400


async def test_another_site_neither_logs_in_nor_buys(house: House) -> None:
    kiosk = await with_card(house)
    wanted = await order(kiosk)
    for path in ("pair", "login", "drops", "cancel", "logout"):
        answer = await kiosk.post(f"/kiosk/{path}", wanted, sec_fetch_site="cross-site")
        assert answer.status == 403
    assert 'data-kind="tiles"' in (await kiosk.get("/kiosk")).text


async def test_an_order_without_an_answer_is_kept_and_asked_again(
    house: House, tmp_path: Path
) -> None:
    kiosk = await with_card(house)
    wanted = await order(kiosk)
    site, cut_off = await away_house(tmp_path)
    cut_off.cookies = kiosk.cookies
    answer = await cut_off.post("/kiosk/drops", wanted)
    assert (answer.status, "data-again" in answer.text) == (503, True)
    assert answer.field("request_id") == wanted["request_id"]
    assert "data-again" in (await cut_off.get("/kiosk")).text
    await site.api.close()
    # The frontend is back, and the order never reached it.
    kiosk.cookies = cut_off.cookies
    assert "data-again" in (await kiosk.get("/kiosk")).text
    await kiosk.post("/kiosk/drops", wanted)
    assert "fall scheduled" in (await kiosk.get("/kiosk")).text
    assert len(await house.frontend.kept_drops()) == 1


async def test_without_a_frontend_the_kiosk_says_so(house: House, tmp_path: Path) -> None:
    kiosk = await paired(house)
    site, cut_off = await away_house(tmp_path)
    cut_off.cookies = kiosk.cookies
    page = await cut_off.get("/kiosk")
    assert (page.status, "The server does not answer" in page.text) == (200, True)
    answer = await cut_off.post("/kiosk/login", {"number": CARD})
    assert "The server does not answer" in answer.text
    await site.api.close()
