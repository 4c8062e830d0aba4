"""The paths of REST, their errors, and the headers that let scripts of other origins use them."""

import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from drink_web.errors import CallError, PageError
from drink_web.rest import drinks, stock, users
from drink_web.rest.exchange import Exchange, RestError, refusal
from drink_web.texts import TEXTS
from drink_web.visit import Site

Handler = Callable[[Exchange], Awaitable[dict[str, Any]]]

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""Methods that are answered in the shapes of REST, with 405 where a path does not have them."""

HEADERS = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key",
    "access-control-max-age": "600",
}
"""Scripts of every origin may ask: nothing here looks at cookies, and tokens are their callers'."""

CREATED = 201
"""The status of an item that was made, the only success that is not 200."""

PATHS: Mapping[str, Mapping[str, Handler]] = {
    "/drinks": {"GET": drinks.show},
    "/drinks/drop": {"POST": drinks.drop},
    "/users": {"GET": users.show_users},
    "/users/credits": {"GET": users.show_credits, "PUT": users.set_credits},
    "/items": {
        "GET": stock.show_items,
        "PUT": stock.change_item,
        "POST": stock.make_item,
        "DELETE": stock.remove_item,
    },
    "/slots": {"PUT": stock.change_slot},
}
"""What answers each method of each path."""

DOCUMENT: Mapping[str, Any] = json.loads(
    (files("drink_web.rest") / "openapi.json").read_text(encoding="utf-8")
)
"""The OpenAPI document of all this."""

_log = logging.getLogger(__name__)


def routes(site: Site) -> Sequence[Route]:
    """All of them, and `/openapi.json`."""

    async def document(_: Exchange) -> dict[str, Any]:
        return dict(DOCUMENT)

    paths = {**PATHS, "/openapi.json": {"GET": document}}
    return [Route(path, _endpoint(site, by), methods=list(METHODS)) for path, by in paths.items()]


def _endpoint(
    site: Site, handlers: Mapping[str, Handler]
) -> Callable[[Request], Awaitable[Response]]:
    """What answers a path: its handlers by method, with errors in their shape."""
    allowed = ", ".join((*handlers, "OPTIONS"))
    headers = {**HEADERS, "access-control-allow-methods": allowed}

    async def endpoint(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={**headers, "allow": allowed})
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            wrong = RestError(405, f"Allowed here: {allowed}")
            return JSONResponse(wrong.body, 405, headers={**headers, "allow": allowed})
        try:
            status = CREATED if handler is stock.make_item else 200
            return JSONResponse(await handler(Exchange(site, request)), status, headers=headers)
        except Exception as error:
            wrong = _wrong(error, request)
        retry = {"retry-after": str(wrong.retry_s)} if wrong.retry_s else {}
        return JSONResponse(wrong.body, wrong.status, headers={**headers, **retry})

    return endpoint


def _wrong(error: Exception, request: Request) -> RestError:
    """What is answered for an error."""
    if isinstance(error, RestError):
        return error
    if isinstance(error, PageError):
        return RestError(error.status, TEXTS["en"](error.text))
    if isinstance(error, CallError) and error.status not in ("INTERNAL", "UNKNOWN"):
        return refusal(error)
    incident = secrets.token_hex(6)
    if isinstance(error, CallError):
        incident = error.facts.get("incident", incident)
        _log.error("call_failed", extra={"facts": {"incident": incident, "error": str(error)}})
    else:
        facts = {"incident": incident, "route": f"{request.method} {request.url.path}"}
        _log.error("request_failed", extra={"facts": facts}, exc_info=error)
    status = 502 if isinstance(error, CallError) else 500
    return RestError(status, TEXTS["en"]("fault", incident=incident))
