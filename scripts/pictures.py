"""Draws the picture of the page in the README, from a run of the real thing.

It starts the demo's system, buys, and photographs the page with Debian's Chromium.

Usage: python -m scripts.pictures
"""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from scripts.demo.plan import ALICE, DEMO
from scripts.local_system import LocalSystem

FOLDER = Path(__file__).resolve().parent.parent / "docs/pictures"

LIMIT_MS = 20_000
"""Milliseconds that anything awaited on a page may take."""


def _log_in(page: Page) -> None:
    page.goto("/login")
    page.fill("[name=user]", ALICE.name)
    page.fill("[name=password]", ALICE.password)
    page.click("main button")
    page.wait_for_selector("#tile-d-1")


def _photograph(browser: Browser, origin: str) -> None:
    page = browser.new_page(
        base_url=origin,
        viewport={"width": 1180, "height": 640},
        device_scale_factor=1,
        color_scheme="light",
        locale="en-GB",
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
    )
    _log_in(page)
    page.screenshot(path=FOLDER / "home.png")
    page.click("#tile-d-1 button")
    page.wait_for_selector("#drop.scheduled")
    page.set_viewport_size({"width": 640, "height": 640})
    page.screenshot(path=FOLDER / "drop.png")
    page.wait_for_selector("#drop.dispensed", timeout=LIMIT_MS)
    page.close()


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
        _photograph(browser, system.origin)
        browser.close()
        system.stop()


if __name__ == "__main__":
    main()
