"""People at the page in a real browser, against real services and emulated boards."""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, expect

from drink.v1 import drop_service_pb2 as drops
from scripts.local_system import LocalSystem
from scripts.plan import UserPlan
from tests.web.browser import Watched, context_of, is_too_wide, violations
from tests.web.conftest import ALICE


@contextmanager
def person(
    browser: Browser,
    house: LocalSystem,
    user: UserPlan | None = ALICE,
    *,
    origin: str = "",
    **how: Any,
) -> Iterator[Page]:
    """Somebody at the page, logged in; it must not leave its origin or go wrong meanwhile.

    Args:
        browser: The browser.
        house: The system.
        user: Who logs in; None for a visitor.
        origin: Where the page is asked for; the system's own if empty.
        how: As for `context_of`.
    """
    with watched_page(browser, origin or house.origin, **how) as page:
        if user is not None:
            log_in(page, user)
        yield page


@contextmanager
def watched_page(browser: Browser, origin: str, **how: Any) -> Iterator[Page]:
    """A new page, which must not leave its origin or go wrong; `how` as for `context_of`.

    What it looked like is kept if the test fails.
    """
    with context_of(browser, origin, **how) as context:
        watched = Watched(context, origin)
        page = context.new_page()
        try:
            yield page
            assert watched.problems == []
        except BaseException as error:
            keep_picture(page, error)
            raise


def keep_picture(page: Page, error: BaseException) -> None:
    """Keeps what the page looked like when a test failed, and says where."""
    with tempfile.NamedTemporaryFile(prefix="drink-web-", suffix=".png", delete=False) as file:
        with contextlib.suppress(Exception):
            page.screenshot(path=file.name, full_page=True)
        error.add_note(f"the page: {file.name}")


def log_in(page: Page, user: UserPlan) -> None:
    page.goto("/login")
    page.fill("[name=user]", user.name)
    page.fill("[name=password]", user.password)
    page.click("main button")
    expect(page.locator(".who .user")).to_have_text(user.name)


def press(page: Page, slot: str) -> None:
    """Goes to the machines and presses the button of a slot."""
    page.goto("/")
    page.click(f"#tile-{slot} button")
    expect(page).to_have_url(re.compile(r"/drops/"))


def press_later(page: Page, delay_s: int) -> None:
    """Buys from the first slot, to fall in so many seconds; the drop's page is loaded then."""
    page.goto("/machines/d/1")
    page.check(f"[value='{delay_s}']")
    page.click("form[action='/drops'] button")
    expect(page).to_have_url(re.compile(r"/drops/"))
    # With its scripts: what becomes of the page next must not find it without them.
    page.wait_for_load_state()


def reaches(page: Page, kind: str) -> None:
    """Waits until the drop's page shows that, by itself."""
    expect(page.locator(f"#drop.{kind}")).to_be_visible()


def motor_runs(house: LocalSystem, machine: str = "d") -> int:
    return int(house.boards[machine].counts()["motor_runs"])


def bought(house: LocalSystem, user: UserPlan = ALICE) -> int:
    """Drops that somebody has made so far."""
    client = house.client(user)
    listed = client.drops.ListDrops(
        drops.ListDropsRequest(page_size=1000), metadata=client.metadata, timeout=20
    )
    client.close()
    return len(listed.drops)


def keeps_to_wcag(page: Page, path: str) -> None:
    """Fails unless the page of that path is good for everybody."""
    page.goto(path)
    assert violations(page) == [], path
    assert not is_too_wide(page), path
