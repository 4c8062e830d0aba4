from pathlib import Path

import pytest
from starlette.requests import Request

from drink_web.pages.cards import MachineCards, Wish, search_of
from drink_web.visit import Visit
from tests.web.visitor import House, running_house

PAGE = "0123456789012345678901"


def visit_of(house: House, **headers: str) -> Visit:
    return Visit(house.site, Request(house.visitor()._scope("GET", "/", headers)))


async def test_what_has_not_changed_is_drawn_once(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        cards = MachineCards()
        first, second = (cards.present(visit_of(house)) for _ in range(2))
        assert all(first[name] is second[name] for name in first)
        german = cards.present(visit_of(house, accept_language="de"))
        assert german["machines/d"] is not first["machines/d"]
        await house.bench.change_slot("d", 1, price=77)
        version = house.site.house.version
        while house.site.house.machines["machines/d"].slots[0].price != 77:
            version = await house.site.house.changed(version)
        third = cards.present(visit_of(house))
        assert third["machines/d"] is not first["machines/d"]
        assert third["machines/ld"] is first["machines/ld"]


@pytest.mark.parametrize(("search", "is_found"), [("cok", True), ("COKE ", True), ("mate", False)])
async def test_machines_without_what_is_searched_for_are_left_out(
    tmp_path: Path, search: str, is_found: bool
) -> None:
    async with running_house(tmp_path) as house:
        cards, visit = MachineCards(), visit_of(house)
        wish = Wish(search=search_of(search))
        html = cards.machine(visit, cards.present(visit)["machines/d"], PAGE, wish)
        assert ("Coke" in html) == is_found
        assert bool(html) == is_found


async def test_favourites_are_in_the_persons_order(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        cards, visit = MachineCards(), visit_of(house)
        present = cards.present(visit)
        names = ["machines/ld/slots/1", "machines/gone/slots/1", "machines/d/slots/1"]
        html = cards.favourites(visit, present, PAGE, Wish(names))
        assert html.index('id="favourite-ld-1"') < html.index('id="favourite-d-1"')
        assert html.count('id="favourite-') == 2
        assert cards.favourites(visit, present, PAGE, Wish()) == ""


def test_a_search_is_bounded() -> None:
    assert search_of(" Ä" + "x" * 100) == "ä" + "x" * 63


async def test_of_a_machine_only_what_changed_is_told(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        cards, visit, known = MachineCards(), visit_of(house), house.site.house
        before = cards.present(visit)["machines/d"]
        assert cards.changes(visit, before, before, PAGE, Wish()) == []
        await house.bench.change_slot("d", 2, price=77)
        while known.machines["machines/d"].slots[1].price != 77:
            await known.changed(known.version)
        after = cards.present(visit)["machines/d"]
        ((element, html),) = cards.changes(visit, before, after, PAGE, Wish())
        assert element == "tile-d-2"
        assert "77" in html
        await house.bench.machines.change("test", "d", display_name="Renamed")
        while known.machines["machines/d"].display_name != "Renamed":
            await known.changed(known.version)
        renamed = cards.present(visit)["machines/d"]
        ((element, _),) = cards.changes(visit, after, renamed, PAGE, Wish())
        assert element == "machine-d"
