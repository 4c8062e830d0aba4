from pathlib import Path

import pytest

from tests.web.pages.test_admin import root
from tests.web.visitor import running_house


async def test_users_are_found_by_the_beginning_of_their_names(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        page = await admin.get("/admin/users?q=an")
        assert 'href="/admin/users/ann"' in page.text
        assert 'href="/admin/users/bob"' not in page.text
        assert "Nobody of that name" in (await admin.get("/admin/users?q=zz")).text
        assert (await admin.get("/admin/users?q=<script>")).status == 200


async def test_a_user_is_made_and_gets_credits_once(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        made = await admin.post("/admin/users", {"user": "eve", "password": "secret-of-eve"})
        assert made.goal == "/admin/users/eve?done=made"
        called = {"user": "zoe", "password": "secret-of-zoe", "title": "Zoe <Z>"}
        assert (await admin.post("/admin/users", called)).goal == "/admin/users/zoe?done=made"
        assert "Zoe &lt;Z&gt;" in (await admin.get("/admin/users")).text
        page = await admin.get(made.goal)
        form = {"do": "credits", "amount": "70", "request_id": page.field("request_id")}
        form["reason"] = "paid <b>cash</b>"
        for _ in range(2):
            assert (await admin.post("/admin/users/eve", form)).status == 303
        assert "<dd>70</dd>" in (await admin.get("/admin/users/eve")).text
        eve = house.visitor()
        assert (await eve.log_in("eve", "secret-of-eve")).status == 303
        assert "paid &lt;b&gt;cash&lt;/b&gt;" in (await eve.get("/history/credits")).text


async def test_a_user_is_called_by_a_display_name(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin, ann = await root(house), await house.ann()
        assert '<span class="user">ann</span>' in (await ann.get("/history")).text
        form = {"do": "name", "title": " Ann <b>B.</b> "}
        done = await admin.post("/admin/users/ann", form)
        assert done.goal == "/admin/users/ann?done=changed"
        shown = "Ann &lt;b&gt;B.&lt;/b&gt;"
        assert f'name="title" value="{shown}"' in (await admin.get(done.goal)).text
        assert shown in (await admin.get("/admin/users?q=ann")).text
        for path in ("/", "/history", "/account", "/account/devices"):
            assert f'<span class="user">{shown}</span>' in (await ann.get(path)).text, path
        assert '<input type="hidden" name="user" value="ann"' in (await ann.get("/account")).text
        await admin.post("/admin/users/ann", {"do": "name", "title": ""})
        assert '<span class="user">ann</span>' in (await ann.get("/history")).text


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"user": "", "password": "x"}, "1 to 32"),
        ({"user": "a b", "password": "x"}, "1 to 32"),
        ({"user": "eve", "password": ""}, "1 to 128"),
        ({"user": "ANN", "password": "x"}, "already"),
        ({"user": "eve", "password": "x", "title": "x" * 201}, 'value="eve"'),
        ({"user": "eve", "password": "x", "title": "two\nlines"}, 'value="eve"'),
    ],
)
async def test_a_wrong_user_is_not_made(tmp_path: Path, form: dict[str, str], words: str) -> None:
    async with running_house(tmp_path) as house:
        answer = await (await root(house)).post("/admin/users", form)
        assert answer.status in (409, 422)
        assert words in answer.text


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"do": "credits", "amount": "0", "request_id": "r"}, "not zero"),
        ({"do": "credits", "amount": "x", "request_id": "r"}, "not zero"),
        ({"do": "credits", "amount": "1", "request_id": ""}, "wrong"),
        ({"do": "credits", "amount": "1", "request_id": "r", "reason": "x" * 201}, "at most 200"),
        ({"do": "credits", "amount": "-300", "request_id": "r"}, "200"),
        ({"do": "password", "password": ""}, "1 to 128"),
        ({"do": "name", "title": "x" * 201}, "at most 200"),
        ({"do": "name", "title": "a\x1b[2J"}, "at most 200"),
        ({"do": "nothing"}, "wrong"),
        ({}, "wrong"),
    ],
)
async def test_a_wrong_change_is_none(tmp_path: Path, form: dict[str, str], words: str) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        answer = await admin.post("/admin/users/ann", form)
        assert answer.status in (409, 422)
        assert words in answer.text
        assert "<dd>200</dd>" in (await admin.get("/admin/users/ann")).text


