import re
from pathlib import Path
from typing import Any

import pytest

from drink.v1 import statistics_service_pb2_grpc
from drink_frontend.domain.drop import Cause, State
from drink_web.pages import statistics
from tests.support.ids import ANN, id_of
from tests.web.pages.test_admin import root
from tests.web.visitor import House, Visitor, running_house

BY_ITEM = "By item"


async def sell(house: House) -> None:
    """Ann got two Cokes and a Tea, one of which is given back, Bob a Coke; and others fell not."""
    bench = house.bench
    await bench.report(await bench.dispatched("s1", account=ANN))
    await bench.report(await bench.dispatched("s2", account=ANN, slot=2))
    await bench.report(await bench.dispatched("s3", account=ANN))
    await bench.report(await bench.dispatched("s4", account=id_of("bob"), machine="ld"))
    failed = await bench.dispatched("s5", account=id_of("bob"), machine="ld")
    await bench.report(failed, State.NOT_DISPENSED, Cause.BOARD_REFUSED)
    await bench.counting.catch_up()


def row(page: str, label: str) -> list[str]:
    """The numbers in the first row of a table with that label."""
    head = rf'<tr>(?:<td[^>]*>\d+</td>)?<th scope="row">(?:<\w[^>]*>)?{label}<'
    found = re.search(rf"{head}.*?</tr>", page, re.DOTALL)
    assert found is not None, page
    return re.findall(r'<td class="number[^"]*">(-?\d+)</td>', found[0])


async def join(house: House, user: Visitor, *, ranked: str = "yes") -> None:
    answer = await user.post("/statistics/ranking", {"ranked": ranked})
    assert answer.goal == "/statistics?done=changed#ranking"


