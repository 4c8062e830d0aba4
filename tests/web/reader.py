"""A reader of the page: Ann, logged in with a browser of her own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

from tests.support.rpc_frontend import PASSWORD
from tests.web.browser import CHROMIUM
from tests.web.drop_states import served_house
from tests.web.visitor import House


@asynccontextmanager
async def ann(folder: Path, **how: Any) -> AsyncIterator[tuple[House, Page]]:
    """Ann at the page in a browser, logged in; how the browser is made is Playwright's."""
    async with served_house(folder) as (house, origin), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(base_url=origin, **how)
        await page.goto("/login")
        await log_in(page)
        await page.wait_for_url("**/")
        yield house, page
        await browser.close()


async def log_in(page: Page) -> None:
    """Fills and sends the form of the login that is shown."""
    await page.fill("[name=user]", "ann")
    await page.fill("[name=password]", PASSWORD)
    await page.click("main button")
