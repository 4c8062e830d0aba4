"""What administrators do with users: find, make, close; credits and passwords."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from drink.v1 import account_service_pb2 as pb
from drink.v1 import drop_service_pb2 as drops
from drink_web import views
from drink_web.errors import CallError, PageError
from drink_web.visit import Visit

USERS_MAX = 100
"""Users on one page; typing more of a name finds the others."""

DROPS_MAX = 10
"""Drops on the page of a user, the newest."""

CHIP = re.compile(r"[0-9A-Fa-f]{8,32}")
"""Numbers of iButtons and radio chips that the API takes."""

BARCODE = re.compile(r"[A-Za-z0-9_.-]{6,64}")
"""Barcodes that the API takes."""

IDENTITY_PART = re.compile(r"[!-~]{1,255}")
"""Sources of logins and subjects there that the API takes."""

USER = re.compile(r"[A-Za-z0-9_.-]{1,32}")
"""Names that the API takes."""

CREDITS = re.compile(r"[+-]?[0-9]{1,7}")
"""Credits to add, or with a minus to take back."""

DONE = ("made", "added", "changed")
"""What may be said after a change."""


REFUSALS = (
    "LAST_ADMINISTRATOR",
    "ACCOUNT_CLOSED",
    "CARD_KEY_UNAVAILABLE",
    "TOO_MANY_CARDS",
    "TOO_MANY_IDENTITIES",
)
"""Reasons that the page of a user tells in their own words."""


async def show_users(visit: Visit) -> Response:
    """GET /admin/users: users by the beginning of their names."""
    return await _list_page(visit)


async def _list_page(
    visit: Visit, status: int = 200, *, problem: str = "", fields: Mapping[str, str] | None = None
) -> Response:
    prefix = visit.query.get("q", "").strip()
    request = pb.ListAccountsRequest(page_size=USERS_MAX)
    if USER.fullmatch(prefix):
        request.name_prefix = prefix
    answer = await visit.call(visit.site.api.accounts.ListAccounts, request)
    await visit.look_up_account()
    return visit.page(
        "admin_users.html",
        status,
        here="admin",
        prefix=prefix[:32],
        users=answer.accounts,
        more=bool(answer.next_page_token),
        problem=problem,
        fields=fields or {},
    )


async def make(visit: Visit) -> Response:
    """POST /admin/users: makes a user with a password."""
    form = await visit.form()
    user, password = form.get("user", "").strip(), form.get("password", "")
    if not USER.fullmatch(user):
        return await _list_page(visit, 422, problem=visit.texts("problem_user"), fields=form)
    if not views.is_password(password):
        problem = visit.texts("problem_password_new")
        return await _list_page(visit, 422, problem=problem, fields=form)
    try:
        title = _title(form)
    except PageError as error:
        return await _list_page(visit, 422, problem=visit.texts(error.text), fields=form)
    request = pb.CreateAccountRequest(
        name=f"accounts/{user}", password=password, display_name=title
    )
    try:
        await visit.call(visit.site.api.accounts.CreateAccount, request)
    except CallError as error:
        if error.reason != "ALREADY_EXISTS":
            raise
        problem = visit.texts("ALREADY_EXISTS")
        return await _list_page(visit, 409, problem=problem, fields=form)
    return visit.redirect(f"/admin/users/{user}?done=made")


async def show_user(visit: Visit) -> Response:
    """GET /admin/users/{user}."""
    done = visit.query.get("done", "")
    return await _user_page(visit, done=done if done in DONE else "")


async def _user_page(
    visit: Visit, status: int = 200, *, done: str = "", problem: str = "", request_id: str = ""
) -> Response:
    name = f"accounts/{visit.request.path_params['user']}"
    # The list, and not GetAccount, which would answer members for themselves.
    request = pb.ListAccountsRequest(page_size=1, name_prefix=name.removeprefix("accounts/"))
    answer = await visit.call(visit.site.api.accounts.ListAccounts, request)
    if not answer.accounts or answer.accounts[0].name != name:
        return visit.problem(404, visit.texts("not_found"))
    api = visit.site.api
    listed = await visit.call(
        api.drops.ListDrops, drops.ListDropsRequest(parent=name, page_size=DROPS_MAX)
    )
    cards = await visit.call(api.accounts.ListCards, pb.ListCardsRequest(parent=name))
    identities = await visit.call(
        api.accounts.ListIdentities, pb.ListIdentitiesRequest(parent=name)
    )
    await visit.look_up_account()
    return visit.page(
        "admin_user.html",
        status,
        here="admin",
        user=answer.accounts[0],
        drops=[visit.drop_view(drop) for drop in listed.drops],
        cards=cards.cards,
        identities=identities.identities,
        done=done,
        problem=problem,
        name=request_id or f"web-{views.new_page()}",
    )


async def change(visit: Visit) -> Response:
    """POST /admin/users/{user}: one change, by the button that was pressed."""
    form = await visit.form()
    user = visit.request.path_params["user"]
    try:
        method, request = _change(visit, form, f"accounts/{user}")
        await visit.call(method, request)
    except PageError as error:
        return await _user_page(visit, error.status, problem=visit.texts(error.text))
    except CallError as error:
        if error.is_away and form.get("do") == "credits":
            # The same name again: if it was carried out, asking again changes nothing.
            return await _user_page(
                visit, 503, problem=visit.texts("doubt"), request_id=form["request_id"]
            )
        return await _user_page(visit, 409, problem=_refusal(visit, error, form.get("do", "")))
    return visit.redirect(f"/admin/users/{user}?done=changed")


def _refusal(visit: Visit, error: CallError, what: str) -> str:
    """Why a change was refused.

    Args:
        visit: The request.
        error: The refusal.
        what: The button that was pressed.

    Raises:
        CallError: the error, where the page has nothing to add.
    """
    if error.reason == "INSUFFICIENT_CREDITS":
        return visit.texts.counted("problem_take", error.facts.get("available", "?"))
    if error.reason == "ALREADY_EXISTS":
        taken = "problem_identity_taken" if what == "identity" else "problem_card_taken"
        return visit.texts(taken)
    if error.reason in ("CARD_NOT_FOUND", "IDENTITY_NOT_FOUND"):
        return visit.texts("gone_already")
    if error.reason not in REFUSALS:
        raise error
    return visit.refusal(error)


def _change(visit: Visit, form: Mapping[str, str], name: str) -> tuple[Any, Any]:
    """The method and the request of a change.

    Raises:
        PageError: a field is wrong; with the text that says so.
    """
    api = visit.site.api.accounts
    method, make = {
        "credits": (api.AddCredits, _credits),
        "password": (api.SetPassword, _password),
        "card": (api.AddCard, _card),
        "card_remove": (api.RemoveCard, _removed_card),
        "identity": (api.LinkIdentity, _identity),
        "identity_remove": (api.UnlinkIdentity, _removed_identity),
    }.get(form.get("do", ""), (api.UpdateAccount, _account))
    return method, make(form, name)


def _credits(form: Mapping[str, str], name: str) -> pb.AddCreditsRequest:
    amount, request_id = form.get("amount", "").strip(), form.get("request_id", "")
    if not views.REQUEST_ID.fullmatch(request_id):
        raise PageError(422, "problem_form")
    if not CREDITS.fullmatch(amount) or not 1 <= abs(int(amount)) <= views.CREDITS_MAX:
        raise PageError(422, "problem_add")
    reason = form.get("reason", "").strip()
    if len(reason) > views.REASON_MAX or not reason.isprintable():
        raise PageError(422, "problem_why")
    return pb.AddCreditsRequest(
        request_id=request_id, account=name, credits=int(amount), reason=reason
    )


def _password(form: Mapping[str, str], name: str) -> pb.SetPasswordRequest:
    if not views.is_password(form.get("password", "")):
        raise PageError(422, "problem_password_new")
    return pb.SetPasswordRequest(name=name, password=form["password"])


def _account(form: Mapping[str, str], name: str) -> pb.UpdateAccountRequest:
    what, limit = form.get("do"), form.get("limit", "").strip()
    if what in ("close", "open"):
        return pb.UpdateAccountRequest(name=name, closed=what == "close")
    if what in ("admin", "member"):
        return pb.UpdateAccountRequest(name=name, admin=what == "admin")
    if what == "name":
        return pb.UpdateAccountRequest(name=name, display_name=_title(form))
    if what != "limit":
        raise PageError(422, "problem_form")
    if not views.is_number(limit, views.CREDITS_MAX):
        raise PageError(422, "problem_limit")
    return pb.UpdateAccountRequest(name=name, credit_limit=int(limit))


def _removed_card(form: Mapping[str, str], name: str) -> pb.RemoveCardRequest:
    if not form.get("card", "").startswith(f"{name}/"):
        raise PageError(422, "problem_form")
    return pb.RemoveCardRequest(name=form["card"])


def _identity(form: Mapping[str, str], name: str) -> pb.LinkIdentityRequest:
    source, subject = (form.get(field, "").strip() for field in ("source", "subject"))
    if not IDENTITY_PART.fullmatch(source) or not IDENTITY_PART.fullmatch(subject):
        raise PageError(422, "problem_identity")
    return pb.LinkIdentityRequest(parent=name, source=source, subject=subject)


def _removed_identity(form: Mapping[str, str], name: str) -> pb.UnlinkIdentityRequest:
    wanted = _identity(form, name)
    return pb.UnlinkIdentityRequest(parent=name, source=wanted.source, subject=wanted.subject)


def _title(form: Mapping[str, str]) -> str:
    title = form.get("title", "").strip()
    if len(title) > views.REASON_MAX or not title.isprintable():
        raise PageError(422, "problem_card_name")
    return title


def _card(form: Mapping[str, str], name: str) -> pb.AddCardRequest:
    kind, number = form.get("kind"), form.get("number", "").strip()
    title = _title(form)
    if kind == "chip" and CHIP.fullmatch(number):
        return pb.AddCardRequest(parent=name, chip=number, display_name=title)
    if kind == "barcode" and BARCODE.fullmatch(number):
        return pb.AddCardRequest(parent=name, barcode=number, display_name=title)
    raise PageError(422, "problem_card")
