import asyncio
from pathlib import Path

import pytest

from drink_web import views
from tests.web.pages.test_admin import root
from tests.web.visitor import LIMIT_S, House, running_house

PAGE = "0123456789012345678901"


async def available(house: House, machine: str, number: int, count: int) -> None:
    """Waits until the page knows that a slot has so many items."""
    known = house.site.house
    async with asyncio.timeout(LIMIT_S):
        while known.machines[f"machines/{machine}"].slots[number - 1].available != count:
            await known.changed(known.version)


async def test_what_is_low_is_to_be_brought(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        for machine, number, mark in (("d", 1, 2), ("d", 2, 0), ("ld", 1, 2)):
            await house.bench.change_slot(machine, number, low_stock_mark=mark)
        known = house.site.house
        async with asyncio.timeout(LIMIT_S):
            while not known.machines["machines/ld"].slots[0].low_stock:
                await known.changed(known.version)
        page = await (await root(house)).get("/admin/restock")
        picks = page.text.partition("<tbody>")[2].partition("</tbody>")[0]
        # Coke has 2 left in ld, which is its mark, and 3 in d; Tea has 1, and no mark.
        assert picks.count("<th") == 1
        assert "LD, slot 1: 2 left" in picks
        assert ">D, slot 1" not in picks


async def test_what_was_put_in_is_added_once(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        form = {
            "page": (await admin.get("/admin/restock")).field("page"),
            "put-1": " 12 ",
            "put-2": "",
        }
        for _ in range(2):
            answer = await admin.post("/admin/restock/d", form)
            assert answer.goal == "/admin/restock?done=d"
        assert (await house.bench.slot("d", 1)).on_hand == 15
        assert (await house.bench.slot("d", 2)).on_hand == 1
        await available(house, "d", 1, 15)
        done = await admin.get(answer.goal)
        assert "D is filled." in done.text
        assert "15 left" in done.text
        changed = await admin.post("/admin/restock/d", {**form, "put-1": "5"})
        assert changed.status == 409
        assert (await house.bench.slot("d", 1)).on_hand == 15


@pytest.mark.parametrize("amount", ["0", "-3", "x", "10001", "1.5", "²"])
async def test_a_wrong_amount_adds_nothing(tmp_path: Path, amount: str) -> None:
    async with running_house(tmp_path) as house:
        form = {"page": PAGE, "put-1": "4", "put-2": amount}
        answer = await (await root(house)).post("/admin/restock/d", form)
        assert answer.status == 422
        assert "Nothing was added" in answer.text
        assert 'name="put-1" value="4"' in answer.text
        assert (await house.bench.slot("d", 1)).on_hand == 3


async def test_an_empty_form_and_one_of_no_page_add_nothing(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        assert (await admin.post("/admin/restock/d", {"page": PAGE})).status == 422
        assert (await admin.post("/admin/restock/d", {"put-1": "4"})).status == 400
        for machine, slot in (("nope", "1"), ("d", "9"), ("d", "x")):
            form = {"page": PAGE, f"put-{slot}": "4"}
            assert (await admin.post(f"/admin/restock/{machine}", form)).status in (404, 409)


async def test_what_fails_leaves_the_rest_to_be_sent(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        form = {"page": PAGE, "put-1": "4", "put-2": "10000"}
        answer = await admin.post("/admin/restock/d", form)
        assert answer.status == 409
        assert "slot 2: So many do not fit" in answer.text
        assert 'name="put-1" value=""' in answer.text
        assert 'name="put-2" value="10000"' in answer.text
        assert (await house.bench.slot("d", 1)).on_hand == 7


async def test_without_an_answer_the_same_form_is_sent_again(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        house.bench.storage.is_doubtful = True
        lost = await admin.post("/admin/restock/d", {"page": PAGE, "put-1": "4"})
        house.bench.storage.is_doubtful = False
        assert lost.status == 503
        assert "nothing is added twice" in lost.text
        assert lost.field("page") == PAGE
        again = await admin.post("/admin/restock/d", {"page": PAGE, "put-1": "4"})
        assert again.status == 303
        assert (await house.bench.slot("d", 1)).on_hand == 7


async def test_a_slot_is_counted(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        page = await admin.get("/admin/machines/d/1")
        form = {key: page.field(key) for key in ("request_id", "etag")}
        for _ in range(2):
            answer = await admin.post("/admin/machines/d/1/count", {**form, "count": "9"})
            assert answer.goal == "/admin/machines/d/1?done=1"
        assert (await house.bench.slot("d", 1)).on_hand == 9


async def test_a_count_of_a_slot_that_has_changed_is_refused(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        page = await admin.get("/admin/machines/d/1")
        await house.bench.place()
        form = {key: page.field(key) for key in ("request_id", "etag")}
        answer = await admin.post("/admin/machines/d/1/count", {**form, "count": "9"})
        assert answer.status == 409
        assert "count again" in answer.text
        assert (await house.bench.slot("d", 1)).on_hand == 2


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"count": "x"}, 422),
        ({"count": "10001"}, 422),
        ({"count": "-1"}, 422),
        ({"count": "5", "request_id": "a b"}, 400),
        ({"count": "5", "etag": ""}, 400),
    ],
)
async def test_a_wrong_count_changes_nothing(
    tmp_path: Path, form: dict[str, str], status: int
) -> None:
    async with running_house(tmp_path) as house:
        sent = {"request_id": "count-1", "etag": "x", **form}
        answer = await (await root(house)).post("/admin/machines/d/1/count", sent)
        assert answer.status == status
        assert (await house.bench.slot("d", 1)).on_hand == 3


async def test_others_change_no_stock(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        assert (await ann.get("/admin/restock")).status == 403
        form = {"page": views.new_page(), "put-1": "4"}
        assert (await ann.post("/admin/restock/d", form)).status == 403
        count = {"request_id": "count-1", "etag": "x", "count": "9"}
        assert (await ann.post("/admin/machines/d/1/count", count)).status == 403
        assert (await house.bench.slot("d", 1)).on_hand == 3
