import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from drink_web.settings import StreamSettings
from drink_web.streams import (
    HEARTBEAT,
    Pace,
    StreamResponse,
    Streams,
    TooManyStreamsError,
    event,
    network,
    partial,
)


def streams(**settings: float) -> Streams:
    return Streams(StreamSettings.model_validate({"heartbeat_s": 30, **settings}))


async def silent() -> AsyncGenerator[str, None]:
    await asyncio.Event().wait()
    yield ""


@pytest.mark.parametrize("limit", ["max", "per_address_max", "per_login_max"])
def test_there_are_so_many_and_no_more(limit: str) -> None:
    counted = streams(**{limit: 2})
    with counted.one_more("192.0.2.1", "login"):
        with counted.one_more("192.0.2.1", "login"):
            with pytest.raises(TooManyStreamsError), counted.one_more("192.0.2.1", "login"):
                pass
            assert counted.count == 2
        with counted.one_more("192.0.2.1", "login"):
            pass
    assert counted.count == 0


def test_browsers_are_logins_and_addresses_without_one() -> None:
    counted = streams()
    with (
        counted.one_more("192.0.2.1", "login"),
        counted.one_more("192.0.2.9", "login"),
        counted.one_more("192.0.2.1", ""),
        counted.one_more("2001:db8::1", ""),
        counted.one_more("2001:db8::2", ""),
    ):
        assert (counted.count, counted.browsers) == (5, 3)
    assert counted.browsers == 0


def test_others_are_not_affected_by_one_address() -> None:
    counted = streams(per_address_max=1)
    with counted.one_more("192.0.2.1", ""), counted.one_more("192.0.2.2", ""):
        pass


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_ipv6_network_counts_as_one(address: str, expected: str) -> None:
    assert network(address) == expected


async def test_silence_is_filled_with_heartbeats() -> None:
    paced = streams(heartbeat_s=0.01).paced(silent())
    assert await anext(paced) == HEARTBEAT
    await paced.aclose()


async def test_messages_come_through_in_order() -> None:
    async def three() -> AsyncGenerator[str, None]:
        for each in "abc":
            yield each

    assert [each async for each in streams().paced(three())] == ["a", "b", "c"]


async def test_all_streams_end_with_the_process() -> None:
    counted = streams()
    paced = counted.paced(silent())
    following = asyncio.ensure_future(anext(paced, None))
    await asyncio.sleep(0)
    counted.close()
    assert await following is None


async def test_a_stream_counts_until_its_browser_is_gone() -> None:
    counted, gone, began = streams(per_address_max=1), asyncio.Event(), asyncio.Event()
    statuses = []

    async def receive() -> dict[str, str]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        statuses.append(message.get("status"))
        began.set()

    def response() -> StreamResponse:
        return StreamResponse(counted, silent(), "192.0.2.1", "")

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
    async with asyncio.timeout(20):
        first = asyncio.create_task(response()(scope, receive, send))  # type: ignore[arg-type]
        await began.wait()
        await response()(scope, receive, send)  # type: ignore[arg-type]
        assert statuses[:2] == [200, 429]
        gone.set()
        await first
    assert counted.count == 0


def test_markup_stays_on_its_lines() -> None:
    assert event("a\nb") == "data: a\ndata: b\n\n"
    assert event("", "done") == "event: done\ndata:\n\n"
    assert partial("drop", "<p>").startswith('data: <hx-partial hx-target="#drop"')


async def test_drawing_in_bursts_does_not_wait_and_for_long_it_does() -> None:
    began = time.monotonic()
    pace = Pace(share=0.5, burst_s=0.01)
    await pace.turn()
    with pace.drawing():
        until = time.perf_counter() + 0.03
        while time.perf_counter() < until:
            pass
    order: list[int] = []

    async def one(number: int) -> None:
        await pace.turn()
        order.append(number)

    await asyncio.gather(*(one(number) for number in range(3)))
    # At half a core and a burst of 0.01 s, 0.03 s may have been drawn after 0.04 s.
    assert time.monotonic() - began >= 0.04
    assert order == [0, 1, 2]
