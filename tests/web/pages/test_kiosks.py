"""Kiosks for administrators: a code, the list, and the end."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.visitor import House, Visitor, running_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running_house(tmp_path) as house:
        yield house


async def root(house: House) -> Visitor:
    await house.bench.accounts.change("test", "root", password="secret-of-root")
    visitor = house.visitor()
    await visitor.log_in("root", "secret-of-root")
    return visitor


async def test_a_kiosk_is_paired_and_ended(house: House) -> None:
    visitor = await root(house)
    assert "There are no kiosks." in (await visitor.get("/admin/kiosks")).text
    pair = {"what": "pair", "machine": "machines/d", "name": "<b>hall"}
    page = await visitor.post("/admin/kiosks", pair)
    code = re.search(r"<strong>(\d{4}) (\d{4})</strong>", page.text)
    assert code is not None
    assert "&lt;b&gt;hall" in page.text
    kiosk = house.visitor()
    assert (await kiosk.post("/kiosk/pair", {"code": code[1] + code[2]})).status == 303
    told = await visitor.get("/admin/events?kind=machines")
    assert told.text.count("&lt;b&gt;hall") == 2
    page = await visitor.get("/admin/kiosks/1")
    assert "paired" in page.text
    assert code[1] not in page.text
    end = {"what": "unpair", "kiosk": page.field("kiosk")}
    assert (await visitor.post("/admin/kiosks", end)).goal == "/admin/kiosks"
    again = await visitor.post("/admin/kiosks", end)
    assert (again.status, "ended already" in again.text) == (422, True)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 400),
        ({"what": "paint"}, 400),
        ({"what": "pair"}, 422),
        ({"what": "pair", "machine": "machines/nowhere"}, 422),
        ({"what": "pair", "machine": "machines/d", "name": "x" * 201}, 422),
        ({"what": "unpair", "kiosk": "kiosks/x"}, 422),
    ],
)
async def test_wrong_forms_are_refused(house: House, form: dict[str, str], status: int) -> None:
    visitor = await root(house)
    assert (await visitor.post("/admin/kiosks", form)).status == status


async def test_only_administrators_pair(house: House) -> None:
    ann = await house.ann()
    assert (await ann.get("/admin/kiosks")).status == 403
    pair = {"what": "pair", "machine": "machines/d"}
    assert (await ann.post("/admin/kiosks", pair)).status == 403
