"""The port of the metrics: what it answers, and what slow and greedy clients meet."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from drink_web.metrics.instruments import Metrics
from drink_web.metrics.port import REQUEST_BYTES_MAX, MetricsPort
from drink_web.metrics.settings import MetricsSettings
from tests.support.ports import free_port
from tests.support.tasks import cancel

LIMIT_S = 30.0
GET = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n"


class Rig:
    """Metrics on a free port, and a measurement that counts how often it is made."""

    def __init__(self, samples: int = 1, **settings: Any) -> None:
        self._samples = samples
        self.times = 0
        metrics = Metrics()
        metrics.registry.register(self)
        # It collects once at the registration, to know the names.
        self.times = 0
        self._registry = metrics.registry
        chosen = {"listen": "127.0.0.1:0", "request_limit_s": 60, "interval_s": 0, **settings}
        self.server = MetricsPort(MetricsSettings(**chosen), metrics)

    def collect(self) -> Iterator[Metric]:
        self.times += 1
        family = GaugeMetricFamily("drink_test", "A test.", labels=("number",))
        for number in range(self._samples):
            family.add_metric((str(number),), self.times)
        yield family

    @property
    def refused(self) -> float | None:
        return self._registry.get_sample_value("drink_web_scrapes_refused_total")

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.005)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    async def ask(self, request: bytes = GET) -> tuple[str, str, bytes]:
        """Status, headers and body of an answer."""
        reader, writer = await self.connect()
        writer.write(request)
        async with asyncio.timeout(LIMIT_S):
            answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        status, _, headers = head.decode().partition("\r\n")
        return status, headers, body


@asynccontextmanager
async def serving(samples: int = 1, **settings: Any) -> AsyncIterator[Rig]:
    rig = Rig(samples, **settings)
    running = asyncio.create_task(rig.server.run())
    try:
        await rig.until(lambda: rig.server.port)
        yield rig
    finally:
        await cancel(running)


async def test_the_text_is_that_of_prometheus() -> None:
    async with serving(1_000) as rig:
        status, headers, body = await rig.ask()
    assert status == "HTTP/1.1 200 OK"
    assert "Content-Type: text/plain; version=0.0.4; charset=utf-8" in headers
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert len(families["drink_test"].samples) == 1_000
    assert "drink_web_scrapes_refused" in families


async def test_scrapes_of_a_short_time_share_one_text() -> None:
    async with serving(interval_s=60, connections_max=100) as rig:
        answers = await asyncio.gather(*(rig.ask() for _ in range(20)))
    assert rig.times == 1
    assert len({body for _, _, body in answers}) == 1


async def test_a_new_text_is_made_after_the_interval() -> None:
    async with serving() as rig:
        for _ in range(3):
            await rig.ask()
    assert rig.times == 3


async def test_only_the_metrics_are_served() -> None:
    async with serving() as rig:
        assert (await rig.ask(b"GET / HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 404 Not Found"
        posted = await rig.ask(b"POST /metrics HTTP/1.1\r\n\r\n")
        assert posted[0] == "HTTP/1.1 405 Method Not Allowed"
        status, headers, body = await rig.ask(b"HEAD /metrics?x=1 HTTP/1.1\r\n\r\n")
        assert (status, body) == ("HTTP/1.1 200 OK", b"")
        assert int(headers.partition("Content-Length: ")[2].partition("\r\n")[0]) > 0
        assert (await rig.ask(b"\x00\xff\r\n\r\n"))[0] == "HTTP/1.1 405 Method Not Allowed"


async def test_a_client_that_says_nothing_is_cut() -> None:
    # The second client must be faster.
    async with serving(request_limit_s=1) as rig:
        reader, writer = await rig.connect()
        async with asyncio.timeout(LIMIT_S):
            assert await reader.read() == b""
        writer.close()
        await rig.until(lambda: rig.refused == 1)
        assert (await rig.ask())[0] == "HTTP/1.1 200 OK"


async def test_a_request_without_end_is_cut() -> None:
    async with serving() as rig:
        reader, writer = await rig.connect()
        writer.write(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 2 * REQUEST_BYTES_MAX)
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(reader.read(), return_exceptions=True)
        writer.close()
        await rig.until(lambda: rig.refused == 1)


async def test_a_client_that_does_not_read_is_cut() -> None:
    # More than the buffers of both ends of a connection take.
    async with serving(200_000, request_limit_s=0.2) as rig:
        _, writer = await rig.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET)
        await rig.until(lambda: rig.refused == 1)
        writer.transport.abort()


async def test_more_connections_than_the_limit_are_refused_at_once() -> None:
    async with serving(connections_max=2) as rig:
        held = [await rig.connect() for _ in range(2)]
        reader, writer = await rig.connect()
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(reader.read(), return_exceptions=True)
        writer.close()
        await rig.until(lambda: rig.refused == 1)
        for _, other in held:
            other.close()
        await rig.until(lambda: not rig.server._open)
        assert (await rig.ask())[0] == "HTTP/1.1 200 OK"


async def test_a_port_that_is_taken_is_tried_again() -> None:
    port = free_port()
    holder = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    rig = Rig(listen=f"127.0.0.1:{port}", retry_interval_s=0.05)
    running = asyncio.create_task(rig.server.run())
    await asyncio.sleep(0.1)
    assert rig.server.port is None
    holder.close()
    await holder.wait_closed()
    await rig.until(lambda: rig.server.port == port)
    await cancel(running)


async def test_nothing_is_served_where_no_address_is_set() -> None:
    rig = Rig(listen="")
    await asyncio.wait_for(rig.server.run(), LIMIT_S)
    assert rig.server.port is None
