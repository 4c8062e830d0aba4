"""Rows about the page: its size, its first second in a browser, and what browsers cost."""

import asyncio
import gzip
import re
import statistics
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, sync_playwright

from benchmarks.buyers import buyers
from benchmarks.measure import alternate, cost
from benchmarks.rows_drops import AT_ONCE, WARM_UP_S
from benchmarks.sizes import Sizes
from benchmarks.systems import MACHINES, ROOT, Frontend, running_system
from benchmarks.table import Goal, Row
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan, settings_toml
from scripts.processes import Process
from tests.web.browser import CHROMIUM, SIZES, context_of
from tests.web.layout import SHIFTS, slow_down

MEMBER = UserPlan("alice", "correct-horse", 500)

HOUSE = Plan(
    machines=tuple(
        MachinePlan(
            f"m{number:02}",
            f"Machine {number}",
            tuple(SlotPlan(slot, f"Item {number}-{slot}", 50, 10) for slot in range(1, 11)),
        )
        for number in range(20)
    ),
    users=(MEMBER,),
    web_port=0,
    # One account asks here for what hundreds do elsewhere.
    frontend={"rpc.pace": "account_calls_per_s = 100_000\naccount_calls_burst = 100_000"},
)
"""20 machines with 200 slots."""

LOADS = 7
"""Times that a browser loads the page, each as one that has never seen it."""

PAGES_SHOWN = ("/", "/history", "/statistics", "/account", "/account/devices", "/machines/m00/1")
"""Pages whose parts must not move while they load."""

SHIFT_WAIT_MS = 1_500
"""Time after a page has loaded in which parts could still move."""

PAGES = 200
"""Times that the page is asked for, to see what it costs."""

SETTLE_S = 3
"""Seconds after the last stream is open until what they cost is counted."""

_PAGE_NAME = "0123456789012345678901"


async def page(folder: Path, sizes: Sizes) -> list[Row]:
    """What the first page is like, and what a thousand browsers cost that show it."""
    with LocalSystem(folder / "house", HOUSE) as system:
        system.install()
        # Nobody buys here: machines need no agents to be drawn.
        system.start_frontend()
        system.start_web()
        size = await asyncio.to_thread(_size, system.origin)
        member = await asyncio.to_thread(_drawing, system)
        rows = [
            Row(
                "first page: own HTML, styles and scripts, gzipped",
                size["all"] / 1000,
                "KB",
                goal=Goal.AT_MOST,
                limit=30,
                note=f"htmx {size['vendored'] / 1000:.1f} KB of it; 20 machines, 200 slots",
            ),
            Row(
                "page of 20 machines and 200 slots for a member: CPU of the page's process",
                member,
                "ms",
                goal=Goal.AT_MOST,
                limit=30,
            ),
            *await asyncio.to_thread(_in_a_browser, system.origin),
        ]
    return [*rows, *await _watched(folder, sizes), *await _beside_drops(folder, sizes)]


def _size(origin: str) -> Mapping[str, int]:
    """Gzipped bytes of the first page and of the files that it loads."""
    html = _read(origin, "/")
    paths = re.findall(r'(?:href|src)="(/assets/[^"]*)"', html.decode())
    files = {path: len(gzip.compress(_read(origin, path))) for path in paths}
    return {
        "all": len(gzip.compress(html)) + sum(files.values()),
        "vendored": sum(size for path, size in files.items() if "/vendor/" in path),
    }


def _read(origin: str, path: str) -> bytes:
    with urllib.request.urlopen(origin + path, timeout=10) as answer:  # noqa: S310 - our own
        content: bytes = answer.read()
    return content


