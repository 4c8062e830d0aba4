"""Logins and cards of the caller: the lists, ending a login, removing a card."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from drink.v1 import account_service_pb2 as pb
from drink_web.errors import CallError, PageError
from drink_web.visit import Visit

TOKENS_MAX = 100
"""Logins on the page; the frontend keeps as many for an account."""

GONE = ("TOKEN_NOT_FOUND", "CARD_NOT_FOUND")
"""Reasons that mean that the list has changed since it was drawn."""


async def show(visit: Visit) -> Response:
    """GET /account/devices."""
    return await _page(visit, done=visit.query.get("done") == "1")


async def _page(
    visit: Visit, status: int = 200, *, done: bool = False, problem: str = ""
) -> Response:
    api = visit.site.api.accounts
    tokens = await visit.call(api.ListTokens, pb.ListTokensRequest(page_size=TOKENS_MAX))
    cards = await visit.call(api.ListCards, pb.ListCardsRequest())
    await visit.look_up_account()
    return visit.page(
        "devices.html",
        status,
        here="account",
        tokens=tokens.tokens,
        cards=cards.cards,
        done=done,
        problem=problem,
    )


async def change(visit: Visit) -> Response:
    """POST /account/devices: ends logins or removes a card, by the button that was pressed."""
    form = await visit.form()
    try:
        method, request = _change(visit, form)
        await visit.call(method, request)
    except PageError as error:
        return await _page(visit, error.status, problem=visit.texts(error.text))
    except CallError as error:
        if error.reason not in GONE:
            raise
        return await _page(visit, 409, problem=visit.texts("gone_already"))
    return visit.redirect("/account/devices?done=1")


def _change(visit: Visit, form: Mapping[str, str]) -> tuple[Any, Any]:
    """The method and the request of a change.

    Raises:
        PageError: the form names none.
    """
    api, name = visit.site.api.accounts, form.get("name", "")
    match form.get("do"):
        case "others":
            return api.RevokeAllTokens, pb.RevokeAllTokensRequest(keep_current=True)
        case "token" if name:
            return api.RevokeToken, pb.RevokeTokenRequest(name=name)
        case "card" if name:
            return api.RemoveCard, pb.RemoveCardRequest(name=name)
    raise PageError(422, "problem_form")
