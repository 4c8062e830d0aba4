"""Pages of login and logout."""

import contextlib

from starlette.responses import Response

from drink.v1 import account_service_pb2 as pb
from drink_web.cookies import Login
from drink_web.errors import CallError
from drink_web.forms import local_path
from drink_web.pages.favourites import prefer_language
from drink_web.pages.sign_in import SIGNED_IN, signed_in_with
from drink_web.visit import Visit

NAME_MAX, PASSWORD_MAX = 32, 128
"""Characters of the longest account name and password."""

REFUSALS = {
    "ACCOUNT_CLOSED": 403,
    "DIRECTORY_UNAVAILABLE": 503,
    "IDENTITY_NOT_LINKED": 403,
    "NOT_A_MEMBER": 403,
}
"""Reasons that the page tells in their own words, each with its HTTP status."""


async def show(visit: Visit) -> Response:
    """GET /login."""
    goal = local_path(visit.query.get("next", "/"))
    if visit.login is not None:
        return visit.redirect(goal)
    note = visit.texts("login_ended") if visit.query.get("ended") else ""
    return visit.page(
        "login.html",
        here="login",
        goal=goal,
        note=note,
        problem="",
        user="",
        providers=await visit.site.providers.offered(),
    )


async def log_in(visit: Visit) -> Response:
    """POST /login."""
    form = await visit.form()
    user, password = form.get("user", "").strip(), form.get("password", "")
    goal = local_path(form.get("next", "/"))
    if not user or not password or len(user) > NAME_MAX or len(password) > PASSWORD_MAX:
        return await _again(visit, user, goal, visit.texts("login_wrong"))
    credentials = pb.PasswordCredentials(account=f"accounts/{user}", password=password)
    # A login of before must not come with it: that token may have ended.
    caller = visit.site.api.caller(address=visit.address)
    try:
        answer = await visit.site.api.call(
            visit.site.api.accounts.Login,
            pb.LoginRequest(password=credentials, display_name=visit.texts("page_login")),
            caller,
        )
    except CallError as error:
        if error.status == "RESOURCE_EXHAUSTED":
            wait_s = max(error.retry_s, 1)
            return await _again(visit, user, goal, visit.texts.counted("login_wait", wait_s), 429)
        if error.reason in REFUSALS:
            return await _again(visit, user, goal, visit.refusal(error), REFUSALS[error.reason])
        if error.is_away:
            return await _again(visit, user, goal, visit.texts("away"), 503)
        if error.status in ("UNAUTHENTICATED", "INVALID_ARGUMENT", "NOT_FOUND"):
            return await _again(visit, user, goal, visit.texts("login_wrong"))
        raise
    visit.login = Login(answer.token, answer.account.name, answer.account.admin)
    await prefer_language(visit)
    response = visit.redirect(goal)
    visit.site.cookies.write(visit.request, response, visit.login)
    if signed_in_with(visit) is not None:
        visit.site.cookies.clear(visit.request, response, SIGNED_IN)
    return response


async def log_out(visit: Visit) -> Response:
    """POST /logout: ends the login at the frontend and in the browser."""
    if visit.login is not None:
        # The browser forgets it in any case; a token that nobody has runs out by itself.
        with contextlib.suppress(CallError):
            await visit.call(visit.site.api.accounts.Logout, pb.LogoutRequest())
    # The policy for forms lets this answer lead to no other origin, so that a link does.
    response = visit.redirect("/" if signed_in_with(visit) is None else "/signed-out")
    visit.site.cookies.clear(visit.request, response)
    return response


async def _again(visit: Visit, user: str, goal: str, problem: str, status: int = 422) -> Response:
    return visit.page(
        "login.html",
        status,
        here="login",
        goal=goal,
        note="",
        problem=problem,
        user=user[:NAME_MAX],
        providers=await visit.site.providers.offered(),
    )
