"""Signing in and out with OpenID providers.

A login begins by a link, which changes nothing but a cookie of the browser's own; so the policy for
forms stays `self`. The provider's answer counts only in the browser that began, once, and only from
the provider with which it began.
"""

import hmac
import logging
from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from drink.v1 import account_service_pb2 as pb
from drink_web.cookies import AGE_MAX_S, COOKIE_BYTES_MAX, Attempts, Login, SignedIn
from drink_web.errors import CallError, PageError
from drink_web.forms import local_path, read_form
from drink_web.pages.favourites import prefer_language
from drink_web.providers import ATTEMPT_AGE_MAX_S, Attempt, ProviderError, TooManyCodesError
from drink_web.visit import Site, Visit, address_of

_log = logging.getLogger(__name__)

ATTEMPTS, SIGNED_IN = "-signing-in", "-signed-in"
"""Suffixes of the names of cookies."""

ATTEMPTS_MAX = 4
"""Logins that a browser may have begun at once, in as many tabs; the oldest is forgotten."""

ID_TOKEN_MAX = COOKIE_BYTES_MAX * 3 // 4 - 200
"""Characters of the longest ID token that fits into a cookie, encrypted."""

CODE_MAX = 4_096
"""Characters of the longest code."""


async def begin(visit: Visit) -> Response:
    """GET /oidc/login/{provider}: sends the browser to the provider."""
    goal = local_path(visit.query.get("next", "/"))
    if visit.login is not None:
        return visit.redirect(goal)
    provider = await _provider(visit)
    if not provider.reachable or not provider.authorization_endpoint:
        return _problem(visit, 503, "provider_away", provider)
    attempt = Attempt.new(provider.name, goal)
    begun = [*_begun(visit), attempt][-ATTEMPTS_MAX:]
    response = visit.leave(visit.site.providers.begin(provider, attempt))
    _keep(visit, response, begun)
    return response


async def finish(visit: Visit) -> Response:
    """GET /oidc/callback/{provider}: the provider has sent the browser back."""
    provider = await _provider(visit)
    begun = _begun(visit)
    state = visit.query.get("state", "")
    attempt = next((each for each in begun if _is_same(each.state, state)), None)
    if attempt is None or attempt.provider != provider.name:
        # Nobody began this here: a second use, an old page, or somebody else's login.
        if visit.login is not None:
            return visit.redirect("/")
        return _problem(visit, 400, "sign_in_lost", provider)
    visit.login = None
    response = await _finish(visit, provider, attempt)
    _keep(visit, response, [each for each in begun if each is not attempt])
    return response


async def _finish(visit: Visit, provider: pb.SignInProvider, attempt: Attempt) -> Response:
    issuer = visit.query.get("iss", "")
    if (issuer or provider.names_issuer) and issuer != provider.issuer:
        # The answer of another provider: RFC 9207.
        _refuse("issuer", provider)
        return _problem(visit, 400, "sign_in_refused", provider)
    code = visit.query.get("code", "")
    if "error" in visit.query or not 1 <= len(code) <= CODE_MAX:
        _refuse("error" if "error" in visit.query else "code", provider)
        return _problem(visit, 403, "sign_in_refused", provider)
    try:
        tokens = await visit.site.providers.exchange(provider, attempt, code, visit.address)
    except (ProviderError, TooManyCodesError) as error:
        return _no_tokens(visit, provider, error)
    credentials = pb.OidcCredentials(
        provider=provider.name,
        id_token=tokens["id_token"],
        nonce=attempt.nonce,
        access_token=tokens.get("access_token", ""),
    )
    request = pb.LoginRequest(oidc=credentials, display_name=visit.texts("page_login"))
    caller = visit.site.api.caller(address=visit.address)
    try:
        answer = await visit.site.api.call(visit.site.api.accounts.Login, request, caller)
    except CallError as error:
        return _not_logged_in(visit, provider, error)
    visit.login = Login(answer.token, answer.account.name, answer.account.admin)
    await prefer_language(visit)
    response = visit.redirect(attempt.goal)
    visit.site.cookies.write(visit.request, response, visit.login)
    kept = tokens["id_token"] if len(tokens["id_token"]) <= ID_TOKEN_MAX else ""
    visit.site.cookies.write_as(
        SignedIn(provider.name, kept), visit.request, response, SIGNED_IN, AGE_MAX_S
    )
    return response


async def show_signed_out(visit: Visit) -> Response:
    """GET /signed-out: after a logout, the way to sign out at the provider as well."""
    signed_in = signed_in_with(visit)
    if visit.login is not None or signed_in is None:
        return visit.redirect("/")
    provider = await visit.site.providers.named(signed_in.provider)
    if provider is None:
        return visit.redirect("/")
    return visit.page("signed_out.html", here="login", provider=provider)


