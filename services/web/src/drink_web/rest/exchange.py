"""One REST request: its token, its body, its calls, and the shape of its errors."""

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from drink.v1 import machine_service_pb2 as machines
from drink_web import views
from drink_web.api import Metadata
from drink_web.errors import CallError
from drink_web.forms import read_body
from drink_web.texts import TEXTS
from drink_web.visit import Site, address_of

TOKEN = re.compile(r"Bearer +([\x21-\x7e]{1,8192})", re.IGNORECASE)
"""The header of a request with a token: the frontend's, or an access token of an OpenID provider,
of which those with many groups are long."""

OWN_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}")
"""What the frontend's tokens look like; others' may, too, but not a JWT."""

MACHINE = re.compile(r"[a-z0-9-]{1,32}")
"""Names of machines that the API takes."""

SLOT_MAX = 99
"""The highest number of a slot."""

STATUSES = {
    "UNAUTHENTICATED": 401,
    # Clients of the kindred server expect 401 for missing rights, too.
    "PERMISSION_DENIED": 401,
    "NOT_FOUND": 400,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 502,
    "INTERNAL": 502,
    "UNKNOWN": 502,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 503,
}
"""HTTP statuses of refused calls by the gRPC status; 400 for all others."""

REASON_STATUSES = {
    "INSUFFICIENT_CREDITS": 402,
    "REQUEST_ID_REUSED": 422,
    "MACHINE_OFFLINE": 500,
    "BOARD_UNREACHABLE": 500,
}
"""HTTP statuses of refused calls by the reason, which go before those of `STATUSES`."""

SENTENCES = {
    "TOKEN_INVALID": "The token is not valid, or has expired.",
    "CREDENTIALS_INVALID": "The token is not valid, or has expired.",
    "NOT_A_MEMBER": "You are not a member.",
    "IDENTITY_NOT_LINKED": "No account belongs to this login. Ask an administrator to link it.",
    "TOKEN_SCOPE": "The token may not be used for this.",
    "REQUEST_ID_REUSED": "The Idempotency-Key was used before for another request.",
    "ITEM_NOT_FOUND": "The provided item id is not that of an item",
    "ITEM_SOLD": "Slots sell the item. Give them another one first.",
    "TOO_MANY_ITEMS": "There are as many items as there may be.",
    "ACCOUNT_NOT_FOUND": "The requested uid does not belong to any user.",
}
"""Why a call was refused, where the words of the page do not fit a program."""


