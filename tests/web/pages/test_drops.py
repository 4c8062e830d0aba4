import asyncio
from pathlib import Path

import pytest

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Reach
from tests.support.ids import id_of
from tests.web.visitor import LIMIT_S, House, running_house

ORDER = {"request_id": "web-1", "slot": "machines/d/slots/1", "price": "50"}


async def kept(house: House) -> list[str]:
    return [drop.id for drop in await house.frontend.kept_drops()]


async def test_a_button_buys_once_however_often_it_is_pressed(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        answers = await asyncio.gather(*(ann.post("/drops", ORDER) for _ in range(5)))
        (drop,) = await kept(house)
        assert {answer.status for answer in answers} == {303}
        assert {answer.goal for answer in answers} == {f"/drops/{drop}"}
        page = await ann.get(f"/drops/{drop}")
        assert "Ordered. You can still cancel." in page.text
        assert "150 credits" in page.text
        assert 'data-remaining-ms="' in page.text


async def test_a_button_pressed_again_later_shows_its_drop(tmp_path: Path) -> None:
    async with running_house(tmp_path, drops={"undo_s": 0}) as house:
        ann = await house.ann()
        goal = (await ann.post("/drops", ORDER)).goal
        (drop,) = await house.frontend.kept_drops()
        await house.frontend.dispense(drop)
        again = await ann.post("/drops", ORDER)
        assert again.goal == f"{goal}?again=1"
        page = await ann.get(again.goal)
        assert "Nothing was bought again" in page.text
        assert "Coke fell. You paid 50 credits. 150 credits left." in page.text


async def test_what_waits_shows_how_many_come_before_it(tmp_path: Path) -> None:
    async with running_house(tmp_path, drops={"undo_s": 0}) as house:
        ann, goals = await house.ann(), []
        for number in range(3):
            order = {**ORDER, "request_id": f"web-{number}"}
            goals.append((await ann.post("/drops", order)).goal)
        pages = [(await ann.get(goal)).text for goal in goals]
        assert "It is next." in pages[0]
        assert "One drop comes before yours." in pages[1]
        assert "2 drops come before yours." in pages[2]
        assert not any("to go." in page for page in pages)
        first = (await house.frontend.kept_drops())[-1]
        house.frontend.bench.clock.pass_s(1)
        await house.frontend.dispense(first)
        assert "It is next." in (await ann.get(goals[1])).text


async def test_a_price_that_rose_is_not_paid(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        answer = await ann.post("/drops", {**ORDER, "price": "40"})
        assert answer.status == 409
        assert "Nothing was bought. The price has risen to 50." in answer.text
        assert not await kept(house)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"slot": "machines/d/slots/9"}, "no such slot"),
        ({"slot": "machines/x/slots/1"}, "no such machine"),
    ],
)
async def test_a_refusal_is_said_in_words(
    tmp_path: Path, changed: dict[str, str], words: str
) -> None:
    async with running_house(tmp_path) as house:
        answer = await (await house.ann()).post("/drops", {**ORDER, **changed})
        assert answer.status == 409
        assert words in answer.text


async def test_a_request_of_another_purchase_is_refused(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        await ann.post("/drops", ORDER)
        other = await ann.post("/drops", {**ORDER, "slot": "machines/ld/slots/1"})
        assert other.status == 409
        assert "out of date" in other.text
        assert len(await kept(house)) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"request_id": ""},
        {"request_id": "<script>"},
        {"request_id": "r" * 65},
        {"slot": "mäschine"},
        {"price": "-1"},
        {"price": "x"},
        {"price": "9" * 30},
        {"delay": "301"},
        {"delay": "1.5"},
    ],
)
async def test_a_form_of_nonsense_buys_nothing(tmp_path: Path, changed: dict[str, str]) -> None:
    async with running_house(tmp_path) as house:
        assert (await (await house.ann()).post("/drops", {**ORDER, **changed})).status == 400
        assert not await kept(house)