async def leave(visit: Visit) -> Response:
    """GET /oidc/logout: sends the browser to sign out at the provider; the login here has ended."""
    signed_in = signed_in_with(visit)
    if visit.login is not None or signed_in is None:
        return visit.redirect("/")
    provider = await visit.site.providers.named(signed_in.provider)
    url = "" if provider is None else visit.site.providers.leave(provider, signed_in.id_token)
    response = visit.leave(url) if url else visit.redirect("/")
    visit.site.cookies.clear(visit.request, response, SIGNED_IN)
    return response


def signed_in_with(visit: Visit) -> SignedIn | None:
    """The provider at which the browser has signed in; None if it has not."""
    return visit.site.cookies.read_as(SignedIn, visit.request, SIGNED_IN, AGE_MAX_S)


async def back_channel_logout(site: Site, request: Request) -> Response:
    """POST /oidc/back-channel-logout: a provider ends logins, by a token that only it can make.

    Source: OpenID Connect Back-Channel Logout 1.0, sections 2.5 and 2.8.
    """
    http = site.settings.http
    wrong = {"error": "invalid_request"}
    try:
        form = await read_form(request, bytes_max=http.body_bytes_max, limit_s=http.body_limit_s)
        token = form.get("logout_token", "")
        if token:
            await site.api.call(
                site.api.accounts.EndProviderSessions,
                pb.EndProviderSessionsRequest(logout_token=token),
                site.api.caller(address=address_of(request)),
            )
            return Response(status_code=200)
    except PageError as error:
        return JSONResponse(wrong, error.status)
    except CallError as error:
        if error.is_away:
            return JSONResponse({"error": "temporarily_unavailable"}, 503)
        if error.status == "RESOURCE_EXHAUSTED":
            return JSONResponse(wrong, 429, headers={"retry-after": str(max(1, error.retry_s))})
    return JSONResponse(wrong, 400)


async def _provider(visit: Visit) -> pb.SignInProvider:
    found = await visit.site.providers.named(visit.request.path_params["provider"])
    if found is None:
        raise PageError(404, "not_found")
    return found


def _begun(visit: Visit) -> Sequence[Attempt]:
    kept = visit.site.cookies.read_as(Attempts, visit.request, ATTEMPTS, ATTEMPT_AGE_MAX_S)
    packed = kept.begun if kept is not None else ()
    return [each for each in map(Attempt.unpacked, packed) if each is not None]


def _keep(visit: Visit, response: Response, begun: Sequence[Attempt]) -> None:
    if not begun:
        visit.site.cookies.clear(visit.request, response, ATTEMPTS)
        return
    kept = Attempts([each.packed() for each in begun])
    visit.site.cookies.write_as(kept, visit.request, response, ATTEMPTS, ATTEMPT_AGE_MAX_S)


def _is_same(kept: str, sent: str) -> bool:
    return hmac.compare_digest(kept.encode(), sent.encode("utf-8", "replace"))


def _refuse(why: str, provider: pb.SignInProvider) -> None:
    _log.warning("sign_in_refused", extra={"facts": {"provider": provider.name, "why": why}})


def _no_tokens(
    visit: Visit, provider: pb.SignInProvider, error: ProviderError | TooManyCodesError
) -> Response:
    """The page of a login for which the provider gave no tokens."""
    if isinstance(error, TooManyCodesError):
        return _problem(visit, 429, "login_wait", provider, n=error.retry_s)
    _refuse(str(error), provider)
    if error.is_away:
        return _problem(visit, 503, "provider_away", provider)
    return _problem(visit, 403, "sign_in_refused", provider)


def _not_logged_in(visit: Visit, provider: pb.SignInProvider, error: CallError) -> Response:
    """The page of a login that the frontend refused."""
    if error.status == "RESOURCE_EXHAUSTED":
        return _problem(visit, 429, "login_wait", provider, n=max(error.retry_s, 1))
    if error.reason == "PROVIDER_UNAVAILABLE":
        return _problem(visit, 503, "provider_away", provider)
    if error.is_away:
        return _problem(visit, 503, "away", provider)
    texts = {
        "IDENTITY_NOT_LINKED": "sign_in_not_linked",
        "NOT_A_MEMBER": "sign_in_no_member",
        "ACCOUNT_CLOSED": "sign_in_closed",
    }
    text = texts.get(error.reason, "sign_in_refused")
    return _problem(visit, 403, text, provider, subject=error.facts.get("subject", "?"))


def _problem(
    visit: Visit, status: int, text: str, provider: pb.SignInProvider, **facts: object
) -> Response:
    again = f"/oidc/login/{provider.name}?{urlencode({'next': '/'})}"
    sentence = visit.texts(text, provider=provider.display_name, **facts)
    return visit.page(
        "sign_in_problem.html", status, here="login", text=sentence, again=again, provider=provider
    )