def _drawing(system: LocalSystem) -> float:
    """Milliseconds of CPU of one page for a member."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    form = urlencode({"user": MEMBER.name, "password": MEMBER.password}).encode()
    opener.addheaders = [("sec-fetch-site", "same-origin")]
    opener.open(f"{system.origin}/login", form, timeout=10).read()
    before = cost(system.web.pid).cpu_s
    for _ in range(PAGES):
        opener.open(f"{system.origin}/", timeout=10).read()
    return (cost(system.web.pid).cpu_s - before) / PAGES * 1000


def _in_a_browser(origin: str) -> list[Row]:
    """Rows that only a browser can tell; none without Chromium."""
    if not Path(CHROMIUM).exists():
        return []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        times_ms = [_interactive_ms(chromium, origin) for _ in range(LOADS)]
        shift, moved = _shift(chromium, origin)
        chromium.close()
    what = "20 machines, 200 slots, a browser that has never seen it"
    return [
        Row(
            f"first page interactive: {what}",
            statistics.median(times_ms),
            "ms",
            goal=Goal.AT_MOST,
            limit=300,
            limited_by="the browser, which parses, styles and draws on the cores that serve it",
        ),
        Row(
            f"layout shift: {len(PAGES_SHOWN)} pages at three sizes, also on a slow link",
            shift,
            "",
            goal=Goal.AT_MOST,
            limit=0,
            note=moved,
            limited_by="the part that the row names",
        ),
    ]


def _interactive_ms(chromium: Browser, origin: str) -> float:
    """Milliseconds until every form and stream of the first page works."""
    context = chromium.new_context(base_url=origin)
    tab = context.new_page()
    tab.goto("/", wait_until="load")
    # Scripts are deferred: they have run before this event.
    found: float = tab.evaluate(
        "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    )
    context.close()
    return found


def _shift(chromium: Browser, origin: str) -> tuple[float, str]:
    """The greatest layout shift of all pages, and the first part that moved."""
    worst, moved = 0.0, ""
    for size, is_slow in product(SIZES, (False, True)):
        context = context_of(chromium, origin, size=size)
        first = context.new_page()
        first.goto("/login")
        first.fill("[name=user]", MEMBER.name)
        first.fill("[name=password]", MEMBER.password)
        first.click("main button")
        first.wait_for_url("**/")
        if not is_slow:
            context.add_init_script(SHIFTS)
        # All at the same time: each has a link of its own, and most of the time is waiting.
        tabs = {path: context.new_page() for path in PAGES_SHOWN}
        for path, tab in tabs.items():
            if is_slow:
                slow_down(context, tab)
            tab.goto(path, wait_until="commit")
        for tab in tabs.values():
            tab.wait_for_load_state("load")
        first.wait_for_timeout(SHIFT_WAIT_MS)
        for path, tab in tabs.items():
            shift = tab.evaluate("window.shift")
            if shift > worst:
                part = " ".join(tab.evaluate("window.shifted[0]").split())
                worst, moved = shift, f"{path}: {part}"
        context.close()
    return worst, moved


class Web(Process):
    """The page of a frontend, with room for many browsers at one address.

    Args:
        folder: Where its files are.
        frontend: Whose page it is.
    """

    def __init__(self, folder: Path, frontend: Frontend) -> None:
        config = folder.absolute() / "web.toml"
        sections = {
            "http": "port = 0",
            "frontend": f'address = "{frontend.address}"',
            "cookies": f'key_file = "{folder.absolute()}/cookie.keys"',
            "streams": "max = 4_000\nper_address_max = 4_000",
            "log": 'format = "json"',
        }
        config.write_text(settings_toml(sections, {}), encoding="utf-8")
        super().__init__(
            "web", ["drink-web", f"--config={config}", "serve"], folder, {"PYTHONPATH": str(ROOT)}
        )


async def _watched(folder: Path, sizes: Sizes) -> list[Row]:
    """What a thousand browsers cost while nothing changes."""
    frontend = Frontend(folder / "watched")
    frontend.install()
    try:
        frontend.start()
        web = Web(folder / "watched", frontend)
        web.start()
        port = web.wait_for("serving")["port"]
        async with _browsers(port, sizes.browsers):
            await asyncio.sleep(SETTLE_S)
            before = cost(web.pid).cpu_s, cost(frontend.process.pid).cpu_s
            await asyncio.sleep(sizes.browsers_s)
            after = cost(web.pid).cpu_s, cost(frontend.process.pid).cpu_s
        ours, its = ((b - a) / sizes.browsers_s for a, b in zip(before, after, strict=True))
        web.kill()
    finally:
        frontend.process.kill()
    return [
        Row(
            f"{sizes.browsers:,} watching browsers, nothing changes: CPU of the page's process",
            ours,
            "cores",
            goal=Goal.AT_MOST,
            limit=0.1,
            note=f"the frontend has one watch of them all, and takes {its:.3f} cores",
        )
    ]


async def _beside_drops(folder: Path, sizes: Sizes) -> list[Row]:
    """Drops a second while many browsers watch, and while none does."""
    with running_system(folder / "beside") as (frontend, target):
        web = Web(folder / "beside", frontend)
        web.start()
        try:
            port = web.wait_for("serving")["port"]
            async with buyers(target) as crowd:
                await crowd.buy(AT_ONCE, WARM_UP_S)

                async def without() -> Mapping[str, float]:
                    return {"drops": (await crowd.buy(AT_ONCE, sizes.drops_s)).per_second}

                async def beside() -> Mapping[str, float]:
                    async with _browsers(port, sizes.browsers_beside):
                        return await without()

                found = await alternate({"without": without, "beside": beside}, sizes.rounds)
        finally:
            web.kill()
    return [
        Row(
            f"drops, {AT_ONCE} at a time on {len(MACHINES)} machines, beside "
            f"{sizes.browsers_beside} watching browsers",
            found["beside"]["drops"],
            "drops/s",
            found["without"]["drops"],
            "no browser",
            Goal.AT_LEAST,
            0.9,
            limited_by="CPU: each change is drawn for the browsers on the cores that sell",
        )
    ]


@asynccontextmanager
async def _browsers(port: int, count: int) -> AsyncIterator[None]:
    """So many open event streams of the page, which are read to nowhere."""
    request = f"GET /events?page={_PAGE_NAME} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    open_now: list[Any] = []
    try:
        for _ in range(count):
            answered = loop.create_future()

            def make(answered: "asyncio.Future[bytes]" = answered) -> "_Reader":
                return _Reader(answered)

            transport, _ = await loop.create_connection(make, "127.0.0.1", port)
            open_now.append(transport)
            transport.write(request)
            first = await asyncio.wait_for(answered, 30)
            if not first.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"a stream was refused: {first[:100]!r}")
        yield
    finally:
        for transport in open_now:
            transport.abort()


class _Reader(asyncio.Protocol):
    """Reads an answer to nowhere, but for its beginning."""

    def __init__(self, answered: "asyncio.Future[bytes]") -> None:
        self._answered = answered

    def data_received(self, data: bytes) -> None:
        if not self._answered.done():
            self._answered.set_result(data)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answered.done():
            self._answered.set_exception(error or ConnectionError("closed"))
