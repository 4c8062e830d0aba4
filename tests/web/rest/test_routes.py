import json
from pathlib import Path
from typing import Any

import openapi_spec_validator
import pytest

from drink_web.errors import CallError
from drink_web.rest import drinks, users
from drink_web.rest.routes import DOCUMENT, PATHS
from tests.web.rest.client import NEEDS, Client, check, unmet
from tests.web.visitor import running_house


def test_the_document_is_openapi() -> None:
    openapi_spec_validator.validate(dict(DOCUMENT))


def test_the_document_has_every_route_and_no_other() -> None:
    documented = {
        (path, method.upper()) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    routed = {(path, method) for path, methods in PATHS.items() for method in methods}
    assert documented == routed | {("/openapi.json", "GET")}


def test_the_document_promises_what_clients_need() -> None:
    """Each recorded need is an operation whose success has the members that clients read."""
    for (method, path), need in NEEDS.items():
        responses = DOCUMENT["paths"][path][method.lower()]["responses"]
        good = responses.get("200", responses.get("201"))
        name = good["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        schema = DOCUMENT["components"]["schemas"][name]
        assert set(need) <= set(schema["required"]), name


def test_a_wrong_shape_is_found() -> None:
    good = {"message": "Drop successful!", "drinkBalance": 5}
    check("POST", "/drinks/drop", 200, good)
    for wrong in (
        {**good, "drinkBalance": "5"},
        {"message": "Drop successful!"},
        {**good, "more": 1},
        {**good, "message": "ok"},
    ):
        with pytest.raises(Exception):  # noqa: B017, PT011  either of two checks finds it
            check("POST", "/drinks/drop", 200, wrong)
    assert unmet({"slots": [{"n": True}]}, {"slots": [{"n": int}]}) == ["$.slots[0].n is bool"]
    assert unmet([], {"a": int}) == ["$ is no object"]
    assert unmet({"a": {}}, {"a": [int]}) == ["$.a is no list"]


async def test_the_document_is_served(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        reply = await Client(house, "").ask("GET", "/openapi.json")
        assert reply.body == DOCUMENT


async def test_scripts_of_other_origins_may_ask(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        visitor = house.visitor()
        asked = {"origin": "https://elsewhere.example", "access-control-request-method": "PUT"}
        answer = await visitor.ask("OPTIONS", "/users/credits", b"", asked)
        assert answer.status == 204
        assert answer.headers["access-control-allow-methods"] == "GET, PUT, OPTIONS"
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        assert "access-control-allow-origin" not in (await visitor.get("/login")).headers


async def test_the_cookie_of_the_page_is_no_token(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        body = b'{"machine": "d", "slot": 1}'
        sent = {"content-type": "application/json", "sec-fetch-site": "same-origin"}
        assert (await ann.ask("POST", "/drinks/drop", body, sent)).status == 401
        assert (await ann.get("/users/credits?uid=ann")).status == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YTpi", "token-of-root", f"Bearer {'x' * 600}", "Bearer ä"],
)
async def test_without_a_token_there_is_nothing(tmp_path: Path, header: str) -> None:
    async with running_house(tmp_path) as house:
        reply = await Client(house, "").ask("GET", "/users", authorization=header)
        assert (reply.status, reply.body["errorCode"]) == (401, 401)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/drinks", "GET, OPTIONS"),
        ("GET", "/drinks/drop", "POST, OPTIONS"),
        ("PATCH", "/items", "GET, PUT, POST, DELETE, OPTIONS"),
    ],
)
async def test_methods_that_are_not_there_are_said(
    tmp_path: Path, method: str, path: str, allowed: str
) -> None:
    async with running_house(tmp_path) as house:
        reply = await Client(house, "root").ask(method, path)
        assert (reply.status, reply.headers["allow"]) == (405, allowed)
        assert await house.frontend.kept_drops() == []


async def test_no_get_changes_anything(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        before = await house.bench.books()
        root = house.visitor()
        for path in PATHS:
            await root.get(f"{path}?uid=ann&machine=d", authorization="Bearer token-of-root")
        assert await house.bench.books() == before


async def test_a_fault_is_logged_under_a_number_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(drinks, "machine_shape", broken)
    async with running_house(tmp_path) as house:
        answer = await house.visitor().get("/drinks")
    assert answer.status == 500
    body = json.loads(answer.text)
    (record,) = [each for each in caplog.records if each.message == "request_failed"]
    assert record.facts["incident"] in body["error"]  # type: ignore[attr-defined]
    assert "secret detail" not in answer.text


async def test_a_limit_of_the_frontend_says_when_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> Any:
        raise CallError("RESOURCE_EXHAUSTED", "RATE_LIMITED", retry_s=7)

    monkeypatch.setattr(users, "user_shape", refused)
    async with running_house(tmp_path) as house:
        reply = await Client(house, "root").ask("GET", "/users")
    assert (reply.status, reply.headers["retry-after"]) == (429, "7")
    assert reply.body["message"] == "RATE_LIMITED"
