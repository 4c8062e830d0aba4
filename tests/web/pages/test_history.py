from pathlib import Path

import pytest

from tests.web.visitor import running_house


async def test_drops_are_listed_in_pages(tmp_path: Path) -> None:
    async with running_house(tmp_path, lists={"page_rows": 1}) as house:
        drops = [await house.bench.place(f"r{number}") for number in range(2)]
        ann = await house.ann()
        first = await ann.get("/history")
        assert f"/drops/{drops[1].id}" in first.text
        assert f"/drops/{drops[0].id}" not in first.text
        older = first.text.partition('href="/history?page=')[2].partition('"')[0]
        second = await ann.get(f"/history?page={older}")
        assert f"/drops/{drops[0].id}" in second.text
        assert "Newest" in second.text


async def test_the_ledger_is_shown(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.place()
        page = await (await house.ann()).get("/history/credits")
        assert "<strong>+200</strong>" in page.text
        assert "(-50)" in page.text
        assert "Coke" in page.text
        assert f"/drops/{drop.id}" in page.text


async def test_a_spreadsheet_gets_the_drops(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.place()
        answer = await (await house.ann()).get("/history.csv")
        assert answer.headers["content-type"].startswith("text/csv")
        header, row = answer.text.splitlines()
        assert header.startswith("time,drop,machine")
        assert f"drops/{drop.id},d,1,Coke,50,RESERVED," in row


async def test_nothing_yet_is_said(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        assert "Nothing yet." in (await (await house.ann()).get("/history")).text


@pytest.mark.parametrize("path", ["/history", "/history/credits"])
async def test_a_page_that_was_not_given_out_is_refused(tmp_path: Path, path: str) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        for token, status in (("nonsense", 404), ("x" * 600, 400)):
            assert (await ann.get(f"{path}?page={token}")).status == status


@pytest.mark.parametrize("path", ["/history", "/history/credits", "/history.csv"])
async def test_visitors_have_no_history(tmp_path: Path, path: str) -> None:
    async with running_house(tmp_path) as house:
        assert (await house.visitor().get(path)).goal == f"/login?next={path}"