class RestError(Exception):
    """A request that is answered with an error in the shape that clients expect.

    Args:
        status: HTTP status.
        text: What is wrong, for people; clients show it.
        facts: More members of the answer.
        retry_s: Seconds after which asking again makes sense; 0 if it is not known.
    """

    def __init__(
        self,
        status: int,
        text: str,
        facts: Mapping[str, Any] | None = None,
        retry_s: int = 0,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.retry_s = retry_s
        self.body = {"error": text, "errorCode": status, **(facts or {})}


class Exchange:
    """One request.

    Args:
        site: What all requests share.
        request: The request.
    """

    def __init__(self, site: Site, request: Request) -> None:
        self.site = site
        self.request = request
        self._exchanged: str | None = None

    @property
    def caller(self) -> Metadata:
        """For whom calls are made; after a call, with the token with which it was made.

        Raises:
            RestError: there is no bearer token.
        """
        token = self._exchanged or self._token
        return self.site.api.caller(token, address_of(self.request))

    @property
    def _token(self) -> str:
        found = TOKEN.fullmatch(self.request.headers.get("authorization", ""))
        if found is None:
            raise RestError(401, "A bearer token is required.")
        return found[1]

    @property
    def anybody(self) -> Metadata:
        """The metadata of a call that needs no token."""
        return self.site.api.caller("", address_of(self.request))

    @property
    def request_id(self) -> str:
        """Names what the request does: its `Idempotency-Key`, or a new name.

        Raises:
            RestError: the key is none that the API takes.
        """
        key = self.request.headers.get("idempotency-key")
        if key is None:
            return f"rest-{secrets.token_urlsafe(16)}"
        # The header is a quoted string in its draft, and a plain one with many clients.
        plain = key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key
        if not views.REQUEST_ID.fullmatch(plain):
            raise RestError(400, "An Idempotency-Key has 1 to 64 characters of A-Z a-z 0-9 _ . : -")
        return plain

    async def call(self, method: Any, request: Any) -> Any:
        """The answer of a call with the token of the request.

        Raises:
            CallError: the frontend refused, or did not answer in time.
            RestError: there is no bearer token.
        """
        access = self.site.access
        self._exchanged = access.kept(self._token)
        if self._exchanged is None and not OWN_TOKEN.fullmatch(self._token):
            await self._exchange()
        try:
            return await self.site.api.call(method, request, self.caller)
        except CallError as error:
            if not error.is_logged_out:
                raise
            access.forget(self._token)
            if not await self._exchange():
                raise
        return await self.site.api.call(method, request, self.caller)

    async def _exchange(self) -> bool:
        """Exchanges the access token of a provider, if any are taken; returns whether they are.

        Raises:
            CallError: the frontend refuses it, or does not answer.
        """
        self._exchanged = None
        if not await self.site.access.are_taken():
            return False
        self._exchanged = await self.site.access.exchange(self._token, address_of(self.request))
        return True

    async def body(self, *required: str) -> Mapping[str, Any]:
        """The members of the JSON object in the body.

        Args:
            required: Members that must be there.

        Raises:
            RestError: it is no JSON object, or a member is missing.
            PageError: it is too large or too slow.
        """
        http = self.site.settings.http
        body = await read_body(
            self.request, bytes_max=http.body_bytes_max, limit_s=http.body_limit_s
        )
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RestError(400, "The Content-Type must be application/json")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise RestError(400, "The body must be a JSON object")
        missing = [name for name in required if name not in found]
        if missing:
            names = ", ".join(missing)
            raise RestError(400, f"The following required parameters were not provided: {names}")
        return found


def refusal(error: CallError) -> RestError:
    """The error of a call that the frontend did not carry out; faults have their number in it."""
    status = REASON_STATUSES.get(error.reason, STATUSES.get(error.status, 400))
    texts = TEXTS["en"]
    if error.is_away:
        text = "The server does not answer."
    elif error.reason == "FIELD_INVALID":
        text = f"The server refused a value: {error.facts.get('field', 'unknown field')}"
    elif error.reason in SENTENCES:
        text = SENTENCES[error.reason]
    elif texts.has(error.reason):
        text = texts(error.reason, **{"price": "?", "available": "?"} | error.facts)
    else:
        text = texts("refused_other", reason=error.reason or error.status)
    facts = {"message": error.reason} if error.reason else {}
    return RestError(status, text, facts, error.retry_s)


def known_machines(exchange: Exchange) -> Mapping[str, machines.Machine]:
    """The machines by their resource names, as they stand now.

    Raises:
        RestError: the frontend does not answer.
    """
    house = exchange.site.house
    if not house.is_current:
        raise RestError(503, "The server does not answer.")
    return house.machines


def whole(value: object, low: int, high: int) -> bool:
    """Whether a member of a body is a whole number from `low` to `high`."""
    return type(value) is int and low <= value <= high


def text_of(value: object, limit: int) -> bool:
    """Whether a member of a body is a text of 1 to `limit` printable characters."""
    return isinstance(value, str) and 1 <= len(value) <= limit and value.isprintable()


def slot_name(body: Mapping[str, Any]) -> str:
    """Resource name of the slot that the members `machine` and `slot` name.

    Raises:
        RestError: they can name none.
    """
    machine, slot = body["machine"], body["slot"]
    if not (isinstance(machine, str) and MACHINE.fullmatch(machine)):
        raise RestError(400, "The machine is not a valid machine name")
    if not whole(slot, 1, SLOT_MAX):
        raise RestError(400, f"The slot must be a whole number from 1 to {SLOT_MAX}")
    return f"machines/{machine}/slots/{slot}"
