import asyncio
from pathlib import Path

from drink_frontend.usecases.tokens import digest
from tests.web.pages.test_admin import root
from tests.web.visitor import LIMIT_S, House, running_house


async def machine_of(house: House, token: str = "token-of-d") -> str | None:
    """The machine that an agent with the token belongs to."""
    return await house.bench.storage.read(lambda tx: tx.machines.by_token(digest(token)))


async def test_a_machine_shows_its_times_and_versions(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin, bench = await root(house), house.bench
        before = await admin.get("/admin/machines/d")
        assert "Software of the agent</dt><dd>not known<" in before.text
        assert "Firmware of the electronics</dt><dd>not told<" in before.text
        assert "Temperature" not in before.text
        await bench.link(version="0.2.0")
        await bench.agents.keep_status(
            "d", await bench.epoch(), {}, 4.5, firmware_version="tini <1>"
        )
        known = house.site.house
        async with asyncio.timeout(LIMIT_S):
            while not known.machines["machines/d"].firmware_version:
                await known.changed(known.version)
        text = " ".join((await admin.get("/admin/machines/d")).text.split())
        assert "Software of the agent</dt><dd>0.2.0<" in text
        assert "<dd>tini &lt;1&gt;<" in text
        assert "<dd>4.5 °C, since <time" in text
        assert "So since</dt><dd><time" in text


async def test_a_new_token_is_shown_once(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        page = await admin.get("/admin/machines/d")
        assert 'href="/admin/machines/d/1"' in page.text
        assert "shown only now" not in page.text
        made = await admin.post("/admin/machines/d/token", {"confirmed": "yes"})
        assert made.status == 200
        assert made.headers["cache-control"] == "no-store"
        token = made.text.partition('class="secret">')[2].partition("<")[0]
        assert await machine_of(house, token) == "d"
        assert await machine_of(house) is None
        assert token not in (await admin.get("/admin/machines/d")).text


async def test_a_token_is_taken_away(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        form = {"do": "take_away", "confirmed": "yes"}
        for _ in range(2):
            taken = await admin.post("/admin/machines/d/token", form)
            assert taken.goal == "/admin/machines/d?done=1"
        assert await machine_of(house) is None
        page = await admin.get(taken.goal)
        assert "Changed." in page.text
        assert 'class="secret"' not in page.text


async def test_without_confirmation_the_token_stays(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        for form in ({}, {"do": "make"}, {"do": "take_away"}):
            answer = await admin.post("/admin/machines/d/token", form)
            assert answer.status == 422
            assert "Confirm that" in answer.text
        assert (await admin.get("/admin/machines/d/token")).status == 404
        assert await machine_of(house) == "d"


async def test_others_get_no_token_and_what_is_not_there_has_none(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann, admin = await house.ann(), await root(house)
        assert (await ann.get("/admin/machines/d")).status == 403
        for machine in ("d", "x"):
            path = f"/admin/machines/{machine}/token"
            for do in ("make", "take_away"):
                assert (await ann.post(path, {"do": do, "confirmed": "yes"})).status == 403
        assert (await admin.get("/admin/machines/x")).status == 404
        assert (await admin.post("/admin/machines/x/token", {"confirmed": "yes"})).status == 404
        assert await machine_of(house) == "d"
