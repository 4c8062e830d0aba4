"""Puts the page together and serves it."""

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from drink_web.access import AccessTokens
from drink_web.api import Api
from drink_web.assets import Assets
from drink_web.cookies import Cookies
from drink_web.errors import CallError, PageError
from drink_web.house import House
from drink_web.metrics.instruments import Metrics, RequestMetrics
from drink_web.monitoring import Monitoring
from drink_web.pages import (
    account,
    admin,
    alarms,
    devices,
    drops,
    events,
    favourites,
    history,
    items,
    kiosk,
    kiosks,
    login,
    machines,
    pictures,
    restock,
    sign_in,
    slots,
    statistics,
    users,
)
from drink_web.pages.home import Home
from drink_web.providers import Providers
from drink_web.request_spans import RequestSpans
from drink_web.rest.routes import routes as rest_routes
from drink_web.security import SecurityHeaders, is_same_origin
from drink_web.settings import Settings
from drink_web.spans.tracer import Tracer
from drink_web.streams import Streams
from drink_web.visit import Site, Visit, environment

Handler = Callable[[Visit], Awaitable[Response]]

RELOAD_S = 4
"""Seconds after which a page that had no answer from the frontend is loaded again."""

FIRST_WATCH_LIMIT_S = 5.0
"""Seconds that the start waits for the frontend; without it the page says that it is away."""

_log = logging.getLogger(__name__)


def make_site(settings: Settings) -> Site:
    """What all requests share.

    Raises:
        ConfigError: a file that the settings name cannot be used.
        TracingUnavailableError: traces are wanted, and what sends them is not installed.
    """
    tracer = Tracer(settings.tracing, "drink-web", version("drink-web"))
    api = Api(settings.frontend, tracer)
    assets = Assets()
    return Site(
        settings=settings,
        metrics=Metrics(),
        tracer=tracer,
        api=api,
        house=House(api, settings.frontend, settings.pictures),
        cookies=Cookies(settings.cookies),
        providers=(providers := Providers(api, settings.oidc)),
        access=AccessTokens(api, providers, settings.rest),
        streams=Streams(settings.streams),
        assets=assets,
        templates=environment(assets),
    )


