"""Draws the pictures of the page, the README's and those of docs/web.md, from a run of it.

It starts the demo's system, buys, and photographs the page with Debian's Chromium.

Usage: python -m scripts.pictures
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from drink.v1 import kiosk_service_pb2 as kiosks
from scripts.demo.plan import ADMIN, ALICE, DEMO
from scripts.local_system import LocalSystem
from scripts.plan import UserPlan

FOLDER = Path(__file__).resolve().parent.parent / "docs/pictures"

LIMIT_MS = 20_000
"""Milliseconds that anything awaited on a page may take."""


MEMBERS = {
    "slot": "/machines/d/1",
    "history": "/history",
    "statistics": "/statistics",
    "account": "/account",
    "devices": "/account/devices",
}
"""Pages of members by the names of their pictures."""

OPERATORS = {
    "today": "/admin",
    "alarms": "/admin/alarms",
    "events": "/admin/events",
    "items": "/admin/items",
    "restock": "/admin/restock",
    "machines": "/admin/machines",
    "machine": "/admin/machines/d",
    "machine-slot": "/admin/machines/d/1",
    "month": "/admin/statistics",
    "users": "/admin/users",
    "user": "/admin/users/alice",
    "kiosks": "/admin/kiosks",
}
"""Pages of administrators, likewise."""

BOUGHT = ("d/2", "ld/1", "s/1", "d/2", "d/3")
"""What alice has bought before: for her history and statistics."""


@contextmanager
def _opened(browser: Browser, origin: str, width: int = 1180, height: int = 640) -> Iterator[Page]:
    page = browser.new_page(
        base_url=origin,
        viewport={"width": width, "height": height},
        device_scale_factor=1,
        color_scheme="light",
        locale="en-GB",
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
    )
    page.set_default_timeout(LIMIT_MS)
    yield page
    page.close()


def _log_in(page: Page, user: UserPlan) -> None:
    page.goto("/login")
    page.fill("[name=user]", user.name)
    page.fill("[name=password]", user.password)
    page.click("main button")
    page.wait_for_selector("#tile-d-1")


def _draw(page: Page, name: str, path: str) -> None:
    page.goto(path)
    page.screenshot(path=FOLDER / f"{name}.png")


def _photograph(browser: Browser, system: LocalSystem) -> None:
    with _opened(browser, system.origin) as page:
        _draw(page, "login", "/login")
        _log_in(page, ALICE)
        page.screenshot(path=FOLDER / "home.png")
        page.click("#tile-d-1 button")
        page.wait_for_selector("#drop.scheduled")
        page.set_viewport_size({"width": 640, "height": 640})
        page.screenshot(path=FOLDER / "drop.png")
        page.wait_for_selector("#drop.dispensed")
        drop = page.url.rpartition("/")[2]
        page.set_viewport_size({"width": 1180, "height": 640})
        buyer = system.client(ALICE)
        for slot in BOUGHT:
            buyer.drop(slot)
        buyer.close()
        for name, path in MEMBERS.items():
            _draw(page, name, path)
    with _opened(browser, system.origin) as page:
        _log_in(page, ADMIN)
        for name, path in OPERATORS.items():
            _draw(page, name, path)
        _draw(page, "decision", f"/admin/drops/{drop}")
    administrator = system.client(ADMIN)
    pairing = kiosks.PairKioskRequest(machine="machines/d", display_name="Hall")
    code = administrator.call(administrator.kiosks.PairKiosk, pairing).pairing_code
    administrator.close()
    with _opened(browser, system.origin, 1024, 600) as page:
        page.goto("/kiosk")
        for digit in code:
            page.click(f"[data-key='{digit}']")
        page.click("#main form button:not([type])")
        page.wait_for_selector("#main[data-kind=start]")
        page.screenshot(path=FOLDER / "kiosk.png")


def main() -> None:
    """Draws them."""
    FOLDER.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or "/usr/bin/chromium"
    with (
        tempfile.TemporaryDirectory(prefix="drink-pictures-") as folder,
        LocalSystem(Path(folder), DEMO) as system,
        sync_playwright() as playwright,
    ):
        system.set_up()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        _photograph(browser, system)
        browser.close()
        system.stop()


if __name__ == "__main__":
    main()