async def test_another_site_buys_nothing(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        answer = await ann.post("/drops", ORDER, sec_fetch_site="cross-site")
        assert answer.status == 403
        assert "another site" in answer.text
        assert not await kept(house)


async def test_a_link_buys_nothing(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        assert (await (await house.ann()).get("/drops")).status == 405
        assert not await kept(house)


async def test_a_visitor_logs_in_first(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        assert (await house.visitor().post("/drops", ORDER)).goal.startswith("/login")
        assert (await house.visitor().get("/drops/x")).goal == "/login?next=/drops/x"


async def test_a_drop_can_be_cancelled_until_it_is_at_the_machine(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        goal = (await ann.post("/drops", {**ORDER, "delay": "300"})).goal
        assert (await ann.post(f"{goal}/cancel")).goal == goal
        page = await ann.get(goal)
        assert "Cancelled, nothing paid" in page.text
        assert "200 credits" in page.text


async def test_too_late_is_said(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.dispatched()
        ann = await house.ann()
        answer = await ann.post(f"/drops/{drop.id}/cancel")
        assert answer.goal == f"/drops/{drop.id}?late=1"
        assert "too late to cancel" in (await ann.get(answer.goal)).text


async def test_the_unknown_says_what_is_held_and_what_happens_next(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.unknown()
        page = await (await house.ann()).get(f"/drops/{drop.id}")
        for words in ("50 credits are held, not paid.", "What happens next", drop.id):
            assert words in page.text


async def test_the_end_comes_to_the_page_by_itself(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.dispatched()
        ann = await house.ann()
        async with ann.stream(f"/drops/{drop.id}/events") as stream:
            told = ""
            while "The motor turns" not in told:
                told += await asyncio.wait_for(stream.get(), LIMIT_S)
            await house.bench.report(drop, State.DISPENSED)
            while "event: done" not in told:
                told += await asyncio.wait_for(stream.get(), LIMIT_S)
            assert "Enjoy!" in told
            assert 'hx-target="#credits"' in told


async def test_no_motor_is_told_of_while_the_machine_is_away(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.dispatched()
        ann = await house.ann()
        async with ann.stream(f"/drops/{drop.id}/events") as stream:
            told = ""
            while "The motor turns" not in told:
                told += await asyncio.wait_for(stream.get(), LIMIT_S)
            await house.bench.reach(Reach.OFFLINE)
            while "The machine does not answer" not in told:
                told = await asyncio.wait_for(stream.get(), LIMIT_S)
            assert "The motor turns" not in told
            assert "until then the credits are held" in told


async def test_a_stream_that_begins_while_the_frontend_is_away_says_so(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.place()
        ann = await house.ann()
        await house.frontend.server.stop(0)
        async with ann.stream(f"/drops/{drop.id}/events") as stream:
            assert await asyncio.wait_for(stream.get(), LIMIT_S) == "200"
            told = ""
            while "does not answer" not in told:
                told += await asyncio.wait_for(stream.get(), LIMIT_S)


async def test_somebody_elses_drop_is_not_there(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.place(account=id_of("bob"))
        ann = await house.ann()
        for path in (f"/drops/{drop.id}", f"/drops/{drop.id}/events"):
            assert (await ann.get(path)).status == 404


async def test_a_login_that_ended_ends_its_streams_and_leads_to_a_new_one(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.place()
        ann = await house.ann()
        async with ann.stream(f"/drops/{drop.id}/events") as stream:
            assert await asyncio.wait_for(stream.get(), LIMIT_S) == "200"
            cookies = dict(ann.cookies)
            await house.frontend.revoke("ann")
            while await asyncio.wait_for(stream.get(), LIMIT_S):
                pass
        ann.cookies = cookies
        assert (await ann.get(f"/drops/{drop.id}/events")).status == 401
        assert (await ann.get(f"/drops/{drop.id}")).goal.startswith("/login")


async def test_an_order_in_doubt_asks_again_with_its_own_request(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        await house.frontend.server.stop(0)
        answer = await ann.post("/drops", ORDER)
        assert answer.status == 503
        assert "never buys twice" in answer.text
        assert answer.field("request_id") == ORDER["request_id"]
        assert "request_id=web-1" in answer.text


async def test_whether_an_order_arrived_can_be_looked_up(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        query = "request_id=web-1&slot=machines/d/slots/1&price=50"
        looked = await ann.get(f"/drops/find?{query}")
        assert looked.status == 503
        assert "No drop of this order" in looked.text
        goal = (await ann.post("/drops", ORDER)).goal
        assert (await ann.get(f"/drops/find?{query}")).goal == goal


async def test_a_slot_has_a_page_with_delays(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        page = await ann.get("/machines/d/1")
        assert page.status == 200
        assert 'value="300"' in page.text
        for path in ("/machines/d/9", "/machines/x/1"):
            assert (await ann.get(path)).status == 404
