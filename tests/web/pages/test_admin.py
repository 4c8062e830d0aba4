import asyncio
from pathlib import Path

import pytest

from drink_frontend.domain.entities import Reach
from tests.support.rpc_frontend import PASSWORD
from tests.web.visitor import LIMIT_S, House, Visitor, running_house

WHY = {"outcome": "not", "reason": "the can is still in its slot"}


async def root(house: House) -> Visitor:
    """The administrator's browser, logged in."""
    await house.bench.accounts.change("test", "root", password=PASSWORD)
    visitor = house.visitor()
    assert (await visitor.log_in("root")).status == 303
    return visitor


async def test_what_needs_a_hand_is_on_one_page(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.unknown()
        await house.bench.reach(Reach.OFFLINE, "ld")
        async with asyncio.timeout(LIMIT_S):
            while house.site.house.machines["machines/ld"].reach != 1:
                await house.site.house.changed(house.site.house.version)
        page = await (await root(house)).get("/admin")
        assert f'href="/admin/drops/{drop.id}"' in page.text
        assert "Look at power and network" in page.text
        assert 'href="/admin/machines/d/2"' in page.text


async def test_administrators_find_the_way(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        assert 'href="/admin"' in (await (await root(house)).get("/")).text
        assert 'href="/admin"' not in (await (await house.ann()).get("/")).text


@pytest.mark.parametrize("path", ["/admin", "/admin/machines/d/1"])
async def test_others_are_refused(tmp_path: Path, path: str) -> None:
    async with running_house(tmp_path) as house:
        assert (await (await house.ann()).get(path)).status == 403
        assert (await house.visitor().get(path)).goal == f"/login?next={path}"


async def test_others_decide_nothing(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.unknown()
        ann = await house.ann()
        for path in (f"/admin/drops/{drop.id}", f"/admin/drops/{drop.id}/decide"):
            form = {**WHY, "confirmed": "yes"}
            answer = await (ann.post(path, form) if "decide" in path else ann.get(path))
            assert answer.status == 403
        assert (await house.bench.drop(drop.id)).state.name == "UNKNOWN"


async def test_an_unknown_drop_is_decided_with_a_reason_and_a_second_look(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.unknown()
        admin = await root(house)
        page = await admin.get(f"/admin/drops/{drop.id}")
        assert "checked" not in page.text
        assert "DROP_MOVED" in page.text
        assert "RESERVED → DISPATCHED" in page.text
        asked = await admin.post(f"/admin/drops/{drop.id}/decide", WHY)
        assert "ann gets 50 credits back" in asked.text
        assert (await house.bench.drop(drop.id)).state.name == "UNKNOWN"
        form = {**WHY, "confirmed": "yes"}
        assert (await admin.post(f"/admin/drops/{drop.id}/decide", form)).status == 303
        assert (await house.bench.drop(drop.id)).state.name == "NOT_DISPENSED"
        page = await admin.get(f"/admin/drops/{drop.id}")
        assert "Decided by root" in page.text
        assert "still in its slot" in page.text


async def test_who_comes_second_is_told_who_decided(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.unknown()
        admin = await root(house)
        path = f"/admin/drops/{drop.id}/decide"
        await admin.post(path, {**WHY, "confirmed": "yes"})
        late = await admin.post(path, {**WHY, "outcome": "fell", "confirmed": "yes"})
        assert late.status == 409
        assert "decided already" in late.text
        assert "Decided by root" in late.text


@pytest.mark.parametrize(
    "form",
    [
        {"reason": "x"},
        {"outcome": "maybe", "reason": "x"},
        {"outcome": "fell", "reason": " "},
        {"outcome": "fell", "reason": "x" * 201},
        {"outcome": "fell", "reason": "a\x00b"},
    ],
)
async def test_a_decision_without_choice_or_reason_is_none(
    tmp_path: Path, form: dict[str, str]
) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.unknown()
        path = f"/admin/drops/{drop.id}/decide"
        answer = await (await root(house)).post(path, {**form, "confirmed": "yes"})
        assert answer.status == 422
        assert (await house.bench.drop(drop.id)).state.name == "UNKNOWN"


async def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        for path in ("/admin/machines/d/9", "/admin/machines/x/1", "/admin/drops/x"):
            assert (await admin.get(path)).status in (400, 404)


REFUND = {"request_id": "refund-1", "credits": "20", "reason": "<b>warm</b>"}


async def test_a_paid_drop_is_refunded_once(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.dispatched()
        await house.bench.report(drop)
        admin, path = await root(house), f"/admin/drops/{drop.id}/refund"
        form = {**REFUND, "restock": "yes"}
        form["request_id"] = (await admin.get(f"/admin/drops/{drop.id}")).field("request_id")
        for _ in range(2):
            assert (await admin.post(path, form)).goal == f"/admin/drops/{drop.id}"
        assert await house.bench.credits() == (170, 0)
        assert (await house.bench.slot("d", 1)).on_hand == 3
        page = await admin.get(f"/admin/drops/{drop.id}")
        assert "It fell and is paid" in page.text
        assert "20 credits given back." in page.text
        assert "/refund" not in page.text
        assert "&lt;b&gt;warm" in (await (await house.ann()).get("/history/credits")).text
        late = await admin.post(path, {**form, "request_id": "refund-2"})
        assert late.status == 409
        assert "refunded already" in late.text


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"credits": "0"}, 422),
        ({"credits": "51"}, 422),
        ({"credits": "x"}, 422),
        ({"reason": " "}, 422),
        ({"reason": "x" * 201}, 422),
        ({"request_id": "a b"}, 400),
    ],
)
async def test_a_wrong_refund_gives_nothing_back(
    tmp_path: Path, form: dict[str, str], status: int
) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.dispatched()
        await house.bench.report(drop)
        admin = await root(house)
        answer = await admin.post(f"/admin/drops/{drop.id}/refund", {**REFUND, **form})
        assert answer.status == status
        assert await house.bench.credits() == (150, 0)


async def test_only_what_was_paid_is_refunded_and_not_by_others(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.dispatched()
        admin, path = await root(house), f"/admin/drops/{drop.id}/refund"
        assert "/refund" not in (await admin.get(f"/admin/drops/{drop.id}")).text
        early = await admin.post(path, REFUND)
        assert early.status == 409
        assert "Nothing was paid" in early.text
        await house.bench.report(drop)
        assert (await (await house.ann()).post(path, REFUND)).status == 403
        assert await house.bench.credits() == (150, 0)


async def test_a_refund_without_an_answer_is_sent_again(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.dispatched()
        await house.bench.report(drop)
        admin, path = await root(house), f"/admin/drops/{drop.id}/refund"
        house.bench.storage.is_doubtful = True
        lost = await admin.post(path, REFUND)
        house.bench.storage.is_doubtful = False
        assert lost.status == 503
        assert (await admin.post(path, REFUND)).status == 303
        assert await house.bench.credits() == (170, 0)
