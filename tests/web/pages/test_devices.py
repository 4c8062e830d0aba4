from pathlib import Path

import pytest

from drink.v1 import account_service_pb2 as pb
from tests.support.rpc_frontend import PASSWORD, ROOT
from tests.web.visitor import House, Visitor, running_house


async def phone(house: House) -> str:
    """Logs Ann in on a phone that may only drop, and returns its token."""
    password = pb.PasswordCredentials(account="accounts/ann", password=PASSWORD)
    request = pb.LoginRequest(
        password=password, scope=pb.TOKEN_SCOPE_DROP, display_name="<i>phone</i>"
    )
    return str((await house.frontend.call(request)).token)


async def works(house: House, token: str) -> bool:
    """Whether a token is good."""
    visitor = Visitor(house.app)
    sent = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    answer = await visitor.ask("POST", "/drinks/drop", b"{}", sent)
    body = b'{"machine": "d", "slot": 9}'
    answer = await visitor.ask("POST", "/drinks/drop", body, sent)
    return answer.status == 400


def named(page: str, words: str) -> str:
    """The name in the form of the list's entry with those words."""
    entry = page.partition(words)[2]
    return entry.partition('name="name" value="')[2].partition('"')[0]


async def test_a_login_is_ended(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        token = await phone(house)
        ann = await house.ann()
        page = await ann.get("/account/devices")
        assert "&lt;i&gt;phone&lt;/i&gt;" in page.text
        assert "only to drop" in page.text
        assert token not in page.text
        assert await works(house, token)
        form = {"do": "token", "name": named(page.text, "<strong>&lt;i&gt;phone")}
        assert (await ann.post("/account/devices", form)).goal == "/account/devices?done=1"
        assert not await works(house, token)
        late = await ann.post("/account/devices", form)
        assert late.status == 409
        assert "had ended already" in late.text


async def test_all_others_are_ended_and_this_one_stays(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        token = await phone(house)
        ann = await house.ann()
        assert (await ann.post("/account/devices", {"do": "others"})).status == 303
        assert not await works(house, token)
        page = await ann.get("/account/devices")
        assert page.status == 200
        assert "this one" in page.text
        assert "Web page" in page.text
        assert "Log out all others" not in page.text


async def test_a_card_is_removed(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        request = pb.AddCardRequest(parent="accounts/ann", chip="04A1B2C3", display_name="key ring")
        await house.frontend.call(request, ROOT)
        ann = await house.ann()
        page = await ann.get("/account/devices", accept_language="de")
        assert "nur am Kiosk" in page.text
        assert "04A1B2C3" not in page.text.upper().replace("KEY RING", "")
        form = {"do": "card", "name": named(page.text, "<strong>key ring")}
        assert (await ann.post("/account/devices", form)).status == 303
        assert "key ring" not in (await ann.get("/account/devices")).text
        assert (await ann.post("/account/devices", form)).status == 409


@pytest.mark.parametrize(
    "form", [{}, {"do": "token"}, {"do": "card", "name": ""}, {"do": "x", "name": "y"}]
)
async def test_a_wrong_form_ends_nothing(tmp_path: Path, form: dict[str, str]) -> None:
    async with running_house(tmp_path) as house:
        token = await phone(house)
        assert (await (await house.ann()).post("/account/devices", form)).status == 422
        assert await works(house, token)


async def test_logins_of_others_are_not_ended(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        token = await phone(house)
        name = named((await (await house.ann()).get("/account/devices")).text, "phone&lt;/i&gt;<")
        await house.bench.accounts.change("test", "bob", password=PASSWORD)
        bob = house.visitor()
        await bob.log_in("bob")
        answer = await bob.post("/account/devices", {"do": "token", "name": name})
        assert answer.status in (403, 404)
        assert (await house.visitor().get("/account/devices")).status == 303
        assert await works(house, token)
