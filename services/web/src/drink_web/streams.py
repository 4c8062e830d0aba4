"""Server-sent event streams to browsers, and the limits of their number."""

import asyncio
import contextlib
import ipaddress
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from drink_web.settings import StreamSettings

HEARTBEAT = "event: beat\ndata:\n\n"
"""Shows proxies and this process whether the browser is still there, and the browser whether the
stream is."""

SILENT_HEARTBEATS = 3
"""Heartbeats without a message after which a browser opens the stream again."""


DRAWING_SHARE = 0.05
"""Share of one core that drawing for streams may take for long. Above it browsers see changes
later, so that they cost the frontend on the same computer no drops."""

DRAWING_BURST_S = 0.25
"""Seconds of drawing that need not wait: one change of a machine for a thousand browsers."""


class Pace:
    """Spreads the drawing for all streams, in the order in which they ask.

    Who waits draws what is newest then, so that a busy house is shown less often and never late.

    Args:
        share: Share of one core that drawing may take for long.
        burst_s: Seconds of drawing that need not wait.
    """

    def __init__(self, share: float = DRAWING_SHARE, burst_s: float = DRAWING_BURST_S) -> None:
        self._share = share
        self._burst_s = burst_s
        self._left_s = burst_s
        self._at = time.monotonic()
        self._turn = asyncio.Lock()

    async def turn(self) -> None:
        """Waits until there is time to draw."""
        async with self._turn:
            await asyncio.sleep(self._missing_s())

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Counts the time that is spent while the context lasts, in which nothing is awaited."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._left_s -= time.perf_counter() - began

    def _missing_s(self) -> float:
        """Seconds until there is time to draw; 0 if there is some."""
        now = time.monotonic()
        gained_s = (now - self._at) * self._share
        self._left_s = min(self._left_s + gained_s, self._burst_s)
        self._at = now
        return max(0.0, -self._left_s / self._share)


class TooManyStreamsError(Exception):
    """A limit of open streams is reached."""


class Streams:
    """Counts the open streams, and ends them all when the process stops.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings
        self._open: Counter[str] = Counter()
        self._closing = asyncio.Event()
        self.pace = Pace()
        """Of the drawing for all streams."""

    def close(self) -> None:
        """Ends every stream; browsers connect again, to this or another process."""
        self._closing.set()

    @property
    def count(self) -> int:
        """Number of open streams."""
        return self._open["all"]

    @property
    def browsers(self) -> int:
        """Number of logins with an open stream, and of addresses with one without a login."""
        return sum(key.startswith("browser ") for key in self._open)

    @contextmanager
    def one_more(self, address: str, login: str) -> Iterator[None]:
        """Counts one stream while the context lasts.

        Args:
            address: The browser's.
            login: Names the browser's login; empty for none.

        Raises:
            TooManyStreamsError: there are too many.
        """
        limits = {
            "all": self._settings.max,
            f"address {network(address)}": self._settings.per_address_max,
            # Counted, and limited by nothing but the number of all streams.
            f"browser {login or network(address)}": self._settings.max,
        }
        if login:
            limits[f"login {login}"] = self._settings.per_login_max
        if any(self._open[key] >= limit for key, limit in limits.items()):
            raise TooManyStreamsError
        self._open.update(limits.keys())
        try:
            yield
        finally:
            self._open.subtract(limits.keys())
            self._open += Counter()

    async def paced(self, messages: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
        """The messages, with heartbeats between them, until they end or the process stops."""
        closing = asyncio.ensure_future(self._closing.wait())
        following = asyncio.ensure_future(anext(messages, None))
        try:
            while True:
                await asyncio.wait(
                    {following, closing},
                    timeout=self._settings.heartbeat_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if following.done():
                    message = following.result()
                    if message is None:
                        return
                    yield message
                    following = asyncio.ensure_future(anext(messages, None))
                elif closing.done():
                    return
                else:
                    yield HEARTBEAT
        finally:
            closing.cancel()
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await following


def network(address: str) -> str:
    """The part of an IP address that limits count; an IPv6 host chooses the second half itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def event(data: str, name: str = "") -> str:
    """One message of a stream; with a name it is an event and not content."""
    lines = [f"event: {name}"] if name else []
    lines += [f"data: {line}" for line in data.splitlines()] or ["data:"]
    return "\n".join(lines) + "\n\n"


def partial(target: str, html: str) -> str:
    """A message that replaces the element with that id and keeps its focus."""
    return event(f'<hx-partial hx-target="#{target}" hx-swap="outerMorph">\n{html}\n</hx-partial>')


class StreamResponse(StreamingResponse):
    """A response with an event stream, counted while it is open and refused above the limits.

    Args:
        streams: Counts the open streams.
        messages: The messages of the stream.
        address: IP address of the browser.
        login: Key of the browser's login; empty without a login.
    """

    def __init__(
        self, streams: Streams, messages: AsyncGenerator[str, None], address: str, login: str
    ) -> None:
        self._streams = streams
        self._messages = messages
        self._owner = (address, login)
        super().__init__(
            streams.paced(messages),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response; see the ASGI specification."""
        async with aclosing(self._messages), aclosing(self.body_iterator):  # type: ignore[type-var]
            try:
                with self._streams.one_more(*self._owner):
                    await super().__call__(scope, receive, send)
            except TooManyStreamsError:
                await PlainTextResponse("Too many streams", 429)(scope, receive, send)
