"""Spans on their way to a collector, which may be anything but well."""

import asyncio
import socket
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing

import pytest

from drink_frontend.spans.context import TraceContext
from drink_frontend.spans.settings import TracingSettings
from drink_frontend.spans.tracer import Kind, Span, Tracer
from scripts.processes import wait_until
from tests.support.collector import Collector, Mood, running_collector

TRACE, SPAN, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"

LIMIT_S = 20

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


def make_tracer(endpoint: str, **settings: float) -> Tracer:
    chosen = {"interval_s": 0.05, "request_limit_s": 0.5, "stop_limit_s": 0.3, **settings}
    return Tracer(TracingSettings(endpoint=endpoint, **chosen), "drink-test", "1.2")  # type: ignore[arg-type]


def some_span(number: int = 0, **changes: object) -> Span:
    return Span(f"s{number}", TraceContext(TRACE, SPAN), PARENT, 1.0, 2.5, **changes)  # type: ignore[arg-type]


async def test_a_span_arrives_as_it_is(collector: Collector) -> None:
    tracer = make_tracer(collector.endpoint)
    about = {"drink.machine": "d", "drink.slot": 1}
    tracer.add(some_span(1, kind=Kind.SERVER, attributes=about, is_error=True))
    tracer.add(some_span(2, service="drink-machine-agent"))
    await tracer.close()
    first, second = sorted(collector.spans, key=lambda span: span.name)
    assert (first.service, first.name, first.kind) == ("drink-test", "s1", "SERVER")
    assert (first.trace_id, first.span_id, first.parent_id) == (TRACE, SPAN, PARENT)
    assert (first.about, first.is_error) == (about, True)
    assert first.ended_ns - first.began_ns == 1_500_000_000
    assert (second.service, second.is_error) == ("drink-machine-agent", False)


async def test_the_first_span_of_a_trace_has_no_parent(collector: Collector) -> None:
    tracer = make_tracer(collector.endpoint)
    tracer.add(Span("first", TraceContext(TRACE, SPAN), None, 1.0, 2.0))
    await tracer.close()
    (seen,) = collector.spans
    assert (seen.trace_id, seen.span_id, seen.parent_id) == (TRACE, SPAN, "")


@pytest.mark.parametrize("mood", [Mood.HANGS, Mood.FAILS, Mood.REFUSES, Mood.ENDLESS])
async def test_the_end_waits_for_no_collector(collector: Collector, mood: Mood) -> None:
    collector.mood = mood
    tracer = make_tracer(collector.endpoint)
    tracer.add(some_span())
    await asyncio.to_thread(wait_until, lambda: collector.requests, "a request", LIMIT_S)
    began = time.monotonic()
    async with asyncio.timeout(LIMIT_S):
        await tracer.close()
    # Far above its limit of 0.3 s, and far below what the collector would take.
    assert time.monotonic() - began < 10


async def test_a_collector_that_is_away_is_found_when_it_is_back(collector: Collector) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    tracer = make_tracer(f"http://127.0.0.1:{port}/v1/traces")
    tracer.add(some_span())
    await tracer.close()
    collector.mood = Mood.FAILS
    tracer = make_tracer(collector.endpoint)
    tracer.add(some_span(1))
    await asyncio.to_thread(wait_until, lambda: collector.requests, "a request", LIMIT_S)
    collector.mood = Mood.TAKES
    tracer.add(some_span(2))
    await tracer.close()
    assert "s2" in {span.name for span in collector.spans}


async def test_what_waits_for_a_collector_is_bounded(collector: Collector) -> None:
    collector.mood = Mood.HANGS
    tracer = make_tracer(
        collector.endpoint, request_limit_s=30, queue_spans_max=100, batch_spans_max=100
    )
    for number in range(200):
        tracer.add(some_span(number))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(5_000):
            tracer.add(some_span(number))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # 5,000 of them would be some 10 MB.
    assert after - before < 2_000_000
    await tracer.close()


async def test_an_endless_answer_is_cut_off(collector: Collector) -> None:
    collector.mood = Mood.ENDLESS
    tracer = make_tracer(collector.endpoint, request_limit_s=60)
    tracer.add(some_span())
    await asyncio.to_thread(wait_until, lambda: collector.pours_ended, "its end", LIMIT_S)
    await tracer.close()
