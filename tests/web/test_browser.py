"""The page in a real browser, against real services and emulated boards."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ViewportSize, expect

from scripts.local_system import LocalSystem
from tests.web.browser import context_of, is_too_wide, needs_browser, violations
from tests.web.conftest import ADMIN, BOB
from tests.web.people import (
    bought,
    keeps_to_wcag,
    motor_runs,
    person,
    press,
    press_later,
    reaches,
)
from tests.web.test_images import SVG, file

pytestmark = needs_browser

NARROW: ViewportSize = {"width": 320, "height": 568}
"""The window of the smallest phone that is in use."""


def test_a_can_is_dropped_and_watched_to_its_fall(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house) as page:
        before = motor_runs(house)
        press(page, "d-1")
        reaches(page, "dispensed")
        expect(page.locator("#drop-state")).to_contain_text("Coke fell. You paid 50 credits.")
        # As people of en-GB write it, whom the browser belongs to.
        expect(page.locator("#drop time")).to_have_text(re.compile(r"^\d+ \w+ \d{4}, \d\d:\d\d$"))
        assert violations(page) == []
        assert motor_runs(house) == before + 1


def test_a_drop_is_cancelled_in_time(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house) as page:
        page.set_viewport_size(NARROW)
        before = motor_runs(house)
        press_later(page, 60)
        reaches(page, "scheduled")
        # Three seconds are no time to scroll.
        expect(page.locator("#drop .cancel")).to_be_in_viewport(ratio=1)
        expect(page.locator("#drop.scheduled strong")).to_have_text(re.compile("^[1-5][0-9]$"))
        assert violations(page) == []
        page.click("#drop .cancel")
        reaches(page, "cancelled")
        assert violations(page) == []
        assert motor_runs(house) == before


def test_a_refused_drop_costs_nothing(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house) as page:
        page.goto("/")
        credits_before = page.inner_text("#credits")
        house.boards["s"].fault("refuse", slot=1)
        press(page, "s-1")
        reaches(page, "not_dispensed")
        expect(page.locator("#credits")).to_have_text(credits_before)
        assert violations(page) == []


def test_the_unknown_is_told_and_settles_itself(browser: Browser, house: LocalSystem) -> None:
    """Nobody is told sold or failed while nobody knows; the late answer comes by itself."""
    with person(browser, house) as page:
        house.boards["ld"].fault("late", slot=1, seconds=10)
        press(page, "ld-1")
        reaches(page, "unknown")
        expect(page.locator("#drop-state")).to_contain_text("60 credits are held, not paid.")
        assert violations(page) == []
        reaches(page, "dispensed")


def test_double_click_back_reload_and_two_tabs_buy_once(
    browser: Browser, house: LocalSystem
) -> None:
    with person(browser, house) as page:
        before = bought(house)
        page.goto("/")
        order = {
            name: page.locator(f"#tile-d-2 [name={name}]").get_attribute("value") or ""
            for name in ("request_id", "slot", "price")
        }
        page.dblclick("#tile-d-2 button", no_wait_after=True)
        expect(page).to_have_url(re.compile(r"/drops/"))
        page.reload()
        first = page.url.partition("?")[0]
        # The same drawn page in another tab, and a browser without scripts that sends it again.
        other = page.context.new_page()
        other.goto("/")
        for _ in range(2):
            other.evaluate(
                """order => {
                    const form = document.createElement("form");
                    form.method = "post"; form.action = "/drops";
                    for (const [name, value] of Object.entries(order)) {
                        const field = document.createElement("input");
                        field.type = "hidden"; field.name = name; field.value = value;
                        form.append(field);
                    }
                    document.body.append(form);
                    HTMLFormElement.prototype.submit.call(form);
                }""",
                order,
            )
            expect(other).to_have_url(re.compile(re.escape(first)))
            other.go_back()
        page.go_back()
        assert bought(house) == before + 1
        page.goto(first)
        reaches(page, "dispensed")


def test_the_tiles_change_while_somebody_looks(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house) as page, person(browser, house, None) as visitor:
        visitor.goto("/")
        stock = visitor.inner_text("#tile-d-1 .stock")
        press(page, "d-1")
        expect(visitor.locator("#tile-d-1 .stock")).not_to_have_text(stock)
        house.agents["s"].stop()
        expect(visitor.locator("#machine-s .reach")).to_have_text("offline")
        assert violations(visitor) == []
        house.agents["s"].start()
        expect(visitor.locator("#machine-s .reach")).to_have_text("ready")
        reaches(page, "dispensed")


def test_tiles_have_room_on_a_narrow_phone(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house, language="de-DE") as page:
        page.set_viewport_size(NARROW)
        page.goto("/")
        assert not is_too_wide(page)
        lines = page.locator("#machines .stock .whole").evaluate_all(
            "all => all.map(each => each.getClientRects().length)"
        )
        assert set(lines) == {1}
        button = page.locator("#tile-d-1 form:not(.star) button")
        tile = page.locator("#tile-d-1").bounding_box()
        inside = button.bounding_box()
        assert tile is not None
        assert inside is not None
        assert inside["x"] + inside["width"] < tile["x"] + tile["width"]


def test_without_scripts_a_can_falls_too(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house, scripts=False) as page:
        press(page, "d-1")
        reaches(page, "dispensed")


def test_with_the_keyboard_alone_a_can_falls(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house) as page:
        page.goto("/")
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("Enter")
        while page.evaluate("document.activeElement.form?.getAttribute('action')") != "/drops":
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        reaches(page, "dispensed")


@pytest.mark.parametrize("scripts", [True, False])
def test_favourites_come_first(browser: Browser, house: LocalSystem, *, scripts: bool) -> None:
    with person(browser, house, BOB, scripts=scripts, size="phone") as page:
        page.goto("/")
        page.click("#tile-s-2 .star button")
        expect(page.locator("#favourite-s-2 h3")).to_have_text("Chips")
        if scripts:
            assert violations(page) == []
        assert not is_too_wide(page)
        page.click("#favourite-s-2 .star button")
        expect(page.locator("#favourite-s-2")).to_have_count(0)


@pytest.mark.parametrize("scripts", [True, False])
def test_an_item_is_found(browser: Browser, house: LocalSystem, *, scripts: bool) -> None:
    with person(browser, house, None, scripts=scripts) as page:
        page.goto("/")
        page.fill("#search", "cHi")
        if scripts:
            # At once, before anything is sent.
            expect(page.locator("#tile-d-1")).to_be_hidden()
            expect(page.locator("#tile-s-2")).to_be_visible()
            page.fill("#search", "nothing of this name")
            expect(page.locator("#nothing")).to_be_visible()
            assert violations(page) == []
            page.fill("#search", "cHi")
        page.press("#search", "Enter")
        expect(page).to_have_url(re.compile("q=cHi"))
        expect(page.locator(".tile")).to_have_count(1)
        expect(page.locator("#tile-s-2")).to_be_visible()
        if scripts:
            # What the page does not have is looked for by the server.
            page.fill("#search", "coke")
            expect(page.locator("#tile-d-1")).to_be_visible()


def test_who_cannot_pay_is_told(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house, BOB) as page:
        page.goto("/")
        page.click("#tile-d-1 .button")
        expect(page.locator("main .note strong")).to_have_text("It costs 50, and you have 20.")
        assert violations(page) == []


def test_names_of_markup_are_only_names(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house) as page:
        page.goto("/")
        expect(page.locator("#tile-d-2 h3")).to_have_text("Mountain Dew <b>")


def test_the_page_killed_in_mid_drop_finds_it_again(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house) as page:
        before = bought(house)
        press_later(page, 10)
        house.web.kill()
        house.start_web()
        reaches(page, "dispensed")
        assert bought(house) == before + 1


def test_the_frontend_killed_in_mid_drop_is_told_and_the_drop_goes_on(
    browser: Browser, house: LocalSystem
) -> None:
    with person(browser, house) as page:
        press_later(page, 10)
        house.frontend.kill()
        expect(page.locator("#state")).to_contain_text("does not answer")
        house.start_frontend()
        reaches(page, "dispensed")
        expect(page.locator("#state")).to_be_empty()


def test_an_administrator_decides_what_nobody_knows(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house) as page, person(browser, house, ADMIN, size="phone") as admin:
        house.boards["s"].fault("silent", slot=2)
        press(page, "s-2")
        reaches(page, "unknown")
        admin.goto("/admin")
        assert violations(admin) == []
        assert not is_too_wide(admin)
        admin.click(f"a[href='/admin{page.url.removeprefix(house.origin).partition('?')[0]}']")
        assert admin.locator(":checked").count() == 0
        assert violations(admin) == []
        assert not is_too_wide(admin)
        admin.check("[value='not']")
        admin.fill("[name=reason]", "the chips are still there")
        admin.click("form[action$='decide'] button")
        expect(admin.locator("[role=status].note")).to_contain_text("alice gets 35 credits back")
        assert violations(admin) == []
        admin.click("form[action$='decide'] button")
        expect(admin.locator(".outcome")).to_have_text("Nothing fell, nothing paid")
        reaches(page, "not_dispensed")
        expect(page.locator("#drop .cause")).to_contain_text("Decided by admin.")
        for path in ("/admin/machines/d/1", "/admin/users", "/admin/users/alice"):
            keeps_to_wcag(admin, path)


def test_an_administrator_looks_at_alarms(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house) as page, person(browser, house, ADMIN, size="phone") as admin:
        house.boards["ld"].fault("silent", slot=2)
        press(page, "ld-2")
        reaches(page, "unknown")
        keeps_to_wcag(admin, "/admin/alarms")
        admin.locator(".alarms .button").first.click()
        admin.check("[value='fell']")
        admin.fill("[name=reason]", "the slot is empty")
        admin.click("form[action$='decide'] button")
        admin.click("form[action$='decide'] button")
        expect(admin.locator(".outcome")).to_have_text("It fell and is paid")
        keeps_to_wcag(admin, "/admin/alarms?closed=1")


def test_an_administrator_refunds_a_drop(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house) as page, person(browser, house, ADMIN, size="phone") as admin:
        press(page, "ld-1")
        reaches(page, "dispensed")
        keeps_to_wcag(admin, "/admin/users/alice")
        admin.click("#drops-title + ul a >> nth=0")
        admin.click("summary")
        assert violations(admin) == []
        assert not is_too_wide(admin)
        admin.fill("[name=credits]", "20")
        admin.fill("[name=reason]", "it was warm")
        admin.click("form[action$='refund'] button")
        expect(admin.locator("[role=status].note")).to_have_text("20 credits given back.")


def test_an_administrator_restocks_a_machine(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house, ADMIN, size="phone") as admin:
        keeps_to_wcag(admin, "/admin/restock")
        admin.fill("#put-s-1", "7")
        admin.click("form[action$='/s'] button")
        expect(admin.locator("[role=status].note")).to_have_text("Snack is filled.")
        keeps_to_wcag(admin, "/admin/machines/s/1")
    with person(browser, house, ADMIN, size="phone", scripts=False) as admin:
        admin.goto("/admin/restock")
        admin.fill("#put-s-2", "x")
        admin.click("form[action$='/s'] button")
        expect(admin.locator("[role=alert]")).to_contain_text("Nothing was added.")
        admin.fill("#put-s-2", "3")
        admin.click("form[action$='/s'] button")
        expect(admin.locator("[role=status].note")).to_have_text("Snack is filled.")


@pytest.mark.parametrize("scripts", [True, False])
def test_an_administrator_makes_a_machine_and_removes_a_slot(
    browser: Browser, house: LocalSystem, *, scripts: bool
) -> None:
    name = "new-scripts" if scripts else "new-plain"
    with person(browser, house, ADMIN, size="phone", scripts=scripts) as admin:
        admin.goto("/admin")
        admin.click("a[href='/admin/machines']")
        admin.fill("[name=name]", name)
        admin.fill("[name=display_name]", "New Drink")
        admin.click("form[action='/admin/machines'] button")
        expect(admin.locator("h1")).to_have_text("New Drink")
        for number in ("1", "1"):
            admin.fill("[name=number]", number)
            admin.fill("[name=item]", "Mate")
            admin.fill("[name=price]", "60")
            admin.click("form[action$='/slots'] button")
        expect(admin.locator("#slot-problem")).to_contain_text("a slot of this number already")
        if scripts:
            assert violations(admin) == []
            assert not is_too_wide(admin)
        admin.click(f"main a[href='/admin/machines/{name}/1']")
        admin.click("form[action$='/remove'] button")
        expect(admin.locator("h1")).to_have_text("New Drink")
        expect(admin.locator(".none")).to_have_text("It has no slots yet.")


def test_an_administrator_gives_an_item_a_picture(
    browser: Browser, house: LocalSystem, tmp_path: Path
) -> None:
    (tmp_path / "can.png").write_bytes(file("PNG", (800, 400)))
    (tmp_path / "can.svg").write_bytes(SVG)
    (tmp_path / "large.png").write_bytes(bytes(50_000_000))
    with person(browser, house, ADMIN, size="phone", scripts=False) as admin:
        admin.goto("/admin/items")
        admin.fill("[name=name]", "Jolt")
        admin.fill("[name=price]", "60")
        admin.click("main form button")
        path = admin.url.removeprefix(house.origin).partition("?")[0]
        for name, told in (("can.svg", "no picture"), ("large.png", "too large")):
            admin.set_input_files("[name=picture]", tmp_path / name)
            admin.click("form[enctype] button")
            expect(admin.locator("[role=alert]:visible")).to_contain_text(told)
        admin.set_input_files("[name=picture]", tmp_path / "can.png")
        admin.click("form[enctype] button")
        expect(admin.locator("h1")).to_have_text("Jolt")
        admin.goto("/admin/machines/ld/1")
        admin.select_option("[name=sold_item]", label="Jolt · 60 credits")
        admin.click("main form button >> nth=0")
        expect(admin.locator("[role=status].note")).to_be_visible()
    with person(browser, house, ADMIN, size="phone") as admin:
        for each in ("/admin/items", path, "/admin/machines/ld/1"):
            keeps_to_wcag(admin, each)
        admin.goto(path)
        admin.set_input_files("[name=picture]", tmp_path / "large.png")
        admin.click("form[enctype] button")
        # Told before anything is sent.
        expect(admin.locator("#picture-large")).to_be_visible()
        admin.goto("/")
        picture = admin.locator("#tile-ld-1 img")
        expect(picture).to_have_attribute("alt", "Jolt")
        # It is loaded once it is in sight, and later than the page.
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("naturalWidth", 512)
        assert violations(admin) == []


def test_an_administrator_sees_what_happens(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house) as page, person(browser, house, ADMIN, size="phone") as admin:
        keeps_to_wcag(admin, "/admin/events?kind=drops")
        press(page, "d-1")
        drop = page.url.removeprefix(house.origin).partition("?")[0]
        row = admin.locator(f"#events a[href='/admin{drop}']")
        expect(row.first).to_be_visible()
        reaches(page, "dispensed")
        expect(admin.locator("#events li").first).to_contain_text("fell")
        assert violations(admin) == []
        assert not is_too_wide(admin)


def test_the_token_of_an_agent_needs_a_confirmation(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house, ADMIN, size="phone") as admin:
        keeps_to_wcag(admin, "/admin/machines/s")
        admin.click("form[action$='token'] [value=make]")
        # The browser itself asks for the confirmation: nothing was sent.
        expect(admin.locator("[name=confirmed]")).to_be_focused()
        assert admin.locator(".secret").count() == 0


def test_a_member_ends_logins(browser: Browser, house: LocalSystem) -> None:
    with person(browser, house, BOB) as other, person(browser, house, BOB, size="phone") as page:
        keeps_to_wcag(page, "/account/devices")
        page.click("[value=others]")
        expect(page.locator("[role=status].note")).to_be_visible()
        assert page.locator("[value=token]").count() == 0
        other.goto("/account")
        expect(other).to_have_url(re.compile("/login"))


def test_nothing_moves_while_the_page_is_drawn(browser: Browser, house: LocalSystem) -> None:
    """Layout shift of the home page, as the browser counts it."""
    context: BrowserContext
    with context_of(browser, house.origin) as context:
        context.add_init_script(
            "window.shift = 0; new PerformanceObserver(list => {"
            "for (const each of list.getEntries()) window.shift += each.value;"
            "}).observe({type: 'layout-shift', buffered: true});"
        )
        page = context.new_page()
        page.goto("/")
        expect(page.locator("#tile-d-1")).to_be_visible()
        page.wait_for_load_state("load")
        assert page.evaluate("window.shift") == 0
