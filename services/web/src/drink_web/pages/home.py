"""The page of all machines and their slots, updated by an event stream."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from drink.v1 import drop_service_pb2 as drops
from drink_web import views
from drink_web.errors import CallError, PageError
from drink_web.pages.cards import SEARCH_MAX, Card, MachineCards, Wish
from drink_web.pages.favourites import wish_of
from drink_web.streams import partial
from drink_web.visit import Visit

RELOAD_S = 4
"""Seconds after which a page without machines or without scripts is loaded again."""

OPEN_DROPS_MAX = 8
"""Drops on their way that are shown; the history has all."""


class Home:
    """The first page."""

    def __init__(self) -> None:
        self._cards = MachineCards()

    async def show(self, visit: Visit) -> Response:
        """GET /?q=...: all machines, or the slots whose item is searched for."""
        house = visit.site.house
        if not house.known.is_set():
            return visit.page("away.html", 503, refresh_s=RELOAD_S)
        open_drops, wish = await asyncio.gather(_open_drops(visit), wish_of(visit))
        page = views.new_page()
        query = {"page": page, **({"q": wish.search} if wish.search else {})}
        return visit.page(
            "home.html",
            here="machines",
            open_drops=open_drops,
            search=visit.query.get("q", "").strip()[:SEARCH_MAX],
            search_max=SEARCH_MAX,
            events=f"/events?{urlencode(query)}",
            unscripted_s=RELOAD_S * 5,
            **self._drawn(visit, self._cards.present(visit), page, wish),
        )

    async def follow(self, visit: Visit) -> Response:
        """GET /events?page=...&q=...: the machines that change, for the page of that name."""
        page = visit.query.get("page", "")
        if not views.PAGE.fullmatch(page):
            raise PageError(400, "bad_request")
        try:
            wish = await wish_of(visit)
        except CallError:
            # Not sent to the login: a script would take that page for a stream, again and again.
            raise PageError(401, "login_ended") from None
        return visit.stream(self._changes(visit, page, wish))

    def _drawn(
        self, visit: Visit, cards: Mapping[str, Card], page: str, wish: Wish
    ) -> Mapping[str, Any]:
        """The favourites and all machines, for templates."""
        machines = [self._cards.machine(visit, card, page, wish) for card in cards.values()]
        favourites = "" if wish.search else self._cards.favourites(visit, cards, page, wish)
        return {"favourites": favourites, "machines": machines, "searched": bool(wish.search)}

    async def _changes(self, visit: Visit, page: str, wish: Wish) -> AsyncGenerator[str, None]:
        house, pace = visit.site.house, visit.site.streams.pace
        told = _Told()
        while True:
            await pace.turn()
            version = house.version
            with pace.drawing():
                messages = self._news(visit, page, wish, told)
            if messages:
                yield "".join(messages)
            await house.changed(version)

    def _news(self, visit: Visit, page: str, wish: Wish, told: "_Told") -> list[str]:
        """What a stream has not told yet, as messages; all of it counts as told then."""
        house = visit.site.house
        cards = self._cards.present(visit)
        news = []
        if told.current is not house.is_current:
            if told.current is None and visit.account is not None:
                # Tiles are drawn for as many credits as are shown.
                news.append(partial("credits", visit.render("_credits.html")))
            told.current = house.is_current
            news.append(partial("state", visit.render("_state.html", current=told.current)))
        if cards.keys() != told.cards.keys() or wish.search:
            html = visit.render("_machines.html", **self._drawn(visit, cards, page, wish))
            if html != told.found:
                news.append(partial("machines", html))
                told.found = html
        else:
            news += [
                partial(element, html)
                for name, card in cards.items()
                if card is not told.cards[name]
                for element, html in self._cards.changes(visit, told.cards[name], card, page, wish)
            ]
        if wish.favourites and not wish.search:
            tiles = self._cards.favourites(visit, cards, page, wish)
            if tiles != told.favourites:
                told.favourites = tiles
                html = visit.render("_favourites.html", favourites=tiles)
                news.append(partial("favourites", html))
        told.cards = cards
        return news


@dataclass(slots=True)
class _Told:
    """What a stream has told so far: nothing, because the page may have been drawn a while ago."""

    cards: Mapping[str, Card] = field(default_factory=dict)
    favourites: str = ""
    found: str = ""
    current: bool | None = None


async def _open_drops(visit: Visit) -> list[views.DropView]:
    """The caller's drops on their way; none while the frontend is away."""
    site = visit.site
    if visit.login is None or not site.house.is_current:
        return []
    request = drops.ListDropsRequest(page_size=OPEN_DROPS_MAX, states=views.OPEN_STATES)
    try:
        listed = await visit.call(site.api.drops.ListDrops, request)
    except CallError as error:
        if error.is_away:
            return []
        raise
    return [visit.drop_view(drop) for drop in listed.drops]
