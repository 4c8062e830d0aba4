"""The page in this process over the real use cases, and a browser of the simplest kind."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from drink_web.app import make_app, make_site
from drink_web.settings import Settings
from drink_web.visit import Site
from tests.support.rpc_frontend import PASSWORD, Frontend, running_frontend
from tests.support.tasks import beside, cancel

LIMIT_S = 20
"""Seconds a test waits for what must happen."""

HOST = "localhost:8080"


@dataclass(frozen=True)
class Answer:
    """What a browser gets."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def goal(self) -> str:
        """Where it is sent on."""
        return self.headers.get("location", "")

    def field(self, name: str) -> str:
        """The first value of a field in a form."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.text)
        assert found is not None, self.text
        return found[1]


class Visitor:
    """A browser that keeps cookies and runs no scripts.

    Args:
        app: The page.
        scheme: http or https.
        address: The browser's.
    """

    def __init__(self, app: Any, scheme: str = "http", address: str = "192.0.2.7") -> None:
        self._app = app
        self._scheme = scheme
        self._address = address
        self.cookies: dict[str, str] = {}
        self.headers: dict[str, str] = {"host": HOST}

    async def get(self, path: str, **headers: str) -> Answer:
        """Asks for a page."""
        return await self.ask("GET", path, b"", headers)

    async def post(
        self, path: str, form: Mapping[str, str] | None = None, **headers: str
    ) -> Answer:
        """Sends a form, as a page of the same origin does."""
        kind = {"content-type": "application/x-www-form-urlencoded"}
        sent = {"sec-fetch-site": "same-origin", **kind, **headers}
        return await self.ask("POST", path, urlencode(form or {}).encode(), sent)

    async def log_in(self, user: str = "ann", password: str = PASSWORD) -> Answer:
        """Logs in."""
        return await self.post("/login", {"user": user, "password": password})

    async def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One request and its whole answer."""
        started: dict[str, Any] = {}
        parts: list[bytes] = []

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                parts.append(message.get("body", b""))

        async with asyncio.timeout(LIMIT_S):
            await self._app(self._scope(method, path, headers), _receive(body), send)
        answered = [(key.decode(), value.decode("latin-1")) for key, value in started["headers"]]
        for key, value in answered:
            if key == "set-cookie":
                self._keep(value)
        return Answer(started["status"], dict(answered), b"".join(parts).decode("utf-8", "replace"))

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[asyncio.Queue[str]]:
        """An event stream: its parts as they come; an empty one ends it."""
        parts: asyncio.Queue[str] = asyncio.Queue()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                parts.put_nowait(str(message["status"]))
            else:
                parts.put_nowait(message.get("body", b"").decode())

        async with beside(self._app(self._scope("GET", path, {}), _receive(b""), send)):
            yield parts

    def _scope(self, method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
        plain, _, query = path.partition("?")
        sent = {**self.headers, **{key.replace("_", "-"): text for key, text in headers.items()}}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": self._scheme,
            "path": plain,
            "raw_path": plain.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(key.encode(), text.encode("latin-1")) for key, text in sent.items()],
            "client": (self._address, 40_000),
            "server": ("localhost", 8080),
        }

    def _keep(self, header: str) -> None:
        for name, morsel in SimpleCookie(header).items():
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value


def _receive(body: bytes) -> Any:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await asyncio.Event().wait()

    return receive


class House:
    """A frontend, the page over it, and browsers.

    Args:
        frontend: The frontend.
        site: The page.
    """

    def __init__(self, frontend: Frontend, site: Site) -> None:
        self.frontend = frontend
        self.bench = frontend.bench
        self.site = site
        self.app = make_app(site)

    def visitor(self, **facts: Any) -> Visitor:
        """A browser."""
        return Visitor(self.app, **facts)

    async def ann(self) -> Visitor:
        """Ann's browser, logged in."""
        visitor = self.visitor()
        assert (await visitor.log_in()).status == 303
        return visitor


def settings(folder: Path, address: str, **sections: Any) -> Settings:
    """Settings for tests: keys in the folder, and time for a busy computer."""
    return Settings(
        **{
            "frontend": {
                "address": address,
                "call_limit_s": LIMIT_S,
                **sections.pop("frontend", {}),
            },
            "cookies": {"key_file": folder / "cookie.keys"},
            **sections,
        }
    )


@asynccontextmanager
async def running_house(
    folder: Path, providers: Any = None, **sections: Any
) -> AsyncIterator[House]:
    """A page over a frontend of its own; the machines are known.

    Args:
        folder: For its keys.
        providers: The frontend's OidcSettings.
        sections: The page's settings.
    """
    async with running_frontend(oidc=providers) as frontend:
        site = make_site(settings(folder, frontend.target, **sections))
        watching = asyncio.create_task(site.house.run())
        try:
            async with asyncio.timeout(LIMIT_S):
                await site.house.known.wait()
            yield House(frontend, site)
        finally:
            site.streams.close()
            await cancel(watching)
            await site.api.close()


async def away_house(folder: Path) -> tuple[Site, Visitor]:
    """A page whose frontend never answers, and a browser."""
    site = make_site(settings(folder, "127.0.0.1:1"))
    return site, Visitor(make_app(site))
