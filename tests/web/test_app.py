import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from drink_web.app import make_app, make_site
from drink_web.pages.home import Home
from tests.web.visitor import HOST, Visitor, away_house, running_house, settings

PATHS = ["/", "/login", "/history", "/history/credits", "/account", "/machines/d/1"]


async def test_every_page_has_its_headers_and_no_code_inside(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        for path in (*PATHS, "/nothing"):
            page = await ann.get(path)
            assert "default-src 'none'" in page.headers["content-security-policy"]
            assert page.headers["cache-control"] == "no-store"
            assert "<style" not in page.text
            assert " style=" not in page.text
            assert "hx-on" not in page.text
            assert " onclick" not in page.text
            for tag in page.text.split("<script")[1:]:
                assert tag.startswith(' src="/assets/')


async def test_health_says_whether_the_frontend_is_there(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        assert '"reachable"' in (await house.visitor().get("/healthz")).text
    site, visitor = await away_house(tmp_path)
    answer = await visitor.get("/healthz")
    assert (answer.status, '"away"' in answer.text) == (200, True)
    await site.api.close()


async def test_readiness_says_what_is_away(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ready = await house.visitor().get("/readyz")
        assert ready.status == 200
        found = json.loads(ready.text)
        assert (found["ready"], found["frontend"]) == (True, "reachable")
        assert found["machines"].keys() == {"offline", "board_down", "ready"}
        assert sum(found["machines"].values()) > 0
    site, visitor = await away_house(tmp_path)
    away = await visitor.get("/readyz")
    assert away.status == 503
    assert json.loads(away.text) == {"ready": False, "frontend": "away", "machines": {}}
    await site.api.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("DELETE", "/", 405), ("POST", "/", 405), ("GET", "/logout", 405)],
)
async def test_what_is_not_there_is_a_page_too(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    async with running_house(tmp_path) as house:
        answer = await house.visitor().ask(method, path, b"", {})
        assert answer.status == status
        assert "<h1>" in answer.text


async def test_an_address_that_names_nothing_is_not_there(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        for path in ("/drops/junk", "/history?page=junk"):
            answer = await ann.get(path)
            assert answer.status == 404
            assert "There is nothing here." in answer.text


async def test_members_are_told_what_is_for_administrators(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        for path in ("/admin", "/admin/users"):
            answer = await ann.get(path)
            assert "This is for administrators." in answer.text
            assert answer.status == 403


async def test_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        assert (await house.visitor().post("/login", {"user": "x" * 20_000})).status == 413


async def test_a_fault_is_logged_under_a_number_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: Home, visit: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Home, "show", broken)
    async with running_house(tmp_path) as house:
        page = await Visitor(make_app(house.site)).get("/")
    assert page.status == 500
    assert "secret detail" not in page.text
    (record,) = [each for each in caplog.records if each.message == "request_failed"]
    assert record.facts["incident"] in page.text  # type: ignore[attr-defined]


async def test_a_frontend_that_ends_is_a_page_that_comes_back(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        ann = await house.ann()
        assert 'class="reach' in (await ann.get("/")).text
        await house.frontend.server.stop(0)
        page = await ann.get("/history")
        assert page.status == 503
        assert "data-reload-s" in page.text
        async with asyncio.timeout(20):
            while house.site.house.is_current:
                await house.site.house.changed(house.site.house.version)
        home = await ann.get("/")
        assert home.status == 200
        assert "does not answer" in home.text
        assert "disabled" in home.text
        # Nobody knows whether a machine is still ready.
        assert 'class="reach' not in home.text


async def test_the_address_of_a_named_proxys_client_counts(tmp_path: Path) -> None:
    limits = {"streams": {"per_address_max": 1}, "http": {"proxies": ("10.0.0.0/8",)}}
    page = "/events?page=0123456789012345678901"
    async with running_house(tmp_path, **limits) as house:
        proxy = house.visitor(address="10.0.0.1")
        proxy.headers = {"host": HOST, "x-forwarded-for": "192.0.2.1"}
        async with proxy.stream(page) as first:
            assert await asyncio.wait_for(first.get(), 20) == "200"
            assert (await proxy.get(page)).status == 429
            proxy.headers["x-forwarded-for"] = "192.0.2.2"
            async with proxy.stream(page) as second:
                assert await asyncio.wait_for(second.get(), 20) == "200"
            stranger = house.visitor(address="192.0.2.1")
            stranger.headers["x-forwarded-for"] = "192.0.2.9"
            assert (await stranger.get(page)).status == 429


async def test_a_frontend_of_another_version_is_told(tmp_path: Path) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    site = make_site(settings(tmp_path, f"127.0.0.1:{port}"))
    visitor = Visitor(make_app(site))
    page = await visitor.get("/")
    assert page.status == 503
    assert "data-reload-s" in page.text
    refused = await visitor.log_in()
    assert refused.status == 502
    assert "older than this page needs" in refused.text
    await site.api.close()
    await server.stop(0)
