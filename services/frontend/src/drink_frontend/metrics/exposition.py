"""Serves the text of the metrics over HTTP, within limits that a slow or greedy reader meets.

It is HTTP/1.1 with one answer for each connection, which is all that Prometheus needs. The text is
made on the event loop, family by family, so that nothing waits longer than for one family.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from copy import copy
from itertools import chain
from typing import Any, Generic, TypeVar

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from drink_frontend.metrics import health
from drink_frontend.metrics.collect import SLICE
from drink_frontend.metrics.instruments import Metrics
from drink_frontend.metrics.settings import MetricsSettings

REQUEST_BYTES_MAX = 8_192
"""Largest request with its headers; a scraper sends some hundred bytes."""

PATH = "/metrics"
"""Where the text is."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class _One(CollectorRegistry):
    """A registry of one family, as `generate_latest` wants it."""

    def __init__(self, family: Metric) -> None:
        super().__init__()
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """The family."""
        return (self._family,)


class Recent(Generic[T]):
    """A value that is made again when it is asked for and too old, by one caller at a time.

    Args:
        make: Makes it.
        interval_s: Seconds for which it is used.
    """

    def __init__(self, make: Callable[[], Awaitable[T]], interval_s: float) -> None:
        self._make = make
        self._interval_s = interval_s
        self._lock = asyncio.Lock()
        self._made_at = float("-inf")
        self._value: T

    async def get(self) -> T:
        """The value, at most `interval_s` old."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if loop.time() - self._made_at >= self._interval_s:
                self._value = await self._make()
                self._made_at = loop.time()
            return self._value


class Exposition:
    """The text of the metrics, shared by all scrapes of a short time.

    Args:
        metrics: What is counted while it happens.
        measure: Measures everything else.
        interval_s: Seconds for which a text is used.
    """

    def __init__(
        self,
        metrics: Metrics,
        measure: Callable[[], Awaitable[Iterable[Metric]]],
        interval_s: float,
    ) -> None:
        self._metrics = metrics
        self._measure = measure
        self._text = Recent(self._make, interval_s)

    async def text(self) -> bytes:
        """The metrics in Prometheus' text format, at most `interval_s` old."""
        return await self._text.get()

    async def _make(self) -> bytes:
        return await _text(self._metrics.registry.collect(), await self._measure())


async def _text(*groups: Iterable[Metric]) -> bytes:
    """All families as text, in slices between which other work of the loop goes on."""
    parts, last = [], ""
    for family in chain(*groups):
        for start in range(0, len(family.samples), SLICE):
            part = copy(family)
            part.samples = family.samples[start : start + SLICE]
            text = generate_latest(_One(part))
            # The head of a family stands once before all of its samples.
            parts.append(text if family.name != last else text.split(b"\n", 2)[2])
            last = family.name
            await asyncio.sleep(0)
    return b"".join(parts)


class MetricsServer:
    """The port of the metrics.

    Args:
        settings: Address and limits.
        text: Returns the text.
        report: Returns whether the frontend serves and why, as `health.report` does.
        refused: Called for each connection that is refused or cut.

    Attributes:
        port: The port, while it listens; None otherwise.
    """

    def __init__(
        self,
        settings: MetricsSettings,
        text: Callable[[], Awaitable[bytes]],
        report: Callable[[], Awaitable[Mapping[str, Any]]],
        refused: Callable[[], None],
    ) -> None:
        self.port: int | None = None
        self._settings = settings
        self._text = text
        self._report = report
        self._refused = refused
        self._open: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serves until cancelled; a port that is taken is tried again."""
        address = self._settings.address
        if address is None:
            await asyncio.Event().wait()
            return
        while True:
            try:
                server = await asyncio.start_server(
                    self._take, *address, limit=REQUEST_BYTES_MAX, backlog=16
                )
            except OSError as error:
                log.warning("metrics_not_listening", listen=self._settings.listen, error=str(error))
                await asyncio.sleep(self._settings.retry_interval_s)
                continue
            self.port = server.sockets[0].getsockname()[1]
            log.info("metrics_listening", address=address[0], port=self.port)
            try:
                await asyncio.Event().wait()
            finally:
                self.port = None
                server.close()
                for connection in tuple(self._open):
                    connection.cancel()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._open) >= self._settings.connections_max:
            self._refused()
            writer.transport.abort()
            return
        self._open.add(task)
        try:
            async with asyncio.timeout(self._settings.request_limit_s):
                request = await reader.readuntil(b"\r\n\r\n")
            answer = await self._answer(request)
            async with asyncio.timeout(self._settings.request_limit_s):
                # So that `drain` returns when all of it has left.
                writer.transport.set_write_buffer_limits(0)
                writer.write(answer)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self._refused()
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _answer(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"only GET and HEAD\n", "Allow: GET, HEAD")
        if path == health.PATH.encode():
            return await self._health(with_body=method == b"GET")
        if path != PATH.encode():
            return _response("404 Not Found", f"see {PATH} or {health.PATH}\n".encode())
        text = await self._text()
        kind = f"Content-Type: {CONTENT_TYPE_PLAIN_0_0_4}"
        return _response("200 OK", text, kind, with_body=method == b"GET")

    async def _health(self, with_body: bool) -> bytes:
        report = await self._report()
        serves = report["status"] == health.SERVING
        status = "200 OK" if serves else "503 Service Unavailable"
        body = json.dumps(report, indent=2).encode() + b"\n"
        return _response(status, body, "Content-Type: application/json", with_body=with_body)


def _response(status: str, body: bytes, *headers: str, with_body: bool = True) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        *(headers or ("Content-Type: text/plain; charset=utf-8",)),
        f"Content-Length: {len(body)}",
        "Connection: close",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + (body if with_body else b"")