def make_app(site: Site) -> ASGIApp:
    """The application that answers browsers."""

    async def health(_: Request) -> Response:
        frontend = "reachable" if site.house.is_current else "away"
        return JSONResponse({"status": "serving", "frontend": frontend})

    async def readiness(_: Request) -> Response:
        found = site.house.readiness()
        return JSONResponse(found, 200 if found["ready"] else 503)

    async def back_channel_logout(request: Request) -> Response:
        return await sign_in.back_channel_logout(site, request)

    async def wrong(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        text = {404: "not_found", 413: "too_large"}.get(error.status_code, "bad_request")
        visit = Visit(site, request)
        return visit.problem(error.status_code, visit.texts(text))

    app = Starlette(
        routes=[
            Route("/healthz", health),
            Route("/readyz", readiness),
            Route("/assets/{name:path}", site.assets.respond),
            # Providers are of another origin, and bring no cookie.
            Route("/oidc/back-channel-logout", back_channel_logout, methods=["POST"]),
            *rest_routes(site),
            *(
                Route(path, _endpoint(site, handler, needs_login=needs_login), methods=[method])
                for needs_login, routes in (
                    (False, _open_routes()),
                    (True, (*_member_routes(), *_admin_routes())),
                )
                for method, path, handler in routes
            ),
        ],
        exception_handlers={HTTPException: wrong},
    )
    outer: ASGIApp = SecurityHeaders(app)
    if site.tracer.is_on:
        outer = RequestSpans(outer, site.tracer)
    if site.settings.metrics.address is not None:
        outer = RequestMetrics(outer, site.metrics)
    proxies = site.settings.http.proxies
    return ProxyHeadersMiddleware(outer, list(proxies)) if proxies else outer  # type: ignore[arg-type,return-value]


def _open_routes() -> Sequence[tuple[str, str, Handler]]:
    """Method, path and handler of every page that needs no login."""
    home = Home()
    return (
        ("GET", "/", home.show),
        ("GET", "/events", home.follow),
        ("GET", "/machines/{machine}/{slot}", drops.show_slot),
        ("GET", "/pictures/{item}", pictures.show),
        ("GET", "/drops/{drop}/events", drops.follow),
        ("GET", "/kiosk", kiosk.show),
        ("GET", "/kiosk/events", kiosk.follow),
        ("POST", "/kiosk/pair", kiosk.pair),
        ("POST", "/kiosk/login", kiosk.log_in),
        ("POST", "/kiosk/logout", kiosk.log_out),
        ("POST", "/kiosk/drops", kiosk.buy),
        ("POST", "/kiosk/cancel", kiosk.cancel),
        ("GET", "/login", login.show),
        ("POST", "/login", login.log_in),
        ("POST", "/logout", login.log_out),
        ("GET", "/signed-out", sign_in.show_signed_out),
        ("GET", "/oidc/login/{provider}", sign_in.begin),
        ("GET", "/oidc/callback/{provider}", sign_in.finish),
        ("GET", "/oidc/logout", sign_in.leave),
    )


def _member_routes() -> Sequence[tuple[str, str, Handler]]:
    """Method, path and handler of every page that sends visitors to the login."""
    return (
        ("POST", "/favourites", favourites.change),
        ("POST", "/drops", drops.buy),
        ("GET", "/drops/find", drops.find),
        ("GET", "/drops/{drop}", drops.show),
        ("POST", "/drops/{drop}/cancel", drops.cancel),
        ("GET", "/history", history.show_drops),
        ("GET", "/history/credits", history.show_credits),
        ("GET", "/history.csv", history.export_drops),
        ("GET", "/statistics", statistics.show),
        ("POST", "/statistics/ranking", statistics.change_ranked),
        ("GET", "/account", account.show),
        ("POST", "/account/send", account.send),
        ("POST", "/account/password", account.change_password),
        ("POST", "/account/language", account.change_language),
        ("GET", "/account/devices", devices.show),
        ("POST", "/account/devices", devices.change),
    )


def _admin_routes() -> Sequence[tuple[str, str, Handler]]:
    """Method, path and handler of every page of administrators; the frontend refuses others."""
    return (
        ("GET", "/admin", admin.show_today),
        ("GET", "/admin/alarms", alarms.show),
        ("POST", "/admin/alarms/{alarm}", alarms.change),
        ("GET", "/admin/drops/{drop}", admin.show_drop),
        ("POST", "/admin/drops/{drop}/decide", admin.decide),
        ("POST", "/admin/drops/{drop}/refund", admin.refund),
        ("GET", "/admin/events", events.show),
        ("GET", "/admin/events/stream", events.follow),
        ("GET", "/admin/items", items.show_list),
        ("POST", "/admin/items", items.make),
        ("GET", "/admin/items/{item}", items.show),
        ("POST", "/admin/items/{item}", items.change),
        ("POST", "/admin/items/{item}/picture", items.change_picture),
        ("GET", "/admin/kiosks", kiosks.show),
        ("GET", "/admin/kiosks/{kiosk}", kiosks.show),
        ("POST", "/admin/kiosks", kiosks.change),
        ("GET", "/admin/restock", restock.show),
        ("POST", "/admin/restock/{machine}", restock.put_in),
        ("GET", "/admin/machines", machines.show_list),
        ("POST", "/admin/machines", machines.make),
        ("GET", "/admin/machines/{machine}", machines.show),
        ("POST", "/admin/machines/{machine}", machines.change),
        ("POST", "/admin/machines/{machine}/token", machines.change_token),
        ("POST", "/admin/machines/{machine}/slots", slots.make),
        ("GET", "/admin/machines/{machine}/{slot}", slots.show),
        ("POST", "/admin/machines/{machine}/{slot}", slots.change),
        ("POST", "/admin/machines/{machine}/{slot}/remove", slots.remove),
        ("POST", "/admin/machines/{machine}/{slot}/count", restock.count),
        ("GET", "/admin/statistics", statistics.show_month),
        ("GET", "/admin/users", users.show_users),
        ("POST", "/admin/users", users.make),
        ("GET", "/admin/users/{user}", users.show_user),
        ("POST", "/admin/users/{user}", users.change),
    )


def _endpoint(
    site: Site, handler: Handler, *, needs_login: bool
) -> Callable[[Request], Awaitable[Response]]:
    """A handler whose errors become pages.

    Args:
        site: What all requests share.
        handler: Answers a request.
        needs_login: Whether a visitor is sent to the login instead.
    """

    async def endpoint(request: Request) -> Response:
        visit = Visit(site, request)
        if not is_same_origin(request.method, request.headers):
            return visit.problem(403, visit.texts("cross_site"))
        try:
            if needs_login and visit.login is None:
                return visit.log_in_first()
            return await handler(visit)
        except PageError as error:
            return visit.problem(error.status, visit.texts(error.text))
        except CallError as error:
            return _refused(visit, error)
        except Exception:
            incident = secrets.token_hex(6)
            facts = {"incident": incident, "route": handler.__qualname__}
            _log.exception("request_failed", extra={"facts": facts})
            return visit.problem(500, visit.texts("fault", incident=incident))

    return endpoint


def _refused(visit: Visit, error: CallError) -> Response:
    """The page of a call that the frontend did not carry out."""
    if error.is_logged_out:
        return visit.log_in_first(ended=True)
    if error.is_away:
        refresh_s = RELOAD_S if visit.request.method == "GET" else 0
        return visit.page("away.html", 503, current=False, refresh_s=refresh_s)
    # An address that is read with GET and names nothing that could exist.
    is_nowhere = visit.request.method == "GET" and error.reason == "FIELD_INVALID"
    if error.status == "NOT_FOUND" or is_nowhere:
        return visit.problem(404, visit.texts("not_found"))
    if error.status == "UNIMPLEMENTED":
        return visit.problem(502, visit.texts("version"))
    if error.status in ("INTERNAL", "UNKNOWN"):
        incident = error.facts.get("incident", secrets.token_hex(6))
        _log.error("call_failed", extra={"facts": {"incident": incident, "error": str(error)}})
        return visit.problem(502, visit.texts("fault", incident=incident))
    statuses = {"RESOURCE_EXHAUSTED": 429, "PERMISSION_DENIED": 403, "INVALID_ARGUMENT": 400}
    is_for_admins = error.reason == "NOT_OWNER" and visit.request.url.path.startswith("/admin")
    text = visit.texts("ADMIN_REQUIRED") if is_for_admins else visit.refusal(error)
    return visit.problem(statuses.get(error.status, 409), text)


class _Server(uvicorn.Server):
    """Leaves signals to this program: uvicorn would raise them again at its end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Does nothing."""
        yield


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        ConfigError: a file that the settings name cannot be used.
        OSError: the port cannot be listened on.
    """
    site = make_site(settings)
    http = settings.http
    server = _Server(
        uvicorn.Config(
            make_app(site),
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            lifespan="off",
            ws="none",
            loop="asyncio",
            limit_concurrency=http.connections_max,
            timeout_keep_alive=http.idle_limit_s,
            timeout_graceful_shutdown=settings.shutdown.limit_s,
        )
    )

    def stop() -> None:
        site.streams.close()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    works = [asyncio.create_task(work.run()) for work in (site.house, Monitoring(site))]
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(site.house.known.wait(), FIRST_WATCH_LIMIT_S)
        with _listening(http.address, http.port) as listener:
            port = listener.getsockname()[1]
            _log.info("serving", extra={"facts": {"address": http.address, "port": port}})
            await server.serve([listener])
        _log.info("stopped")
    finally:
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        await site.api.close()
        await site.tracer.close()


def _listening(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=512)