async def test_a_member_sees_the_own_numbers_and_the_house(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await sell(house)
        page = (await (await house.ann()).get("/statistics")).text
        assert page.count("<dd>3</dd>") == 4
        assert page.count("130 credits") == 4
        assert "<dd>1 day</dd>" in page
        assert row(page, "Items that fell") == ["3"] * 4
        assert row(page, "Credits spent") == ["130"] * 4
        own, _, whole = page.partition("Items of the house")
        assert row(own, "Coke") == ["2"]
        assert row(own, "Tea") == ["1"]
        assert row(whole, "Coke") == ["3"]
        # A bar of each item: the longest is whole, and Tea's half of Coke's.
        assert '<rect width="100.0%"' in own
        assert '<rect width="50.0%"' in own
        own, _, whole = whole.partition("Your hours")[2].partition("Hours of the house")
        hour = re.search(r"Most: (\d+:00), 3<", own)
        assert hour is not None
        assert row(own, hour[1]) == ["3", "130"]
        assert row(whole, hour[1]) == ["4", "180"]
        assert "Failed, cancelled and uncertain drops do not count" in page
        assert "Europe/Berlin" in page


@pytest.mark.parametrize("time", ["month", "year", "ever"])
async def test_items_are_those_of_the_chosen_time(tmp_path: Path, time: str) -> None:
    async with running_house(tmp_path) as house:
        await sell(house)
        # 45 days on it is another month, and the year still the same..
        house.bench.clock.jump_s(45 * 86_400)
        page = (await (await house.ann()).get(f"/statistics?time={time}")).text
        assert page.count('"50.0%"') == (0 if time == "month" else 1)
        assert f'href="/statistics?time={time}&amp;ranking=week#charts" aria-current' in page


async def test_a_new_member_is_told_what_will_be_here(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        page = await ann.get("/statistics")
        assert page.status == 200
        assert "You have got nothing so far." in page.text
        assert page.text.count("Nothing yet.") == 4
        assert "Nobody is in this ranking" in page.text
        ann.headers["accept-language"] = "de"
        assert "Du hast bisher nichts bekommen." in (await ann.get("/statistics")).text


async def test_unknown_drops_are_told_apart(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await house.bench.unknown()
        await house.bench.counting.catch_up()
        page = (await (await house.ann()).get("/statistics")).text
        assert "You have got nothing so far." in page
        assert row(page, "Not certain") == ["1"] * 4
        assert row(page, "Credits held") == ["50"] * 4
        assert row(page, "Credits spent") == ["0"] * 4


async def test_only_who_wants_to_be_is_ranked(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await sell(house)
        ann = await house.ann()
        assert "Nobody is in this ranking" in (await ann.get("/statistics")).text
        await join(house, ann)
        page = (await ann.get("/statistics?done=changed")).text
        assert "Changed." in page
        assert "You may appear here." in page
        ranking = page.partition('id="ranking"')[2]
        assert row(ranking, "ann") == ["1", "3"]
        assert "bob" not in ranking
        for time in statistics.RANKINGS:
            ranking = (await ann.get(f"/statistics?ranking={time}")).text
            assert row(ranking.partition('id="ranking"')[2], "ann") == ["1", "3"]
        await house.bench.accounts.change("test", "ann", display_name="Ann A.")
        ranking = (await ann.get("/statistics")).text.partition('id="ranking"')[2]
        assert row(ranking, "Ann A.") == ["1", "3"]
        await join(house, ann, ranked="no")
        assert "Nobody is in this ranking" in (await ann.get("/statistics")).text


async def test_a_ranking_is_joined_by_a_form_of_the_page_only(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        form = {"ranked": "yes"}
        answer = await ann.post("/statistics/ranking", form, **{"sec-fetch-site": "cross-site"})
        assert answer.status == 403
        for wrong in ({}, {"ranked": "perhaps"}):
            assert (await ann.post("/statistics/ranking", wrong)).status == 400
        assert (await ann.get("/statistics/ranking")).status == 405
        assert "You do not appear here." in (await ann.get("/statistics")).text


async def test_many_items_become_one_row_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "PAGE_ROWS", 1)
    monkeypatch.setattr(statistics, "BARS_MAX", 1)
    async with running_house(tmp_path) as house:
        bench = house.bench
        await bench.change_slot("ld", 1, item="Mate <b>")
        await sell(house)
        page = (await (await house.ann()).get("/statistics")).text
        whole = page.partition("Items of the house")[2]
        assert row(whole, "Coke") == ["2"]
        assert row(whole, "2 others") == ["2"]
        assert "Mate" not in page


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("time=decade", 400),
        ("time=", 400),
        ("ranking=ever", 400),
        ("account=bob", 403),
        ("account=nobody", 403),
        ("account=a/b", 404),
        ("account=" + "x" * 600, 404),
    ],
)
async def test_wrong_questions_of_members_are_refused(
    tmp_path: Path, query: str, status: int
) -> None:
    async with running_house(tmp_path) as house:
        await sell(house)
        answer = await (await house.ann()).get(f"/statistics?{query}")
        assert answer.status == status
        assert "Items of the house" not in answer.text


async def test_administrators_see_another_accounts_numbers(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await sell(house)
        operator = await root(house)
        page = await operator.get("/statistics?account=bob")
        assert row(page.text, "Items that fell") == ["1"] * 4
        assert row(page.text, "Failed") == ["1"] * 4
        assert "bob: Items" in page.text
        assert 'href="/statistics?account=bob"' in (await operator.get("/admin/users/bob")).text
        assert 'action="/statistics/ranking"' not in page.text
        assert (await operator.get("/statistics?account=nobody")).status == 404


async def test_a_month_is_shown_to_administrators(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await sell(house)
        operator = await root(house)
        page = (await operator.get("/admin/statistics")).text
        month = re.search(r'name="month" value="(\d{4}-\d\d)"', page)
        assert month is not None
        assert "<dd>4</dd>" in page
        assert "<dd>180</dd>" in page
        days, _, rest = page.partition(BY_ITEM)
        # Items, credits, given back, failed, not certain.
        assert row(rest, "Coke") == ["3", "150", "0", "1", "0"]
        assert row(rest, "LD") == ["1", "50", "0", "1", "0"]
        assert row(rest, "ann") == ["3", "130", "0", "0", "0"]
        assert '<a href="/statistics?account=bob">bob</a>' in rest
        assert '<a href="/admin/machines/ld">LD</a>' in rest
        assert re.search(rf'<th scope="row">{month[1]}-\d\d</th><td class="number">4</td>', days)
        before = re.search(r'href="(/admin/statistics\?month=[\d-]+)" rel="prev"', page)
        assert before is not None
        assert 'rel="next"' not in page
        page = (await operator.get(before[1])).text
        assert "Nothing was dropped in this month." in page
        assert f'href="/admin/statistics?month={month[1]}" rel="next"' in page
        assert BY_ITEM in (await operator.get("/admin/statistics?month=")).text


async def test_a_list_that_is_cut_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "PAGE_ROWS", 1)
    monkeypatch.setattr(statistics, "ROWS_MAX", 1)
    async with running_house(tmp_path) as house:
        await sell(house)
        page = (await (await root(house)).get("/admin/statistics")).text
        assert "There are more than these 1" in page.partition(BY_ITEM)[2]


@pytest.mark.parametrize(
    "month", ["junk", "2026-13", "2026-00", "2026-1", "0999-01", "9999-01", "2026-11-01", "²026-11"]
)
async def test_what_is_no_month_is_refused(tmp_path: Path, month: str) -> None:
    async with running_house(tmp_path) as house:
        answer = await (await root(house)).get(f"/admin/statistics?month={month}")
        assert answer.status == (404 if month == "9999-01" else 400)
        if month != "9999-01":
            assert "A month is such as 2026-11." in answer.text


async def test_others_see_no_month_and_visitors_nothing(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        assert (await (await house.ann()).get("/admin/statistics")).status == 403
        for path in ("/statistics", "/admin/statistics"):
            assert (await house.visitor().get(path)).goal == f"/login?next={path}"
        answer = await house.visitor().post("/statistics/ranking", {"ranked": "yes"})
        assert answer.goal.startswith("/login")


async def test_numbers_that_are_not_complete_say_so(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        page = (await (await house.ann()).get("/statistics")).text
        assert "Not all drops are counted yet." in page
        assert "Not all drops" in (await (await root(house)).get("/admin/statistics")).text
        await house.bench.counting.catch_up()
        assert "Not all drops" not in (await (await house.ann()).get("/statistics")).text


async def test_a_frontend_without_statistics_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_nothing(*_: Any) -> None:
        pass

    # So gRPC itself answers UNIMPLEMENTED, as a frontend of 0.1.0 does.
    name = "add_StatisticsServiceServicer_to_server"
    monkeypatch.setattr(statistics_service_pb2_grpc, name, add_nothing)
    async with running_house(tmp_path) as house:
        for visitor, path in (
            (await house.ann(), "/statistics"),
            (await root(house), "/admin/statistics"),
        ):
            answer = await visitor.get(path)
            assert answer.status == 200
            assert "does not count yet" in answer.text
            assert "200 credits" in answer.text or path.startswith("/admin")
