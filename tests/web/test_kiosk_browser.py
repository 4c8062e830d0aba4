"""The kiosk in a real browser at 1024 x 600, against real services and emulated boards."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import kiosk_service_pb2 as kiosks
from drink_agent.reader.emulator import EmulatedReader
from scripts.local_system import LocalSystem
from scripts.plan import SlotPlan
from scripts.proxy import FaultProxy
from tests.support.ports import with_own_ports
from tests.web.browser import SIZES, context_of, is_too_wide, needs_browser, violations
from tests.web.conftest import ADMIN, ALICE, BOB, PLAN
from tests.web.people import bought, log_in, motor_runs, watched_page

pytestmark = needs_browser

CARD, BARCODE = "04a2b3c4", "4006381333931"

UNDO_S = 6
"""Seconds in which a drop can be cancelled, also on a busy computer."""

NAMES = (
    "Apfelschorle",
    "Orangensaft",
    "Schokoriegel",
    "Fritz-Kola ohne Zucker",
    "Multivitaminsaft",
    "Root Beer",
    "Vanilla Ice Cream",
    "Hot Peanuts",
)
"""Items that machine d sells beside those of PLAN: together as many as fit on the screen."""

BROKEN = """() => [...document.querySelectorAll(".ware strong")].flatMap(name => {
  const text = name.firstChild, found = [];
  for (const word of text.data.matchAll(/[^\\s-]+/g)) {
    const at = document.createRange();
    at.setStart(text, word.index);
    at.setEnd(text, word.index + word[0].length);
    if (at.getClientRects().length > 1) found.push(word[0]);
  }
  if (name.scrollHeight > name.clientHeight + 1) found.push(name.textContent);
  return found;
})"""
"""Words of items' names that are not in one line, and names that are cut."""


