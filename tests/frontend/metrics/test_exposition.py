"""The port of the metrics: what it answers, and what slow and greedy clients meet."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from drink_frontend.metrics.collect import SLICE
from drink_frontend.metrics.exposition import REQUEST_BYTES_MAX, Exposition, MetricsServer
from drink_frontend.metrics.instruments import Metrics
from drink_frontend.metrics.settings import MetricsSettings
from tests.support.ports import free_port

LIMIT_S = 30.0
GET = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n"


class Counted:
    """A measurement that counts how often it is made."""

    def __init__(self, samples: int = 1) -> None:
        self.times = 0
        self._samples = samples

    async def __call__(self) -> Iterable[Metric]:
        self.times += 1
        family = GaugeMetricFamily("drink_test", "A test.", labels=("number",))
        for number in range(self._samples):
            family.add_metric((str(number),), self.times)
        return [family]


class Rig:
    """A server of metrics on a free port."""

    def __init__(self, exposition: Exposition, **settings: Any) -> None:
        self.refused = 0
        self.status = "SERVING"
        chosen = MetricsSettings(**{"listen": "127.0.0.1:0", "request_limit_s": 60, **settings})
        self.server = MetricsServer(chosen, exposition.text, self._report, self._refuse)

    async def _report(self) -> dict[str, str]:
        return {"status": self.status}

    def _refuse(self) -> None:
        self.refused += 1

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
async def serving(measure: Counted, interval_s: float = 0, **settings: Any) -> AsyncIterator[Rig]:
    rig = Rig(Exposition(Metrics(), measure, interval_s), **settings)
    running = asyncio.create_task(rig.server.run())
    try:
        await rig.until(lambda: rig.server.port)
        yield rig
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_the_text_is_that_of_prometheus() -> None:
    async with serving(Counted(samples=1_000)) as rig:
        status, headers, body = await rig.ask()
    assert status == "HTTP/1.1 200 OK"
    assert "Content-Type: text/plain; version=0.0.4; charset=utf-8" in headers
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert len(families["drink_test"].samples) == 1_000
    assert body.count(b"# TYPE drink_test gauge") == 1
    assert "drink_agent_reports" in families


async def test_scrapes_of_a_short_time_share_one_measurement() -> None:
    measure = Counted()
    async with serving(measure, interval_s=60, connections_max=100) as rig:
        answers = await asyncio.gather(*(rig.ask() for _ in range(20)))
    assert measure.times == 1
    assert len({body for _, _, body in answers}) == 1


async def test_a_new_measurement_is_made_after_the_interval() -> None:
    measure = Counted()
    async with serving(measure, interval_s=0) as rig:
        for _ in range(3):
            await rig.ask()
    assert measure.times == 3


async def test_only_the_metrics_are_served() -> None:
    async with serving(Counted()) as rig:
        assert (await rig.ask(b"GET / HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 404 Not Found"
        posted = await rig.ask(b"POST /metrics HTTP/1.1\r\n\r\n")
        assert posted[0] == "HTTP/1.1 405 Method Not Allowed"
        status, headers, body = await rig.ask(b"HEAD /metrics?x=1 HTTP/1.1\r\n\r\n")
        assert (status, body) == ("HTTP/1.1 200 OK", b"")
        assert int(headers.partition("Content-Length: ")[2].partition("\r\n")[0]) > 0
        assert (await rig.ask(b"\x00\xff\r\n\r\n"))[0] == "HTTP/1.1 405 Method Not Allowed"


async def test_the_report_is_served_with_the_status_that_fits() -> None:
    request = b"GET /healthz HTTP/1.1\r\n\r\n"
    async with serving(measure := Counted()) as rig:
        status, headers, body = await rig.ask(request)
        assert (status, json.loads(body)) == ("HTTP/1.1 200 OK", {"status": "SERVING"})
        assert "Content-Type: application/json" in headers
        rig.status = "NOT_SERVING"
        status, _, body = await rig.ask(request)
        assert status == "HTTP/1.1 503 Service Unavailable"
        assert json.loads(body) == {"status": "NOT_SERVING"}
        assert (await rig.ask(request.replace(b"GET", b"HEAD")))[2] == b""
    assert measure.times == 0


async def test_a_client_that_says_nothing_is_cut() -> None:
    # The second client must be faster.
    async with serving(Counted(), request_limit_s=1) as rig:
        reader, writer = await rig.connect()
        async with asyncio.timeout(LIMIT_S):
            assert await reader.read() == b""
        writer.close()
        await rig.until(lambda: rig.refused == 1)
        assert (await rig.ask())[0] == "HTTP/1.1 200 OK"


async def test_a_request_without_end_is_cut() -> None:
    async with serving(Counted()) as rig:
        reader, writer = await rig.connect()
        writer.write(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 2 * REQUEST_BYTES_MAX)
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(reader.read(), return_exceptions=True)
        writer.close()
        await rig.until(lambda: rig.refused == 1)


async def test_a_client_that_does_not_read_is_cut() -> None:
    # More than the buffers of both ends of a connection take.
    async with serving(Counted(samples=200_000), request_limit_s=0.2) as rig:
        _, writer = await rig.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET)
        await rig.until(lambda: rig.refused == 1)
        writer.transport.abort()


async def test_more_connections_than_the_limit_are_refused_at_once() -> None:
    async with serving(Counted(), connections_max=2) as rig:
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
    rig = Rig(
        Exposition(Metrics(), Counted(), 0), listen=f"127.0.0.1:{port}", retry_interval_s=0.05
    )
    running = asyncio.create_task(rig.server.run())
    await asyncio.sleep(0.1)
    assert rig.server.port is None
    holder.close()
    await holder.wait_closed()
    await rig.until(lambda: rig.server.port == port)
    running.cancel()
    await asyncio.wait([running])


async def test_nothing_is_served_where_no_address_is_set() -> None:
    rig = Rig(Exposition(Metrics(), Counted(), 0), listen="")
    running = asyncio.create_task(rig.server.run())
    await asyncio.sleep(0)
    assert rig.server.port is None
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])


async def test_other_work_goes_on_while_a_long_text_is_made() -> None:
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(work())
    await Exposition(Metrics(), Counted(samples=50_000), 0).text()
    working.cancel()
    assert turns >= 50_000 / SLICE
