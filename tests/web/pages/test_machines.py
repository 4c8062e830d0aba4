import asyncio
from pathlib import Path

import pytest

from drink_frontend.usecases.tokens import digest
from tests.web.pages.test_admin import root
from tests.web.test_temperatures import warm_day
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


NEW = {"name": "cold-2", "display_name": "Cold <b>", "location": "hall"}


async def test_a_machine_is_made_and_sells_with_slot_and_token(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        assert 'href="/admin/machines"' in (await admin.get("/admin")).text
        assert 'href="/admin/machines/d"' in (await admin.get("/admin/machines")).text
        made = await admin.post("/admin/machines", NEW)
        assert made.goal == "/admin/machines/cold-2?done=1"
        page = await admin.get(made.goal)
        assert "<h1>Cold &lt;b&gt;</h1>" in page.text
        assert "It has no slots yet." in page.text
        form = {"number": "1", "item": "Mate", "price": "60", "available": "2"}
        assert (await admin.post("/admin/machines/cold-2/slots", form)).status == 303
        token = await admin.post("/admin/machines/cold-2/token", {"confirmed": "yes"})
        secret = token.text.partition('class="secret">')[2].partition("<")[0]
        assert await machine_of(house, secret) == "cold-2"
        known = house.site.house
        async with asyncio.timeout(LIMIT_S):
            while (
                "machines/cold-2" not in known.machines
                or not known.machines["machines/cold-2"].slots
            ):
                await known.changed(known.version)
        assert "Mate" in (await house.visitor().get("/machines/cold-2/1")).text


@pytest.mark.parametrize(
    ("form", "status", "told"),
    [
        ({"name": ""}, 422, "A short name has"),
        ({"name": "Cold"}, 422, "A short name has"),
        ({"name": "x" * 33}, 422, "A short name has"),
        ({"display_name": " "}, 422, "needs a name for people"),
        ({"display_name": "x" * 201}, 422, "needs a name for people"),
        ({"location": "a\u2800"}, 422, "needs a name for people"),
        ({"location": "a\u200bb"}, 422, "needs a name for people"),
        ({"name": "d"}, 409, "of this short name already"),
    ],
)
async def test_a_wrong_new_machine_is_told_and_keeps_what_was_typed(
    tmp_path: Path, form: dict[str, str], status: int, told: str
) -> None:
    async with running_house(tmp_path) as house:
        admin, before = await root(house), await house.bench.machines.list()
        answer = await admin.post("/admin/machines", {**NEW, "location": "hall 7", **form})
        assert answer.status == status
        assert told in answer.text
        assert 'name="name" value=' in answer.text
        assert [each.name for each in await house.bench.machines.list()] == [
            each.name for each in before
        ]


async def test_a_machine_gets_another_name_and_goes_out_of_service(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        form = {"display_name": "Biggest", "location": "cellar"}
        assert (await admin.post("/admin/machines/d", form)).goal == "/admin/machines/d?done=1"
        machine = await house.bench.machines.get("d")
        assert (machine.display_name, machine.location) == ("Biggest", "cellar")
        assert not machine.enabled
        page = await admin.get("/admin/machines/d")
        assert "<h1>Biggest</h1>" in page.text
        assert (await admin.post("/admin/machines/d", {**form, "enabled": "yes"})).status == 303
        assert (await house.bench.machines.get("d")).enabled
        wrong = await admin.post("/admin/machines/d", {**form, "display_name": ""})
        assert wrong.status == 422
        assert "needs a name for people" in wrong.text
        assert (await admin.post("/admin/machines/x", form)).status == 404


async def test_others_make_and_change_no_machines(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        assert (await ann.get("/admin/machines")).status == 403
        assert (await ann.post("/admin/machines", NEW)).status == 403
        for machine in ("d", "x"):
            assert (await ann.post(f"/admin/machines/{machine}", NEW)).status == 403
        foreign = await (await root(house)).post(
            "/admin/machines", NEW, sec_fetch_site="cross-site"
        )
        assert foreign.status == 403
        assert len(await house.bench.machines.list()) == 2


async def test_a_machine_shows_its_temperature_through_time(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        await warm_day(house)
        page = await admin.get("/admin/machines/d")
        assert "Between 3.5 °C and 9.0 °C, 4.2 °C on average." in page.text
        assert page.text.count('<path class="line"') == 1
        assert page.text.count('<th scope="row">') == 19
        assert ">24 hours</a>" in page.text
        week = await admin.get("/admin/machines/d?time=week")
        assert 'aria-current="page">7 days</a>' in week.text
        for junk in ("?time=", "?time=x", "?time=%00"):
            assert (await admin.get(f"/admin/machines/d{junk}")).status == 200
        other = await admin.get("/admin/machines/ld?time=week")
        assert "No temperature is known of this time." in other.text


async def test_an_old_page_puts_no_machine_back_into_service(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        drawn = await admin.get("/admin/machines/d")
        shown = {
            f"shown.{field}": drawn.field(f"shown.{field}")
            for field in ("display_name", "location", "enabled")
        }
        assert shown["shown.enabled"] == "yes"
        out = {"display_name": shown["shown.display_name"], "location": "", **shown}
        assert (await admin.post("/admin/machines/d", out)).status == 303
        old = {**out, "location": "cellar", "enabled": "yes"}
        assert (await admin.post("/admin/machines/d", old)).status == 303
        machine = await house.bench.machines.get("d")
        assert (machine.location, machine.enabled) == ("cellar", False)
