"""Favourites: the items and slots that a member marks with a star."""

import asyncio
import contextlib
from collections.abc import Sequence

from starlette.responses import Response

from drink.v1 import account_service_pb2 as pb
from drink_web import views
from drink_web.errors import CallError, PageError
from drink_web.pages.cards import Wish, search_of
from drink_web.visit import Visit

FAVOURITES_MAX = 20
"""Most favourites that the API keeps."""


async def wish_of(visit: Visit) -> Wish:
    """What a browser wants to see of the machines: favourites, the search, and what is affordable.

    A language that the member prefers is that of the page from here on. Without an answer there
    are no favourites.

    Raises:
        CallError: the login is no longer valid.
    """
    search = search_of(visit.query.get("q", ""))
    if visit.login is None or not visit.site.house.is_current:
        return Wish(search=search)
    try:
        preferences, _ = await asyncio.gather(preferences_of(visit), visit.look_up_account())
    except CallError as error:
        if error.is_logged_out:
            raise
        return Wish(search=search)
    credits_left = visit.account.available_credits if visit.account else None
    return Wish(list(preferences.favourites), search, credits_left)


async def preferences_of(visit: Visit) -> pb.Preferences:
    """The caller's preferences; a language among them is that of the page from here on.

    Raises:
        CallError: the frontend refused, or does not answer.
    """
    method = visit.site.api.accounts.GetPreferences
    answer = await visit.call(method, pb.GetPreferencesRequest())
    preferences: pb.Preferences = answer.preferences
    visit.prefer(preferences.language)
    return preferences


async def change(visit: Visit) -> Response:
    """POST /favourites: adds the slot's item to the favourites, or the slot, or removes both."""
    form = await visit.form()
    tile = _tile(visit, form.get("favourite", ""))
    before = list((await preferences_of(visit)).favourites)
    after = [name for name in before if name not in tile.names]
    if form.get("do") != "remove":
        after = [*_kept(visit, after), tile.names[0]]
        if len(after) > FAVOURITES_MAX:
            raise PageError(409, "favourites_full")
    request = pb.UpdatePreferencesRequest(favourites=pb.Favourites(names=after))
    await visit.call(visit.site.api.accounts.UpdatePreferences, request)
    return visit.redirect(f"/#tile-{tile.id}")


def _tile(visit: Visit, slot: str) -> views.Tile:
    machine = visit.site.house.machines.get(views.machine_of(slot))
    for tile in views.machine_view(machine, is_current=True).tiles if machine else ():
        if tile.slot.name == slot:
            return tile
    raise PageError(404, "not_found")


def _kept(visit: Visit, names: Sequence[str]) -> Sequence[str]:
    """The favourites without slots that are there no longer, which nobody could remove."""
    slots = {slot.name for machine in visit.site.house.machines.values() for slot in machine.slots}
    return [name for name in names if "/slots/" not in name or name in slots]


async def prefer_language(visit: Visit) -> None:
    """Reads the language that a new login prefers; without an answer it stays the browser's."""
    with contextlib.suppress(CallError):
        await preferences_of(visit)
