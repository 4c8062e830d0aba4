from pathlib import Path

import pytest
from starlette.requests import Request

from tests.support.rpc_frontend import PASSWORD
from tests.web.visitor import away_house, running_house


async def test_somebody_logs_in_and_out(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = house.visitor()
        assert "Log in" in (await ann.get("/login")).text
        form = {"user": "ann", "password": PASSWORD, "next": "/account"}
        assert (await ann.post("/login", form)).goal == "/account"
        assert (await ann.get("/login")).goal == "/"
        cookie = dict(ann.cookies)
        assert (await ann.post("/logout")).goal == "/"
        assert not ann.cookies
        # The token is ended at the frontend, so that a copy of the cookie is worth nothing.
        ann.cookies = cookie
        assert (await ann.get("/account")).goal == "/login?next=/account&ended=1"
        assert not ann.cookies


async def test_the_token_is_in_no_page(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        scope = ann._scope("GET", "/", {})
        login = house.site.cookies.read(Request(scope))
        assert login is not None
        for path in ("/", "/account", "/history", "/machines/d/1"):
            assert login.token not in (await ann.get(path)).text


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("ann", "wrong"),
        ("nobody", "wrong"),
        ("", ""),
        ("ann", ""),
        ("a" * 33, "x"),
        ("ann", "x" * 129),
        ("<b>", "x"),
        ("ün", "x"),
    ],
)
async def test_wrong_credentials_are_refused_alike(
    tmp_path: Path, user: str, password: str
) -> None:
    async with running_house(tmp_path) as house:
        visitor = house.visitor()
        answer = await visitor.log_in(user, password)
        assert answer.status == 422
        assert "do not match" in answer.text
        assert not visitor.cookies
        assert "<b>" not in answer.text


async def test_nobody_is_led_to_another_site(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        form = {"user": "ann", "password": PASSWORD, "next": "//evil.example"}
        assert (await house.visitor().post("/login", form)).goal == "/"


async def test_another_site_logs_nobody_in(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        form = {"user": "ann", "password": PASSWORD}
        visitor = house.visitor()
        assert (await visitor.post("/login", form, sec_fetch_site="cross-site")).status == 403
        assert not visitor.cookies


async def test_over_https_the_cookie_is_this_hosts(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        visitor = house.visitor(scheme="https")
        await visitor.log_in()
        assert list(visitor.cookies) == ["__Host-drink"]


async def test_without_a_frontend_it_is_not_the_password(tmp_path: Path) -> None:
    site, visitor = await away_house(tmp_path)
    answer = await visitor.log_in()
    assert answer.status == 503
    assert "does not answer" in answer.text
    await site.api.close()
