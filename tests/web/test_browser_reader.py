"""What the page knows of its reader in a browser: the login that ended, and the time zone."""

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import expect

from tests.web.browser import needs_browser
from tests.web.drop_states import hold
from tests.web.reader import ann, log_in

pytestmark = needs_browser

LONG_S = 400 * 86_400
"""Seconds after which no login is good any more."""


@pytest.mark.parametrize("scripts", [True, False])
async def test_an_expired_cookie_says_so_and_leads_to_a_login_and_back(
    tmp_path: Path, *, scripts: bool
) -> None:
    async with ann(tmp_path, java_script_enabled=scripts, locale="en-GB") as (house, page):
        house.bench.clock.pass_s(LONG_S)
        await page.goto("/history/credits")
        await expect(page.locator(".note")).to_have_text(
            "Your login has ended. Please log in again."
        )
        await expect(page.locator(".who .user")).to_have_count(0)
        assert [cookie["name"] for cookie in await page.context.cookies()] == []
        await log_in(page)
        await page.wait_for_url("**/history/credits")
        await expect(page.locator(".who .user")).to_have_text("ann")


async def test_a_form_of_an_expired_cookie_buys_nothing_and_leads_to_a_login(
    tmp_path: Path,
) -> None:
    async with ann(tmp_path, locale="en-GB") as (house, page):
        await page.goto("/")
        house.bench.clock.pass_s(LONG_S)
        await page.click("#tile-d-1 form[action='/drops'] button")
        await expect(page.locator(".note")).to_have_text(
            "Your login has ended. Please log in again."
        )
        assert await house.frontend.kept_drops() == []


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns", "UTC"])
async def test_times_are_shown_in_the_zone_of_the_reader(tmp_path: Path, zone: str) -> None:
    async with ann(tmp_path, timezone_id=zone, locale="de-DE") as (house, page):
        hold(house)
        for path in ("/drops/dispensed", "/drops/in-line", "/account/devices"):
            await page.goto(path)
            shown = page.locator("main time").first
            moment = datetime.fromisoformat(await shown.get_attribute("datetime") or "")
            assert moment.utcoffset() == UTC.utcoffset(None)
            there = moment.astimezone(ZoneInfo(zone)).strftime("%d.%m.%Y, %H:%M")
            await expect(shown).to_have_text(there)


async def test_without_scripts_times_say_their_zone(tmp_path: Path) -> None:
    async with ann(tmp_path, java_script_enabled=False, locale="de-DE") as (house, page):
        hold(house)
        for path in ("/drops/dispensed", "/account/devices"):
            await page.goto(path)
            times = await page.locator("main time").all_inner_texts()
            assert times
            assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", each) for each in times)
