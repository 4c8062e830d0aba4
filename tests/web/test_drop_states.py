"""Every state of a drop in a browser: readable by everybody, whole, and with Cancel in sight."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.web.browser import AXE, SIZES, TOO_WIDE, axe_rules, needs_browser
from tests.web.drop_states import NAME_MAX, STATES, hold
from tests.web.reader import ann

pytestmark = needs_browser

EVERYWHERE = [
    (size, scheme, language)
    for size in SIZES
    for scheme in ("light", "dark")
    for language in ("en-GB", "de-DE")
]

SAID = {
    "scheduled": "Ordered. You can still cancel.",
    "in-line": "3 drops come before yours. About 14 s to go.",
    "in-line-next": "It is next. About 4 s to go.",
    "in-line-offline": "The machine is not connected right now.",
    "in-line-untold": "In line at the machine",
    "motor": "The motor turns",
    "dispensed": "You paid 50 credits.",
    "dispensed-decided": "Decided by admin.",
    "refused": "the machine refused",
    "machine-offline": "the machine was not connected in time",
    "not-dispensed-decided": "Decided by admin.",
    "cancelled": "Cancelled, nothing paid",
    "unknown": "50 credits are held, not paid.",
    "refunded": "20 credits",
    "scheduled-long-name": NAME_MAX,
    "unknown-long-word": "50 credits are held, not paid.",
}
"""What is to be read in each state."""

LINES = """() => [...document.querySelectorAll("#drop .count strong")].map(each => {
  const text = document.createRange();
  text.selectNodeContents(each);
  const inside = text.getBoundingClientRect(), ring = each.getBoundingClientRect();
  return text.getClientRects().length === 1
    && inside.left > ring.left + 6 && inside.right < ring.right - 6;
})"""
"""Whether the seconds stand in one line inside their ring."""


async def look_at_all(folder: Path, size: str, scheme: Any, language: str) -> None:
    """Looks at all states at that size."""
    width, height = SIZES[size]
    how = {
        "viewport": {"width": width, "height": height},
        "color_scheme": scheme,
        "locale": language,
        "reduced_motion": "reduce",
    }
    async with ann(folder, **how) as (house, page):
        hold(house)
        for name in STATES:
            answer = await page.goto(f"/drops/{name}")
            assert answer is not None
            assert answer.status == 200, name
            if language.startswith("en"):
                await expect(page.locator("#drop")).to_contain_text(SAID[name])
            if name.startswith(("scheduled", "in-line")):
                await expect(page.locator("#drop .cancel")).to_be_in_viewport(ratio=1)
            else:
                await expect(page.locator("#drop .cancel")).to_have_count(0)
            assert all(await page.evaluate(LINES)), name
            await page.evaluate(AXE.read_text(encoding="utf-8"))
            found = await page.evaluate(f"axe.run({axe_rules()})")
            assert found["violations"] == [], name
            assert not await page.evaluate(TOO_WIDE), name


async def test_every_state_is_readable_on_a_phone(tmp_path: Path) -> None:
    await look_at_all(tmp_path, "phone", "dark", "en-GB")


@pytest.mark.parametrize(
    ("language", "seconds", "second"),
    [("en-GB", "seconds", "second"), ("de-DE", "Sekunden", "Sekunde")],
)
async def test_the_last_second_is_one(
    tmp_path: Path, language: str, seconds: str, second: str
) -> None:
    async with ann(tmp_path, locale=language) as (house, page):
        hold(house)
        # The page alone counts, and only while the test has it count.
        await page.route("**/events", lambda route: route.abort())
        await page.clock.install()
        await page.clock.pause_at(time.time() + 3_600)
        await page.goto("/drops/scheduled")
        left = int(await page.inner_text(".count strong"))
        await expect(page.locator(".count")).to_have_text(re.compile(rf" {left} {seconds}$"))
        await page.clock.run_for((left - 1) * 1000)
        await expect(page.locator(".count")).to_have_text(re.compile(rf" 1 {second}$"))
        await page.clock.run_for(1000)
        await expect(page.locator(".count")).to_have_text(re.compile(rf" 0 {seconds}$"))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "scheme", "language"), EVERYWHERE)
async def test_every_state_is_readable_everywhere(
    tmp_path: Path, size: str, scheme: str, language: str
) -> None:
    await look_at_all(tmp_path, size, scheme, language)