COUNTED = """() => {
  window.counted = new Set();
  new MutationObserver(() => {
    const count = document.querySelector(".count");
    if (count) window.counted.add(count.textContent.trim().replace(/\\s+/g, " "));
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
"""Notes in `counted` all that a countdown says."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """A system in which Alice has a card and Bob a barcode, and a kiosk is soon quiet."""
    folder = tmp_path_factory.mktemp("kiosk")
    key = folder / "card.key"
    key.write_text("a key for cards of 32 characters", encoding="utf-8")
    big, *others = PLAN.machines
    more = [SlotPlan(5 + place, name, 120, 9) for place, name in enumerate(NAMES)]
    plan = replace(
        PLAN,
        machines=(replace(big, slots=(*big.slots, *more)), *others),
        frontend={
            "accounts": f'card_key_file = "{key}"',
            # One card buys here what a hundred do elsewhere.
            "accounts.kiosks": "card_burst = 1_000\nreads_burst = 1_000\nlogin_s = 300",
        },
        web={"drops": f"undo_s = {UNDO_S}", "kiosk": "code_s = 300"},
        agent={"reader": 'type = "serial"\nport = "{machine}.reader"\nbackoff_limit_s = 1.0'},
    )
    with LocalSystem(folder, with_own_ports(plan)) as system:
        system.set_up()
        client = system.client(ADMIN)
        for request in (
            accounts.AddCardRequest(parent="accounts/alice", chip=CARD),
            accounts.AddCardRequest(parent="accounts/bob", barcode=BARCODE),
        ):
            client.call(client.accounts.AddCard, request)
        client.close()
        yield system


def code_of(house: LocalSystem) -> str:
    """The code that pairs a new kiosk at machine d."""
    client = house.client(ADMIN)
    made = client.call(
        client.kiosks.PairKiosk,
        kiosks.PairKioskRequest(machine="machines/d", display_name="hall"),
    )
    client.close()
    code: str = made.pairing_code
    return code


@contextmanager
def kiosk(browser: Browser, house: LocalSystem, *, origin: str = "", **how: Any) -> Iterator[Page]:
    """A paired screen, as `people.person`; it must not leave its origin or go wrong meanwhile."""
    house.wait_ready(*house.agents)
    origin = origin or house.origin
    with watched_page(browser, origin, **{"size": "kiosk", **how}) as page:
        page.goto("/kiosk")
        type_code(page, code_of(house))
        shows(page, "start")
        yield page
        # Forms and streams change what is shown; the page itself is never left.
        assert page.url == f"{origin}/kiosk"


def type_code(page: Page, code: str) -> None:
    """Touches the digits on the screen."""
    for digit in code:
        page.click(f"[data-key='{digit}']")
    page.click("#main form button:not([type])")


def shows(page: Page, kind: str) -> None:
    expect(page.locator(f"#main[data-kind={kind}]")).to_be_visible()


def falls(page: Page, kind: str) -> None:
    expect(page.locator(f".fall.{kind}")).to_be_visible()


def hold(page: Page, number: str = CARD) -> None:
    """What a reader does when a card is held to it."""
    page.keyboard.type(number)
    page.keyboard.press("Enter")


def is_sound(page: Page) -> None:
    """The state can be read, used by everybody, and fits on the screen."""
    assert violations(page) == []
    assert not is_too_wide(page)
    sizes = page.evaluate(
        "[...document.querySelectorAll('button')].map(each => each.getBoundingClientRect().height)"
    )
    assert all(height >= 64 for height in sizes)


@pytest.mark.parametrize(("scheme", "language"), [("light", "en-GB"), ("dark", "de-DE")])
def test_from_the_code_to_the_can_and_back_to_the_start(
    browser: Browser, house: LocalSystem, scheme: str, language: str
) -> None:
    with context_of(browser, house.origin, size="kiosk", scheme=scheme) as context:
        page = context.new_page()
        page.goto("/kiosk")
        is_sound(page)
        type_code(page, "00000000")
        expect(page.locator(".problem")).to_be_visible()
        is_sound(page)
    with kiosk(browser, house, scheme=scheme, language=language) as page:
        before, runs = bought(house), motor_runs(house)
        is_sound(page)
        hold(page)
        shows(page, "tiles")
        expect(page.locator(".guest strong")).to_have_text("alice")
        is_sound(page)
        page.evaluate(COUNTED)
        page.click("#ware-d-1")
        falls(page, "scheduled")
        expect(page.locator(".count strong")).to_have_text(re.compile(f"^[1-{UNDO_S}]$"))
        is_sound(page)
        falls(page, "dispensed")
        is_sound(page)
        counted = page.evaluate("[...window.counted]")
        assert counted
        right = r" (1 (second|Sekunde)|[02-9] (seconds|Sekunden))$"
        assert [each for each in counted if not re.search(right, each)] == []
        assert (bought(house), motor_runs(house)) == (before + 1, runs + 1)
        # Nobody touches anything: the screen logs out by itself.
        shows(page, "start")
        expect(page.locator(".guest")).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("scheme", "language"), [("light", "en-GB"), ("dark", "de-DE")])
def test_the_tiles_are_sound_at_every_size(
    browser: Browser, house: LocalSystem, size: str, scheme: str, language: str
) -> None:
    with kiosk(browser, house, size=size, scheme=scheme, language=language) as page:
        is_sound(page)
        hold(page)
        shows(page, "tiles")
        is_sound(page)
        page.click("#leave button")
        shows(page, "start")


@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
def test_twelve_items_are_in_sight_with_their_words_unbroken(
    browser: Browser, house: LocalSystem, language: str
) -> None:
    with kiosk(browser, house, language=language) as page:
        for kind in ("start", "tiles"):
            shows(page, kind)
            assert page.evaluate(BROKEN) == []
            wares = page.locator(".ware")
            expect(wares).to_have_count(12)
            for place in range(12):
                expect(wares.nth(place)).to_be_in_viewport(ratio=1)
            if kind == "start":
                hold(page)
        page.click("#done")
        shows(page, "start")


def test_after_an_unknown_card_a_barcode_logs_in(browser: Browser, house: LocalSystem) -> None:
    with kiosk(browser, house) as page:
        hold(page, "ffffffff")
        shows(page, "code")
        is_sound(page)
        hold(page, BARCODE)
        shows(page, "tiles")
        expect(page.locator(".guest strong")).to_have_text("bob")
        # Bob has 20 credits: what he cannot pay he cannot touch.
        expect(page.locator("#ware-d-1")).to_be_disabled()
        is_sound(page)
        hold(page)
        expect(page.locator(".guest strong")).to_have_text("alice")
        page.click("#done")
        shows(page, "start")


def test_a_new_card_is_added_on_the_page_with_the_code_of_the_kiosk(
    browser: Browser, house: LocalSystem
) -> None:
    with kiosk(browser, house) as page:
        hold(page, "0badcafe")
        shows(page, "code")
        is_sound(page)
        code = page.locator("#offered").inner_text()
        with context_of(browser, house.origin, size="phone") as context:
            phone = context.new_page()
            log_in(phone, ALICE)
            phone.goto("/account/devices")
            phone.fill("[name=code]", code)
            phone.fill("[name=title]", "white card")
            phone.click("[value=card_code]")
            expect(phone.locator(".done")).to_be_visible()
            expect(phone.locator("main")).to_contain_text("white card")
            assert violations(phone) == []
        # The code stays until the card is held to the reader again.
        shows(page, "code")
        hold(page, "0badcafe")
        shows(page, "tiles")
        expect(page.locator(".guest strong")).to_have_text("alice")


@contextmanager
def machine_reader(house: LocalSystem) -> Iterator[EmulatedReader]:
    """The reader at the agent of machine d, which has opened it."""
    agent = house.agents["d"]
    agent.mark()
    reader = EmulatedReader(house.folder / "d.reader")
    try:
        agent.wait_for("reader_opened")
        agent.mark()
        yield reader
    finally:
        reader.unplug()
    agent.wait_for("reader_lost")


def tap(page: Page, reader: EmulatedReader, kind: str, number: str = CARD) -> None:
    """Holds a card to the reader of the machine, again if the screen was not watching yet."""
    for _ in range(5):
        reader.tap(number)
        with suppress(AssertionError):
            expect(page.locator(f"#main[data-kind={kind}]")).to_be_visible(timeout=10_000)
            return
    shows(page, kind)


@pytest.mark.parametrize(("scheme", "language"), [("light", "en-GB"), ("dark", "de-DE")])
def test_a_card_at_the_machines_reader_buys_one_can(
    browser: Browser, house: LocalSystem, scheme: str, language: str
) -> None:
    with (
        machine_reader(house) as reader,
        kiosk(browser, house, scheme=scheme, language=language) as page,
    ):
        before, runs = bought(house), motor_runs(house)
        tap(page, reader, "tiles")
        expect(page.locator(".guest strong")).to_have_text("alice")
        is_sound(page)
        page.click("#ware-d-1")
        falls(page, "dispensed")
        assert (bought(house), motor_runs(house)) == (before + 1, runs + 1)
        shows(page, "start")


def test_a_new_card_at_the_machines_reader_is_added_and_logs_in(
    browser: Browser, house: LocalSystem
) -> None:
    with machine_reader(house) as reader, kiosk(browser, house) as page:
        tap(page, reader, "code", "0badbabe")
        code = page.locator("#offered").inner_text()
        client = house.client(BOB)
        request = accounts.AddCardRequest(parent="accounts/bob", code="".join(code.split()))
        client.call(client.accounts.AddCard, request)
        client.close()
        tap(page, reader, "tiles", "0badbabe")
        expect(page.locator(".guest strong")).to_have_text("bob")
        # Bob leaves, and the next person taps while the frontend is away: nobody logs in late.
        page.click("#done")
        shows(page, "start")
        house.frontend.kill()
        reader.tap(CARD)
        house.start_frontend()
        house.wait_ready("d")
        shows(page, "start")
        tap(page, reader, "tiles")
        expect(page.locator(".guest strong")).to_have_text("alice")


def test_two_taps_buy_one_can(browser: Browser, house: LocalSystem) -> None:
    with kiosk(browser, house) as page:
        before, runs = bought(house), motor_runs(house)
        hold(page)
        shows(page, "tiles")
        page.evaluate(
            """() => {
                const [one, two] = document.querySelectorAll("button.ware");
                one.click(); one.click(); two.click();
            }"""
        )
        falls(page, "dispensed")
        assert (bought(house), motor_runs(house)) == (before + 1, runs + 1)


def test_the_keyboard_buys_and_cancels(browser: Browser, house: LocalSystem) -> None:
    with kiosk(browser, house) as page:
        runs = motor_runs(house)
        hold(page)
        shows(page, "tiles")
        page.focus("#ware-d-1")
        page.keyboard.press("Enter")
        falls(page, "scheduled")
        page.focus("#cancel")
        page.keyboard.press("Space")
        falls(page, "cancelled")
        is_sound(page)
        assert motor_runs(house) == runs
        # A card that is read while a button has the focus presses nothing.
        page.focus("#done")
        hold(page)
        shows(page, "tiles")


def test_the_unknown_is_told_with_its_credits_held(browser: Browser, house: LocalSystem) -> None:
    with kiosk(browser, house) as page:
        hold(page)
        shows(page, "tiles")
        house.boards["d"].fault("silent", slot=2)
        page.click("#ware-d-2")
        falls(page, "unknown")
        expect(page.locator("#drop-state")).to_contain_text("55 credits are held, not paid.")
        is_sound(page)


def test_the_frontend_killed_in_mid_drop_is_told_and_the_drop_goes_on(
    browser: Browser, house: LocalSystem
) -> None:
    with kiosk(browser, house) as page:
        before, runs = bought(house), motor_runs(house)
        hold(page)
        shows(page, "tiles")
        page.click("#ware-d-1")
        falls(page, "scheduled")
        house.frontend.kill()
        expect(page.locator("#said .banner")).to_be_visible()
        is_sound(page)
        house.start_frontend()
        falls(page, "dispensed")
        assert (bought(house), motor_runs(house)) == (before + 1, runs + 1)
        shows(page, "start")


def test_a_pulled_cable_is_told_and_the_screen_comes_back(
    browser: Browser, house: LocalSystem
) -> None:
    with (
        FaultProxy(house.web_port) as proxy,
        kiosk(browser, house, origin=f"http://localhost:{proxy.port}") as page,
    ):
        before, runs = bought(house), motor_runs(house)
        hold(page)
        shows(page, "tiles")
        page.click("#ware-d-1")
        falls(page, "scheduled")
        unplug(page, proxy)
        is_sound(page)
        page.context.set_offline(False)
        expect(page.locator("#offline")).to_be_hidden()
        falls(page, "dispensed")
        assert (bought(house), motor_runs(house)) == (before + 1, runs + 1)
        shows(page, "start")
        unplug(page, proxy)
        is_sound(page)
        # A card that is held meanwhile logs nobody in later.
        hold(page)
        page.context.set_offline(False)
        expect(page.locator("#offline")).to_be_hidden()
        shows(page, "start")


def unplug(page: Page, proxy: FaultProxy) -> None:
    """Takes the browser's network away; one that is only set offline keeps its open streams."""
    page.context.set_offline(True)
    proxy.cut()
    expect(page.locator("#offline")).to_be_visible()


