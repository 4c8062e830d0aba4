"""`/users`: users and their credits."""

import re
from typing import Any

from drink.v1 import account_service_pb2 as pb
from drink_web import views
from drink_web.errors import CallError
from drink_web.rest.exchange import Exchange, RestError
from drink_web.rest.shapes import balance, user_shape

USERS_MAX = 20_000
"""Users of one answer; the kindred server has no pages."""

PAGE_ROWS = 1_000
"""Users of one call: as many as the API gives at once."""

ATTEMPTS_MAX = 4
"""How often a balance is set again because credits moved in between."""

UID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
"""Names of accounts that the API takes."""

WRITTEN = re.compile(r"-?[0-9]{1,7}")
"""A balance that is sent as a text."""


async def show_users(exchange: Exchange) -> dict[str, Any]:
    """GET /users: everybody whose account is open, for administrators."""
    users: list[dict[str, Any]] = []
    request = pb.ListAccountsRequest(page_size=PAGE_ROWS, open_only=True)
    while True:
        answer = await exchange.call(exchange.site.api.accounts.ListAccounts, request)
        users += [user_shape(account) for account in answer.accounts]
        if not answer.next_page_token:
            return {"message": f"Retrieved {len(users)} users", "users": users}
        if len(users) >= USERS_MAX:
            message = f"Retrieved the first {len(users)} users, and there are more"
            return {"message": message, "users": users}
        request.page_token = answer.next_page_token


async def show_credits(exchange: Exchange) -> dict[str, Any]:
    """GET /users/credits?uid=...: one's own balance as a text; anybody's for administrators."""
    query, _ = exchange.request.query_params, exchange.caller
    if "ibutton" in query and "uid" not in query:
        # Its number logs in: to look somebody up by it would be a login by GET.
        raise RestError(501, "Users are not looked up by iButton; please provide a uid")
    uid = _uid(query.get("uid"))
    method = exchange.site.api.accounts.GetAccount
    account = (await exchange.call(method, pb.GetAccountRequest(name=f"accounts/{uid}"))).account
    user = user_shape(account)
    # Clients in Rust read a text here, and a number in every other place.
    user["drinkBalance"] = str(user["drinkBalance"])
    return {"message": f"Retrieved user with uid '{user['uid']}'", "user": user}


async def set_credits(exchange: Exchange) -> dict[str, Any]:
    """PUT /users/credits: brings a balance to a number, for administrators.

    Nothing in the request says what the client had seen, so that the last one wins. A movement in
    the same moment is never lost: the change is made to what is read, and only if it still stands.
    """
    _, request_id = exchange.caller, exchange.request_id
    body = await exchange.body("drinkBalance", "uid")
    uid, wanted = _uid(body["uid"]), _number(body["drinkBalance"])
    for attempt in range(ATTEMPTS_MAX):
        account = await _account(exchange, uid)
        before = balance(account)
        # A repeat whose first answer was lost finds that it is done.
        if before == wanted:
            break
        request = pb.SetCreditsRequest(
            request_id=request_id,
            account=account.name,
            posted_credits=wanted + account.held_credits,
            expected_posted_credits=account.posted_credits,
        )
        try:
            await exchange.call(exchange.site.api.accounts.SetCredits, request)
            break
        except CallError as error:
            if error.is_away:
                text = "Nobody can tell whether the balance was changed. Look before you try again."
                raise RestError(504, text, {"idempotencyKey": request_id}) from None
            if error.reason != "BALANCE_CHANGED" or attempt == ATTEMPTS_MAX - 1:
                raise
    name = account.name.removeprefix("accounts/")
    changed = f"from {before} credits to {wanted} credits for user '{name}'"
    return {"message": f"Drink balance updated {changed}"}


async def _account(exchange: Exchange, uid: str) -> pb.Account:
    """Somebody's account, for administrators only: GetAccount would show members their own."""
    request = pb.ListAccountsRequest(page_size=1, name_prefix=uid)
    answer = await exchange.call(exchange.site.api.accounts.ListAccounts, request)
    account: pb.Account
    for account in answer.accounts:
        if account.name.lower() == f"accounts/{uid}".lower():
            return account
    raise RestError(400, f"The requested uid '{uid}' does not belong to any user.")


def _uid(value: object) -> str:
    if value is None:
        raise RestError(400, "Please provide a valid uid value as a URI parameter.")
    if not isinstance(value, str) or not UID.fullmatch(value):
        raise RestError(400, "The requested uid does not belong to any user.")
    return value


def _number(value: object) -> int:
    if isinstance(value, str) and WRITTEN.fullmatch(value):
        value = int(value)
    # Not bool, which is an int.
    if type(value) is not int or abs(value) > views.CREDITS_MAX:
        text = (
            f"The new drinkBalance must be a whole number, {views.CREDITS_MAX} at most either way"
        )
        raise RestError(400, text)
    return value
