"""Pages of the caller's account: credits, transfers, password."""

from dataclasses import replace

from starlette.responses import Response

from drink.v1 import account_service_pb2 as pb
from drink_web import views
from drink_web.errors import CallError, PageError
from drink_web.pages.favourites import preferences_of
from drink_web.texts import LANGUAGES, preferred
from drink_web.visit import Visit

DONE = ("sent", "password_done", "changed")
"""What may be said after a change."""


async def show(visit: Visit) -> Response:
    """GET /account."""
    done = visit.query.get("done", "")
    return await _page(visit, done=done if done in DONE else "")


async def _page(
    visit: Visit,
    status: int = 200,
    *,
    done: str = "",
    where: str = "",
    problem: str = "",
    recipient: str = "",
    amount: str = "",
    request_id: str = "",
) -> Response:
    language = None
    try:
        await visit.look_up_account()
        language = preferred((await preferences_of(visit)).language, default="")
    except CallError as error:
        if not error.is_away:
            raise
    return visit.page(
        "account.html",
        status,
        here="account",
        done=done,
        where=where,
        problem=problem,
        recipient=recipient[:32],
        amount=amount[:9],
        language=language,
        name=request_id or f"web-{views.new_page()}",
    )


async def send(visit: Visit) -> Response:
    """POST /account/send: sends credits, once for each drawn form."""
    form = await visit.form()
    name = form.get("request_id", "")
    recipient, amount = form.get("recipient", "").strip(), form.get("amount", "").strip()
    problem, status = _wrong(visit, name, recipient, amount), 422
    if not problem:
        request = pb.TransferCreditsRequest(
            request_id=name, recipient=f"accounts/{recipient}", credits=int(amount)
        )
        try:
            await visit.call(visit.site.api.accounts.TransferCredits, request)
            return visit.redirect("/account?done=sent")
        except CallError as error:
            if error.is_logged_out:
                raise
            if error.is_away:
                # The same name again: if it was carried out, sending again changes nothing.
                problem, status = visit.texts("doubt"), 503
            else:
                problem, name = _refusal(visit, error), ""
    return await _page(
        visit,
        status,
        where="send",
        problem=problem,
        recipient=recipient,
        amount=amount,
        request_id=name if views.REQUEST_ID.fullmatch(name) else "",
    )


def _wrong(visit: Visit, name: str, recipient: str, amount: str) -> str:
    assert visit.login is not None
    if not views.REQUEST_ID.fullmatch(name):
        return visit.texts("problem_form")
    if not recipient or len(recipient) > 32 or not recipient.isascii():
        return visit.texts("problem_recipient")
    if recipient.lower() == visit.login.user.lower():
        return visit.texts("problem_self")
    if not views.is_number(amount, views.CREDITS_MAX) or int(amount) == 0:
        return visit.texts("problem_amount")
    return ""


def _refusal(visit: Visit, error: CallError) -> str:
    if error.reason in ("ACCOUNT_NOT_FOUND", "FIELD_INVALID", "ACCOUNT_CLOSED"):
        return visit.texts("problem_recipient")
    if error.reason == "INSUFFICIENT_CREDITS":
        return visit.texts(
            "problem_poor", credits=visit.texts.credits(error.facts.get("available", "?"))
        )
    return visit.refusal(error)


async def change_password(visit: Visit) -> Response:
    """POST /account/password: another password, and another token in the cookie."""
    assert visit.login is not None
    form = await visit.form()
    old, new, again = (form.get(key, "") for key in ("old", "new", "again"))
    problem = ""
    if not views.is_password(new):
        problem = "problem_password_new"
    elif new != again:
        problem = "problem_password_repeat"
    elif not old or len(old) > 128:
        problem = "problem_password_old"
    if problem:
        return await _page(visit, 422, where="password", problem=visit.texts(problem))
    request = pb.ChangePasswordRequest(old_password=old, new_password=new)
    try:
        answer = await visit.call(visit.site.api.accounts.ChangePassword, request)
    except CallError as error:
        if error.reason == "CREDENTIALS_INVALID":
            text = visit.texts("problem_password_old")
        elif error.reason == "FIELD_INVALID":
            text = visit.texts("problem_password_new")
        else:
            raise
        return await _page(visit, 422, where="password", problem=text)
    response = visit.redirect("/account?done=password_done")
    login = replace(visit.login, token=answer.token)
    visit.site.cookies.write(visit.request, response, login)
    return response


async def change_language(visit: Visit) -> Response:
    """POST /account/language: the language of the pages, or that of the browser."""
    language = (await visit.form()).get("language", "")
    if language and language not in LANGUAGES:
        raise PageError(400, "bad_request")
    request = pb.UpdatePreferencesRequest(language=language)
    await visit.call(visit.site.api.accounts.UpdatePreferences, request)
    visit.prefer(language)
    return visit.redirect("/account?done=changed")
