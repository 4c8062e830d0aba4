"""Logins and cards of the caller: the lists, ending a login, adding and removing a card."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from drink.v1 import account_service_pb2 as pb
from drink_web import views
from drink_web.errors import CallError, PageError
from drink_web.visit import Visit

TOKENS_MAX = 100
"""Logins on the page; the frontend keeps as many for an account."""

GONE = ("TOKEN_NOT_FOUND", "CARD_NOT_FOUND")
"""Reasons that mean that the list has changed since it was drawn."""

CODE_REFUSALS = {
    "ALREADY_EXISTS": "problem_card_taken",
    "CARD_CODE_INVALID": "card_code_wrong",
    "FIELD_INVALID": "card_code_wrong",
}
"""Reasons for which a code adds no card, with the text that says so."""

REFUSALS = ("CARD_KEY_UNAVAILABLE", "TOO_MANY_CARDS")
"""Other reasons for which a card is not added."""

CODE_MAX = 64
"""Characters that are read of a code; it has 6 digits."""


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
    """POST /account/devices: ends logins, adds or removes a card, by the pressed button."""
    form = await visit.form()
    await visit.look_up_account()
    try:
        method, request = _change(visit, form)
        await visit.call(method, request)
    except PageError as error:
        return await _page(visit, error.status, problem=visit.texts(error.text))
    except CallError as error:
        return await _page(visit, 409, problem=_problem(visit, error))
    return visit.redirect("/account/devices?done=1")


def _problem(visit: Visit, error: CallError) -> str:
    """Why nothing was changed, for people.

    Raises:
        CallError: it is nothing that the page tells in its own words.
    """
    if error.reason in GONE:
        return visit.texts("gone_already")
    if error.reason in CODE_REFUSALS:
        return visit.texts(CODE_REFUSALS[error.reason])
    if error.status == "RESOURCE_EXHAUSTED" and error.retry_s:
        return visit.texts.counted("login_wait", error.retry_s)
    if error.reason in REFUSALS:
        return visit.refusal(error)
    raise error


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
        case "card_code" if visit.account is not None:
            code = "".join(form.get("code", "")[:CODE_MAX].split())
            title = form.get("title", "").strip()
            if len(title) > views.REASON_MAX or not title.isprintable():
                raise PageError(422, "problem_card_name")
            own = visit.account.name
            return api.AddCard, pb.AddCardRequest(parent=own, code=code, display_name=title)
    raise PageError(422, "problem_form")
