"""The page in a real browser whose connection is lost, silent or one of too many."""

import time
from contextlib import ExitStack, closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection

from playwright.sync_api import Browser, expect

from drink_web.settings import StreamSettings
from scripts.local_system import LocalSystem
from scripts.proxy import FaultProxy
from tests.web.browser import LIMIT_MS, needs_browser
from tests.web.people import person, press, press_later, reaches

pytestmark = needs_browser

CONNECTIONS_MAX = 6
"""Connections that Chromium keeps to one server."""

FOLLOWED = """
addEventListener("htmx:sse:after:connection", () => {
  document.documentElement.dataset.followed = "";
}, true);
"""
"""A script that marks a page whose stream has opened."""


def test_a_browser_that_was_offline_catches_up(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house) as page:
        page.add_init_script(FOLLOWED)
        press_later(page, 10)
        # A browser that is set offline keeps its open streams, and may open one that it has begun.
        expect(page.locator("html[data-followed]")).to_be_attached()
        page.context.set_offline(True)
        expect(page.locator("html[data-offline]")).to_be_attached()
        page.context.set_offline(False)
        reaches(page, "dispensed")


def test_a_page_whose_connection_was_lost_while_it_loaded_says_so(
    browser: Browser, house: LocalSystem
) -> None:
    with person(browser, house) as page:
        page.add_init_script("Object.defineProperty(navigator, 'onLine', {get: () => false})")
        page.goto("/history")
        expect(page.locator("html[data-offline]")).to_be_attached()
        # A stream that works is right, whatever the browser believes.
        page.goto("/")
        expect(page.locator("html:not([data-offline])")).to_be_attached()


def test_a_drop_is_seen_to_its_end_while_there_are_too_many_streams(
    browser: Browser, house: LocalSystem
) -> None:
    with person(browser, house) as page, ExitStack() as streams:
        page.goto("/")
        path = page.locator("[hx-sse\\:connect]").first.get_attribute("hx-sse:connect")
        page.goto("about:blank")
        until = time.monotonic() + LIMIT_MS / 1_000
        left = StreamSettings().per_address_max
        while left:
            # Until the stream of the page that was left has ended, one is refused.
            assert time.monotonic() < until
            stream = HTTPConnection("localhost", house.web_port, timeout=LIMIT_MS / 1_000)
            streams.enter_context(closing(stream))
            stream.request("GET", path or "")
            left -= stream.getresponse().status == HTTPStatus.OK
        press(page, "d-1")
        reaches(page, "dispensed")


def test_a_laptop_that_slept_through_the_outcome_shows_it(
    browser: Browser, house: LocalSystem
) -> None:
    """Nobody tells the browser that its connections died meanwhile."""
    with (
        FaultProxy(house.web_port) as proxy,
        person(browser, house, origin=f"http://localhost:{proxy.port}") as page,
        person(browser, house) as awake,
    ):
        page.clock.install()
        press_later(page, 10)
        reaches(page, "scheduled")
        lifecycle = page.context.new_cdp_session(page)
        lifecycle.send("Page.setWebLifecycleState", {"state": "frozen"})
        proxy.stall()
        awake.goto(page.url.removeprefix(f"http://localhost:{proxy.port}"))
        reaches(awake, "dispensed")
        lifecycle.send("Page.setWebLifecycleState", {"state": "active"})
        page.clock.fast_forward("10:00")
        # A new request may take any of the connections that are dead; each is given up in turn.
        for _ in range(2 * CONNECTIONS_MAX):
            with suppress(AssertionError):
                expect(page.locator("#drop.dispensed")).to_be_visible(timeout=1_500)
                break
            page.clock.fast_forward("00:20")
        reaches(page, "dispensed")
        expect(page.locator("html[data-offline]")).to_have_count(0)
