"""The page of all machines and their slots, updated by an event stream."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from starlette.responses import Response

from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from drink_web import views
from drink_web.errors import CallError, PageError
from drink_web.streams import partial
from drink_web.visit import Visit

RELOAD_S = 4
"""Seconds after which a page without machines or without scripts is loaded again."""

OPEN_DROPS_MAX = 8
"""Drops on their way that are shown; the history has all."""


@dataclass(slots=True)
class MachineCards:
    """The machines as HTML, drawn once for each language and for visitors and members.

    A page is drawn and a change told to a thousand browsers for the price of one. What differs is
    the name of the drawn page in the buttons, which is filled in.
    """

    _placeholder: str = field(default_factory=views.new_page)
    _drawn: dict[tuple[str, str, bool], tuple[machines.Machine, bool, str]] = field(
        default_factory=dict
    )

    def draw(self, visit: Visit, page: str) -> Mapping[str, str]:
        """Each machine's HTML by its name.

        Args:
            visit: For whom.
            page: Names the drawn page.
        """
        house = visit.site.house
        found = {}
        for name, machine in house.machines.items():
            key = (name, visit.texts.language, visit.login is not None)
            drawn = self._drawn.get(key)
            if drawn is None or drawn[0] is not machine or drawn[1] != house.is_current:
                view = views.machine_view(machine, is_current=house.is_current)
                html = visit.render("_machine.html", view=view, page=self._placeholder)
                drawn = self._drawn[key] = (machine, house.is_current, html)
            found[name] = drawn[2].replace(self._placeholder, page)
        return found


class Home:
    """The first page."""

    def __init__(self) -> None:
        self._cards = MachineCards()

    async def show(self, visit: Visit) -> Response:
        """GET /."""
        house = visit.site.house
        if not house.known.is_set():
            return visit.page("away.html", 503, refresh_s=RELOAD_S)
        open_drops = await _open_drops(visit)
        page = views.new_page()
        return visit.page(
            "home.html",
            here="machines",
            page=page,
            cards=self._cards.draw(visit, page),
            open_drops=open_drops,
            unscripted_s=RELOAD_S * 5,
        )

    async def follow(self, visit: Visit) -> Response:
        """GET /events?page=...: the machines that change, for the page of that name."""
        page = visit.query.get("page", "")
        if not views.PAGE.fullmatch(page):
            raise PageError(400, "bad_request")
        return visit.stream(self._changes(visit, page))

    async def _changes(self, visit: Visit, page: str) -> AsyncGenerator[str, None]:
        house = visit.site.house
        # The page may have been drawn a while ago, so that all is told once.
        shown: Mapping[str, str] = {}
        current: bool | None = None
        version = house.version
        while True:
            cards = self._cards.draw(visit, page)
            told = []
            if current is not house.is_current:
                current = house.is_current
                told.append(partial("state", visit.render("_state.html", current=current)))
            if cards.keys() != shown.keys():
                told.append(partial("machines", visit.render("_machines.html", cards=cards)))
            else:
                told += [
                    partial(f"machine-{name.removeprefix('machines/')}", html)
                    for name, html in cards.items()
                    if html != shown[name]
                ]
            shown = cards
            if told:
                yield "".join(told)
            version = await house.changed(version)


async def _open_drops(visit: Visit) -> list[views.DropView]:
    """The caller's drops on their way; none while the frontend is away."""
    site = visit.site
    if visit.login is None or not site.house.is_current:
        return []
    request = drops.ListDropsRequest(page_size=OPEN_DROPS_MAX, states=views.OPEN_STATES)
    try:
        await visit.look_up_account()
        listed = await visit.call(site.api.drops.ListDrops, request)
    except CallError as error:
        if error.is_away:
            return []
        raise
    return [visit.drop_view(drop) for drop in listed.drops]