def test_an_order_whose_answer_is_lost_is_asked_again_and_bought_once(
    browser: Browser, house: LocalSystem
) -> None:
    with kiosk(browser, house) as page:
        before = bought(house)
        hold(page)
        shows(page, "tiles")
        lost: list[int] = []

        def lose_first(route: Any) -> None:
            if lost:
                route.continue_()
                return
            lost.append(route.fetch(max_redirects=0).status)
            route.abort()

        page.route("**/kiosk/drops", lose_first)
        page.click("#ware-d-1")
        falls(page, "dispensed")
        assert lost == [303]
        assert bought(house) == before + 1


def test_a_quiet_kiosk_logs_out_and_says_so_before(browser: Browser, house: LocalSystem) -> None:
    with kiosk(browser, house) as page:
        page.clock.install()
        page.clock.pause_at(time.time() + 60)
        page.reload()
        hold(page)
        shows(page, "tiles")
        page.clock.run_for(22_000)
        page.clock.resume()
        expect(page.locator("#quiet-left")).to_contain_text("Back to the start in")
        page.mouse.click(500, 590)
        page.clock.run_for(12_000)
        shows(page, "tiles")
        page.clock.run_for(20_000)
        shows(page, "start")


def test_a_kiosk_that_was_ended_asks_for_a_code(browser: Browser, house: LocalSystem) -> None:
    with kiosk(browser, house) as page:
        client = house.client(ADMIN)
        listed = client.call(client.kiosks.ListKiosks, kiosks.ListKiosksRequest())
        mine = kiosks.UnpairKioskRequest(name=listed.kiosks[-1].name)
        client.call(client.kiosks.UnpairKiosk, mine)
        client.close()
        hold(page)
        shows(page, "pair")
        expect(page.locator(".problem")).to_contain_text("ended by an administrator")
