"""Serves the text of the metrics over HTTP, within limits that a slow or greedy reader meets.

It is HTTP/1.1 with one answer for each connection, which is all that Prometheus needs. The web
server of the page has no limit of the time in which a request has to arrive, nor its answer to be
read, and refuses above its limits only after that.
"""

import asyncio
import logging
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from drink_web.metrics.settings import MetricsSettings

REQUEST_BYTES_MAX = 8_192
"""Largest request with its headers; a scraper sends some hundred bytes."""

PATH = "/metrics"
"""Where the text is."""

_log = logging.getLogger(__name__)


class Served(Protocol):
    """What is served.

    Attributes:
        registry: Where the metrics are collected.
    """

    registry: CollectorRegistry

    def scrape_refused(self) -> None:
        """Counts a connection that was refused or cut."""


class MetricsPort:
    """The port of the metrics.

    Args:
        settings: Address and limits.
        metrics: What is served.

    Attributes:
        port: The port, while it listens; None otherwise.
    """

    def __init__(self, settings: MetricsSettings, metrics: Served) -> None:
        self.port: int | None = None
        self._settings = settings
        self._metrics = metrics
        self._open: set[asyncio.Task[None]] = set()
        self._made_at = float("-inf")
        self._text = b""

    def text(self) -> bytes:
        """The metrics in Prometheus' text format, at most `interval_s` old."""
        now = asyncio.get_running_loop().time()
        if now - self._made_at >= self._settings.interval_s:
            self._text = generate_latest(self._metrics.registry)
            self._made_at = now
        return self._text

    async def run(self) -> None:
        """Serves until cancelled; a port that is taken is tried again."""
        address = self._settings.address
        if address is None:
            return
        while True:
            try:
                server = await asyncio.start_server(
                    self._take, *address, limit=REQUEST_BYTES_MAX, backlog=16
                )
            except OSError as error:
                facts = {"listen": self._settings.listen, "error": str(error)}
                _log.warning("metrics_not_listening", extra={"facts": facts})
                await asyncio.sleep(self._settings.retry_interval_s)
                continue
            self.port = server.sockets[0].getsockname()[1]
            where = {"address": address[0], "port": self.port}
            _log.info("metrics_listening", extra={"facts": where})
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
            self._metrics.scrape_refused()
            writer.transport.abort()
            return
        self._open.add(task)
        try:
            async with asyncio.timeout(self._settings.request_limit_s):
                request = await reader.readuntil(b"\r\n\r\n")
            async with asyncio.timeout(self._settings.request_limit_s):
                # So that `drain` returns when all of it has left.
                writer.transport.set_write_buffer_limits(0)
                writer.write(self._answer(request))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self._metrics.scrape_refused()
        finally:
            self._open.discard(task)
            writer.transport.abort()

    def _answer(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"only GET and HEAD\n", "Allow: GET, HEAD")
        if path != PATH.encode():
            return _response("404 Not Found", f"see {PATH}\n".encode())
        kind = f"Content-Type: {CONTENT_TYPE_PLAIN_0_0_4}"
        return _response("200 OK", self.text(), kind, with_body=method == b"GET")


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
