"""Debian's Chromium, driven by Playwright, and what a page must keep to in it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright import async_api, sync_api
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"

AXE = Path(__file__).parents[2] / "third_party/axe-core/axe.min.js"

LIMIT_MS = 30_000
"""Milliseconds that anything awaited in a browser may take, also on a busy computer."""

for api in (sync_api, async_api):
    api.expect.set_options(timeout=LIMIT_MS)

SIZES = {"phone": (390, 844), "desktop": (1280, 900), "kiosk": (1024, 600)}
"""Windows that every page is looked at in, in CSS pixels."""

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""The rules of WCAG 2.2 AA, as axe-core names them."""

TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
"""Whether a page has to be scrolled sideways."""

needs_browser = pytest.mark.skipif(
    not Path(CHROMIUM).exists(), reason="needs Chromium: apt-get install chromium"
)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser without windows."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


def context_of(
    browser: Browser,
    origin: str,
    *,
    size: str = "desktop",
    scheme: Any = "light",
    language: str = "en-GB",
    scripts: bool = True,
) -> BrowserContext:
    """A browser of one person, that notes what leaves the origin and what goes wrong."""
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=origin,
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        locale=language,
        timezone_id="Europe/Berlin",
        java_script_enabled=scripts,
        reduced_motion="reduce",
    )
    context.set_default_timeout(LIMIT_MS)
    return context


class Watched:
    """Notes requests that leave the origin, and errors in the page.

    Args:
        context: The browser.
        origin: Where the page is.
    """

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.problems: list[str] = []

        def on_request(request: Any) -> None:
            if not request.url.startswith((origin, "data:", "blob:")):
                self.problems.append(f"left the origin: {request.url}")

        def on_console(message: Any) -> None:
            # Browser and htmx tell of requests that fail; tests look at what the page does then.
            told = ("Failed to load resource", "htmx: htmx:sse:error", "htmx: htmx:error")
            if message.type == "error" and not message.text.startswith(told):
                self.problems.append(f"console: {message.text}")

        context.on("request", on_request)
        context.on("console", on_console)
        context.on("weberror", lambda error: self.problems.append(f"error: {error.error}"))


def axe_rules() -> str:
    """Options of axe-core for WCAG 2.2 AA."""
    return json.dumps({"runOnly": RULES})


def violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA in the page as it is."""
    # The page's own policy allows no code but its files; evaluating is not subject to it.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(f"axe.run({axe_rules()})")
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def is_too_wide(page: Page) -> bool:
    """Whether the page has to be scrolled sideways."""
    return bool(page.evaluate(TOO_WIDE))
