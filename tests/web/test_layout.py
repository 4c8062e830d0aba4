"""Nothing moves in the pages while they load."""

import pytest
from playwright.sync_api import Browser, expect

from scripts.local_system import LocalSystem
from tests.web.browser import SIZES, needs_browser
from tests.web.layout import moves, slow_down
from tests.web.people import person, press, reaches

pytestmark = needs_browser

LOADED_AGAIN = ("/", "/history", "/statistics", "/account", "/account/devices", "/machines/d/1")


@pytest.mark.parametrize("size", SIZES)
def test_no_part_of_a_page_depends_on_a_later_one(
    browser: Browser, house: LocalSystem, size: str
) -> None:
    with person(browser, house, size=size) as page:
        press(page, "d-1")
        reaches(page, "dispensed")
        for path in (page.url, *LOADED_AGAIN):
            page.goto(path, wait_until="load")
            assert moves(page) == [], path


@pytest.mark.parametrize("size", SIZES)
def test_nothing_moves_on_a_slow_link(browser: Browser, house: LocalSystem, size: str) -> None:
    with person(browser, house, size=size) as page:
        slow_down(page.context, page)
        for path in ("/", "/history", "/account/devices"):
            page.goto(path, wait_until="load")
            # The last thing that could move something: the stream has told of all machines.
            expect(page.locator("html:not([data-offline])")).to_be_attached()
            page.wait_for_function("document.fonts.status === 'loaded'")
            assert page.evaluate("window.shifted") == [], path
            assert page.evaluate("window.shift") == 0, path


def test_a_part_that_moves_is_found(browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_content("<main style='display:grid'><p>first</p></main>")
        assert moves(page) == []
        page.set_content(
            "<main style='display:flex;justify-content:end'><p>first</p><p>second</p></main>"
        )
        assert [each[:10] for each in moves(page)] == ["<p>first</"]
