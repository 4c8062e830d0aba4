from pathlib import Path

import pytest

from tests.support.rpc_frontend import PASSWORD
from tests.web.visitor import running_house

SEND = {"recipient": "bob", "amount": "20"}


async def test_credits_are_sent_once_for_each_form(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        await house.bench.place()
        ann = await house.ann()
        page = await ann.get("/account")
        assert all(f"<dd>{sum_}</dd>" in page.text for sum_ in (150, 50, 200))
        form = {**SEND, "request_id": page.field("request_id")}
        for _ in range(3):
            assert (await ann.post("/account/send", form)).goal == "/account?done=sent"
        page = await ann.get("/account?done=sent")
        assert "Sent." in page.text
        assert "<dd>130</dd>" in page.text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"recipient": "nobody"}, "no such account"),
        ({"recipient": ""}, "no such account"),
        ({"recipient": "a/b"}, "no such account"),
        ({"recipient": "Ann"}, "That is you"),
        ({"amount": "0"}, "whole number"),
        ({"amount": "-5"}, "whole number"),
        ({"amount": "1.5"}, "whole number"),
        ({"amount": "²"}, "whole number"),
        ({"amount": "9999999"}, "whole number"),
        ({"amount": "300"}, "only 200 credits"),
        ({"request_id": "<"}, "wrong"),
    ],
)
async def test_wrong_fields_are_named_and_what_was_typed_stays(
    tmp_path: Path, changed: dict[str, str], words: str
) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        answer = await ann.post("/account/send", {**SEND, "request_id": "web-1", **changed})
        assert answer.status == 422
        assert words in answer.text
        assert 'role="alert"' in answer.text
        assert "<dd>200</dd>" in answer.text


async def test_a_password_is_changed_and_other_logins_end(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann, elsewhere = await house.ann(), await house.ann()
        form = {"old": PASSWORD, "new": "another-secret", "again": "another-secret"}
        assert (await ann.post("/account/password", form)).goal == "/account?done=password_done"
        assert (await ann.get("/account")).status == 200
        assert (await elsewhere.get("/account")).goal.startswith("/login")
        assert (await house.visitor().log_in("ann", "another-secret")).status == 303


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"old": "wrong", "new": "n", "again": "n"}, "not your password"),
        ({"old": "", "new": "n", "again": "n"}, "not your password"),
        ({"old": PASSWORD, "new": "n", "again": "m"}, "not the same"),
        ({"old": PASSWORD, "new": "", "again": ""}, "1 to 128"),
        ({"old": PASSWORD, "new": "a b", "again": "a b"}, "1 to 128"),
        ({"old": PASSWORD, "new": "x" * 129, "again": "x" * 129}, "1 to 128"),
    ],
)
async def test_a_wrong_change_is_refused(tmp_path: Path, form: dict[str, str], words: str) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        answer = await ann.post("/account/password", form)
        assert answer.status == 422
        assert words in answer.text
        assert (await house.visitor().log_in()).status == 303


async def test_visitors_have_no_account(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        visitor = house.visitor()
        assert (await visitor.get("/account")).goal == "/login?next=/account"
        for path in ("/account/send", "/account/password"):
            assert (await visitor.post(path, SEND)).goal.startswith("/login")


async def test_the_language_is_chosen_and_left_to_the_browser_again(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        assert (await ann.post("/account/language", {"language": "de"})).status == 303
        assert 'value="de" checked' in (await ann.get("/account")).text
        assert "Verlauf" in (await ann.get("/history")).text
        assert (await ann.post("/account/language", {"language": ""})).status == 303
        assert "History" in (await ann.get("/history")).text
        assert (await ann.post("/account/language", {"language": "xx"})).status == 400
