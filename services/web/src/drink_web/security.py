"""What every answer carries, and which requests may change anything.

A page may only be changed by a page of the same origin. Browsers say with `Sec-Fetch-Site` where a
request comes from; those that do not, over plain HTTP for example, send `Origin` with every POST.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""No code or style but from files of this origin, none inline."""

HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # Not no-referrer: with it browsers send `Origin: null` with this page's own forms.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Headers of every answer."""

STRICT_TRANSPORT = "max-age=31536000"
"""Over HTTPS: a year of nothing but HTTPS."""

SAFE_METHODS = ("GET", "HEAD")


def is_same_origin(method: str, headers: Headers) -> bool:
    """Whether a request comes from a page of this origin, or changes nothing."""
    if method in SAFE_METHODS:
        return True
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin", "")
    # The scheme is left out: behind a proxy this process may not know its own.
    return bool(origin) and urlsplit(origin).netloc == headers.get("host")


class SecurityHeaders:
    """Adds the headers to every answer; answers that do not say otherwise are not stored.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("cache-control", "no-store")
                if scope["scheme"] == "https":
                    headers["strict-transport-security"] = STRICT_TRANSPORT
            await send(message)

        await self._app(scope, receive, send_with_headers)
