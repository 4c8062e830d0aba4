"""One request of a browser: its login, its language, and the responses to it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink_web import views
from drink_web.access import AccessTokens
from drink_web.api import Api, Metadata
from drink_web.assets import Assets
from drink_web.cookies import Cookies, Login
from drink_web.errors import CallError, PageError
from drink_web.forms import read_form, read_upload
from drink_web.house import House
from drink_web.metrics.instruments import Metrics
from drink_web.providers import Providers
from drink_web.settings import Settings
from drink_web.spans.tracer import Tracer
from drink_web.streams import SILENT_HEARTBEATS, StreamResponse, Streams
from drink_web.texts import TEXTS, Texts, preferred


def environment(assets: Assets) -> Environment:
    """The environment of the templates; all values put into a template are escaped."""
    made = Environment(
        loader=PackageLoader("drink_web"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(asset=assets.url, utc=views.utc, request_id=views.request_id, hue=views.hue)
    return made


@dataclass(frozen=True, slots=True)
class Site:
    """What all requests share."""

    settings: Settings
    metrics: Metrics
    tracer: Tracer
    api: Api
    house: House
    cookies: Cookies
    providers: Providers
    access: AccessTokens
    streams: Streams
    assets: Assets
    templates: Environment


def address_of(request: Request) -> str:
    """The IP address that a request comes from; empty if it is not known."""
    return request.client.host if request.client else ""


class Visit:
    """One request.

    Args:
        site: What all requests share.
        request: The request.
    """

    def __init__(self, site: Site, request: Request) -> None:
        self.site = site
        self.request = request
        self.account: accounts.Account | None = None
        """The caller's account; None until `look_up_account` has read it."""
        self._prefers_anew = False

    @cached_property
    def login(self) -> Login | None:
        """The login from the request's cookie; None if nobody is logged in."""
        return self.site.cookies.read(self.request)

    @cached_property
    def texts(self) -> Texts:
        """The texts in the language that the account prefers, or else the browser."""
        wished = preferred(self.login.language, default="") if self.login else ""
        return TEXTS[wished or preferred(self.request.headers.get("accept-language", ""))]

    @property
    def address(self) -> str:
        """The browser's IP address; empty if it is not known."""
        return address_of(self.request)

    @property
    def caller(self) -> Metadata:
        """The metadata of calls: the token of the login and the browser's address."""
        return self.site.api.caller(self.login.token if self.login else "", self.address)

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters of the URL."""
        return self.request.query_params

    async def call(self, method: Any, request: Any) -> Any:
        """Calls the frontend for this browser and returns the response.

        Raises:
            CallError: the frontend refused, or did not answer in time.
        """
        return await self.site.api.call(method, request, self.caller)

    def prefer(self, language: str) -> None:
        """Speaks the language that the account prefers, and keeps it in the login's cookie.

        Args:
            language: Tag of BCP 47; empty for the language of the browser.
        """
        if self.login is not None and self.login.language != language:
            self.login = replace(self.login, language=language)
            self._prefers_anew = True
            self.__dict__.pop("texts", None)

    async def look_up_account(self) -> None:
        """Reads the caller's account into `account`, if somebody is logged in.

        Raises:
            CallError: the login is no longer valid, or the frontend does not answer.
        """
        if self.login is not None:
            method = self.site.api.accounts.GetAccount
            answer = await self.call(method, accounts.GetAccountRequest())
            self.account = answer.account

    async def require_admin(self) -> None:
        """Reads the caller's account, and refuses it unless it is an administrator's.

        Raises:
            PageError: the caller is no administrator.
            CallError: the login is no longer good, or the frontend does not answer.
        """
        await self.look_up_account()
        if self.account is None or not self.account.admin:
            raise PageError(403, "admin_only")

    def drop_view(self, drop: drops.Drop, *, is_late: bool = False) -> views.DropView:
        """The view of a drop, with the present state of its machine."""
        machine = self.site.house.machines.get(views.machine_of(drop.slot))
        return views.drop_view(drop, machine, self.now(), is_late=is_late)

    def slot_view(self, *, is_current: bool) -> tuple[views.MachineView, views.Tile]:
        """The views of the machine and the slot that the path names.

        Args:
            is_current: As for `views.machine_view`.

        Raises:
            PageError: there is no such slot.
        """
        path = self.request.path_params
        machine = self.site.house.machines.get(f"machines/{path['machine']}")
        if machine is not None:
            view = views.machine_view(machine, is_current=is_current)
            for tile in view.tiles:
                if tile.number == path["slot"]:
                    return view, tile
        raise PageError(404, "not_found")

    async def form(self) -> Mapping[str, str]:
        """The fields of the posted form.

        Raises:
            PageError: the body is no form, too large, or does not arrive in time.
        """
        http = self.site.settings.http
        return await read_form(
            self.request, bytes_max=http.body_bytes_max, limit_s=http.body_limit_s
        )

    async def upload(self, name: str) -> tuple[Mapping[str, str], bytes]:
        """The fields and the file of the posted form; see `read_upload`.

        Args:
            name: Of the field with the file.

        Raises:
            PageError: the body is no form, too large, or does not arrive in time.
        """
        limits = self.site.settings.pictures
        return await read_upload(
            self.request, name, bytes_max=limits.upload_bytes_max, limit_s=limits.upload_limit_s
        )

    def render(self, template: str, **facts: Any) -> str:
        """Renders a template to HTML."""
        return self.site.templates.get_template(template).render(
            t=self.texts, login=self.login, account=self.account, **facts
        )

    def page(self, template: str, status: int = 200, **facts: Any) -> Response:
        """A response with a whole page."""
        shared = {
            "here": "",
            "refresh_s": 0,
            "current": self.site.house.is_current,
            "silent_ms": int(self.site.settings.streams.heartbeat_s * SILENT_HEARTBEATS * 1_000),
        }
        html = self.render(template, **shared | facts)
        response = HTMLResponse(html, status, headers={"vary": "Accept-Language, Cookie"})
        return self._with_login(response)

    def problem(self, status: int, text: str, title: str = "", **facts: Any) -> Response:
        """A response with an error page."""
        heading = title or self.texts("refused_title")
        return self.page("problem.html", status, title=heading, text=text, **facts)

    def redirect(self, path: str) -> Response:
        """A response that redirects the browser to a path (303)."""
        return self._with_login(RedirectResponse(path, 303))

    def leave(self, url: str) -> Response:
        """A response that redirects the browser to an OpenID provider (303)."""
        return RedirectResponse(url, 303)

    def _with_login(self, response: Response) -> Response:
        if self._prefers_anew and self.login is not None:
            self.site.cookies.write(self.request, response, self.login)
        return response

    def log_in_first(self, *, ended: bool = False) -> Response:
        """A redirect to the login page, which leads back; clears the cookie of an ended login."""
        path = self.request.url.path if self.request.method == "GET" else "/"
        response = self.redirect(f"/login?next={quote(path)}{'&ended=1' if ended else ''}")
        if ended:
            self.site.cookies.clear(self.request, response)
        return response

    def stream(self, messages: Any) -> Response:
        """A response that stays open and sends `messages` as server-sent events."""
        key = self.login.key if self.login else ""
        return StreamResponse(self.site.streams, messages, self.address, key)

    def refusal(self, error: CallError) -> str:
        """The text for a person about why the frontend refused a call."""
        if self.texts.has(error.reason):
            facts = {"price": "?", "available": "?"} | error.facts
            return self.texts(error.reason, **facts)
        return self.texts("refused_other", reason=error.reason or error.status)

    @staticmethod
    def now() -> datetime:
        """The time in UTC."""
        return datetime.now(UTC)