async def test_the_last_administrator_stays_one(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        answer = await (await root(house)).post("/admin/users/root", {"do": "member"})
        assert answer.status == 409
        assert "Nobody would be left" in answer.text


async def test_an_account_is_closed_opened_and_given_rights(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        for what, words in (
            ("close", "closed"),
            ("open", "Close the account"),
            ("admin", "no longer"),
        ):
            assert (await admin.post("/admin/users/ann", {"do": what})).status == 303
            assert words in (await admin.get("/admin/users/ann")).text


async def test_members_see_no_users(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        for path in ("/admin/users", "/admin/users/ann"):
            assert (await ann.get(path)).status == 403
            assert (
                await ann.post(path, {"user": "x", "password": "x", "do": "admin"})
            ).status == 403
            assert (await house.visitor().get(path)).goal == f"/login?next={path}"


async def test_a_user_who_is_not_there_is_said(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        assert (await (await root(house)).get("/admin/users/nobody")).status == 404


async def test_a_user_gets_a_credit_limit(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        done = await admin.post("/admin/users/ann", {"do": "limit", "limit": " 70 "})
        assert done.status == 303
        assert (await house.bench.account("ann")).credit_limit == 70
        assert 'name="limit" value="70"' in (await admin.get("/admin/users/ann")).text
        for wrong in ("", "-1", "x", "1000001"):
            answer = await admin.post("/admin/users/ann", {"do": "limit", "limit": wrong})
            assert answer.status == 422
        member = await (await house.ann()).post("/admin/users/ann", {"do": "limit", "limit": "9"})
        assert member.status == 403
        assert (await house.bench.account("ann")).credit_limit == 70


async def test_a_user_is_linked_to_an_identity_and_unlinked(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        form = {"do": "identity", "source": "ldap:house", "subject": "<b>0f4c"}
        assert (await admin.post("/admin/users/ann", form)).status == 303
        page = await admin.get("/admin/users/ann")
        assert "ldap:house" in page.text
        assert "&lt;b&gt;0f4c" in page.text
        taken = await admin.post("/admin/users/bob", form)
        assert taken.status == 409
        assert "linked to that already" in taken.text
        for wrong in ({"source": ""}, {"subject": "a b"}, {"subject": "x" * 256}):
            assert (await admin.post("/admin/users/ann", {**form, **wrong})).status == 422
        assert (await (await house.ann()).post("/admin/users/ann", form)).status == 403
        remove = {**form, "do": "identity_remove"}
        assert (await admin.post("/admin/users/bob", remove)).status == 409
        assert (await admin.post("/admin/users/ann", remove)).status == 303
        assert "ldap:house" not in (await admin.get("/admin/users/ann")).text


async def test_a_user_gets_and_loses_a_card(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        form = {"do": "card", "kind": "chip", "number": "0123456789abcdee", "title": "<b>ring"}
        assert (await admin.post("/admin/users/ann", form)).status == 303
        page = await admin.get("/admin/users/ann")
        assert "&lt;b&gt;ring" in page.text
        assert "0123456789abcdee" not in page.text.lower()
        taken = await admin.post("/admin/users/bob", form)
        assert taken.status == 409
        assert "Somebody has this card" in taken.text
        remove = {"do": "card_remove", "card": page.field("card")}
        # A name of another user's card is not taken on this user's page.
        assert (await admin.post("/admin/users/bob", remove)).status == 422
        assert (await admin.post("/admin/users/ann", remove)).status == 303
        assert (await admin.post("/admin/users/ann", remove)).status == 409


@pytest.mark.parametrize(
    "form",
    [
        {"kind": "chip", "number": "123"},
        {"kind": "chip", "number": "xyzxyzxyz"},
        {"kind": "barcode", "number": "12 34 56"},
        {"kind": "", "number": "0123456789abcdee"},
        {"kind": "chip", "number": "0123456789abcdee", "title": "x" * 201},
    ],
)
async def test_a_wrong_card_is_not_added(tmp_path: Path, form: dict[str, str]) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        assert (await admin.post("/admin/users/ann", {"do": "card", **form})).status == 422
        assert "card_remove" not in (await admin.get("/admin/users/ann")).text


async def test_the_last_drops_of_a_user_lead_to_their_pages(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.place()
        page = await (await root(house)).get("/admin/users/ann")
        assert f'href="/admin/drops/{drop.id}"' in page.text
