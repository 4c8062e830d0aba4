"""Every page at every size, light and dark, on both engines; one of each in the quick form."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from drink.v1 import drop_service_pb2 as drops
from scripts.local_system import LocalSystem
from tests.support.ports import with_own_ports
from tests.support.postgres import empty_postgres
from tests.web.browser import SIZES, is_too_wide, needs_browser, violations
from tests.web.conftest import ADMIN, ALICE, PLAN
from tests.web.people import bought, person, press, reaches
from tests.web.test_kiosk_browser import code_of, shows, type_code

pytestmark = needs_browser

EVERYWHERE = [(size, scheme) for size in SIZES for scheme in ("light", "dark")]
ONCE = ("phone", "light")

VISITORS = ("/", "/?q=coke", "/login", "/machines/d/1", "/nothing")
MEMBERS = (
    "/",
    "/?q=nothing+of+this+name",
    "/machines/d/1",
    "/history",
    "/history/credits",
    "/statistics",
    "/statistics?time=ever&ranking=year",
    "/account",
    "/account/devices",
    "/nothing",
)
OPERATORS = (
    "/admin",
    "/admin/alarms",
    "/admin/alarms?closed=1",
    "/admin/events",
    "/admin/items",
    "/admin/kiosks",
    "/admin/restock",
    "/admin/machines",
    "/admin/machines/d",
    "/admin/machines/d/1",
    "/admin/statistics",
    "/admin/statistics?month=2020-02",
    "/admin/users",
    "/admin/users/alice",
    "/statistics?account=alice",
)


WRAPPED = """() => [...document.querySelectorAll(".choices:not(.two) label")].filter(each => {
  const text = document.createRange();
  text.selectNodeContents(each.querySelector("span"));
  return text.getClientRects().length > 1;
}).map(each => each.textContent)"""
"""Short choices whose words are not in one line."""


class PostgresHouse(LocalSystem):
    """A system whose frontend has its data in PostgreSQL."""

    url = ""

    @property
    def _storage(self) -> str:
        return f'url = "{self.url}"'


@pytest.fixture(scope="module")
def postgres_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """The same system on PostgreSQL."""
    url = empty_postgres().url
    assert url is not None
    folder = tmp_path_factory.mktemp("postgres")
    PostgresHouse.url = str(getattr(url, "get_secret_value", lambda: url)())
    with PostgresHouse(folder, with_own_ports(PLAN)) as system:
        system.set_up()
        yield system


def newest_drop(house: LocalSystem) -> str:
    client = house.client(ALICE)
    listed = client.drops.ListDrops(
        drops.ListDropsRequest(page_size=1), metadata=client.metadata, timeout=20
    )
    client.close()
    return str(listed.drops[0].name)


def looks_good(page: Page, path: str) -> None:
    """Fails unless the page of that path is good for everybody."""
    page.goto(path)
    expect(page.locator("h1")).to_have_count(1)
    assert violations(page) == [], path
    assert not is_too_wide(page), path
    assert page.evaluate(WRAPPED) == [], path


def look_at_all(
    browser: Browser, house: LocalSystem, size: str, scheme: str, language: str
) -> None:
    """Every page of visitors, members and administrators."""
    how: dict[str, Any] = {"size": size, "scheme": scheme, "language": language}
    with person(browser, house, **how) as page:
        if not bought(house):
            press(page, "d-1")
            reaches(page, "dispensed")
        drop = newest_drop(house)
        for path in (*MEMBERS, f"/{drop}"):
            looks_good(page, path)
    with person(browser, house, None, **how) as page:
        for path in (*VISITORS, "/kiosk"):
            looks_good(page, path)
        type_code(page, code_of(house))
        shows(page, "start")
        looks_good(page, "/kiosk")
    with person(browser, house, ADMIN, **how) as page:
        for path in (*OPERATORS, f"/admin/{drop}"):
            looks_good(page, path)


def test_every_page_keeps_to_wcag(browser: Browser, house: LocalSystem) -> None:
    look_at_all(browser, house, *ONCE, "de-DE")


@pytest.mark.slow
@pytest.mark.parametrize(("size", "scheme"), EVERYWHERE)
def test_every_page_keeps_to_wcag_everywhere(
    browser: Browser, house: LocalSystem, size: str, scheme: str
) -> None:
    look_at_all(browser, house, size, scheme, "en-GB")


@pytest.mark.slow
@pytest.mark.parametrize(("size", "scheme"), EVERYWHERE)
def test_every_page_keeps_to_wcag_on_postgresql(
    browser: Browser, postgres_house: LocalSystem, size: str, scheme: str
) -> None:
    look_at_all(browser, postgres_house, size, scheme, "de-DE")
