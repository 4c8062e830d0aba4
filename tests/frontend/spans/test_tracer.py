"""Spans on a clock that moves only when a test says so."""

import builtins
import sys
from typing import Any

import pytest

from drink_frontend.spans.context import TraceContext
from drink_frontend.spans.settings import TracingSettings
from drink_frontend.spans.tracer import (
    NO_TRACER,
    Kind,
    Span,
    Tracer,
    TracingUnavailableError,
    derived_id,
)
from tests.fakes.clock import FakeClock
from tests.fakes.spans import keeping_tracer

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def test_without_a_collector_nothing_is_made() -> None:
    assert not NO_TRACER.is_on
    assert NO_TRACER.start("call", Kind.SERVER, TraceContext(TRACE, SPAN)) is None
    NO_TRACER.add(Span("drop", TraceContext(TRACE, SPAN), None, 1.0, 2.0))
    await NO_TRACER.close()


def test_a_span_lasts_from_its_start_to_its_end() -> None:
    clock = FakeClock()
    tracer, kept = keeping_tracer(clock)
    began_ns = clock.wall_ms * 1_000_000
    span = tracer.start("call", Kind.CLIENT, f"00-{TRACE}-{SPAN}-01", about="drops")
    assert span is not None
    clock.pass_s(1.5)
    span.end("POST /drops", is_error=True, status=500)
    assert kept.times_ns == [(began_ns, began_ns + 1_500_000_000)]
    (made,) = kept.spans
    assert (made.name, made.kind, made.is_error) == ("POST /drops", Kind.CLIENT, True)
    assert (made.context.trace_id, made.parent_id) == (TRACE, SPAN)
    assert made.context.span_id != SPAN
    assert made.attributes == {"about": "drops", "status": 500}


@pytest.mark.parametrize("parent", [None, "junk", "", b"\xff"])
def test_without_a_valid_parent_a_trace_begins(parent: str | bytes | None) -> None:
    tracer, kept = keeping_tracer(FakeClock())
    spans = [tracer.start("call", Kind.SERVER, parent) for _ in range(2)]
    for span in spans:
        assert span is not None
        span.end()
    first, second = kept.spans
    assert first.parent_id is second.parent_id is None
    assert first.context.trace_id != second.context.trace_id


def test_a_parent_that_is_not_recorded_has_no_recorded_children() -> None:
    tracer, kept = keeping_tracer(FakeClock())
    span = tracer.start("call", Kind.SERVER, f"00-{TRACE}-{SPAN}-00")
    assert span is not None
    # It is handed on, so that nobody else begins a trace of its own.
    assert span.context.traceparent.startswith(f"00-{TRACE}-")
    assert span.context.traceparent.endswith("-00")
    span.end()
    assert kept.spans == []


@pytest.mark.parametrize(("ratio", "least", "most"), [(0, 0, 0), (0.5, 400, 600), (1, 1000, 1000)])
def test_the_share_of_traces_is_as_set(ratio: float, least: int, most: int) -> None:
    tracer, kept = keeping_tracer(FakeClock(), sample_ratio=ratio)
    for _ in range(1_000):
        span = tracer.start("call", Kind.SERVER)
        assert span is not None
        span.end()
    # Outside of it with a probability below 1e-9.
    assert least <= len(kept.spans) <= most


@pytest.mark.parametrize("jump_ms", [-86_400_000, 86_400_000, -1])
def test_a_wall_clock_that_is_set_moves_spans_and_turns_none(jump_ms: int) -> None:
    clock = FakeClock()
    tracer, kept = keeping_tracer(clock)
    span = tracer.start("call", Kind.SERVER)
    assert span is not None
    clock.pass_s(1)
    clock.wall_ms += jump_ms
    span.end()
    ((began_ns, ended_ns),) = kept.times_ns
    assert ended_ns - began_ns == 1_000_000_000
    # A jump below the limit is not looked at: it could be the time between two looks.
    assert abs(ended_ns - clock.wall_ms * 1_000_000) <= 1_000_000


def test_a_span_never_ends_before_it_begins() -> None:
    tracer, kept = keeping_tracer(FakeClock())
    tracer.add(Span("drop", TraceContext(TRACE, SPAN), None, 5.0, 4.0))
    ((began_ns, ended_ns),) = kept.times_ns
    assert began_ns == ended_ns


def test_a_time_of_the_wall_clock_is_one_of_the_monotonic_clock() -> None:
    clock = FakeClock(seconds=1_000)
    tracer, _ = keeping_tracer(clock)
    assert tracer.monotonic_at(clock.wall_ms - 2_500) == pytest.approx(997.5)
    # Written before the clock was set back.
    assert tracer.monotonic_at(clock.wall_ms + 60_000) == 1_000


def test_derived_ids_are_the_same_everywhere() -> None:
    assert derived_id("D1", "drop", 0) == derived_id("D1", "drop", 0)
    assert len({derived_id("D1", "drop", 0), derived_id("D1", "drop", 1)}) == 2
    assert len(derived_id("D1")) == 16
    assert int(derived_id("D1"), 16)


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_otel(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **options)

    monkeypatch.delitem(sys.modules, "drink_frontend.spans.otel", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_otel)
    settings = TracingSettings(endpoint="http://localhost:4318/v1/traces")
    with pytest.raises(TracingUnavailableError, match=r"drink-frontend\[otel\]"):
        Tracer(settings, "drink-frontend", "1")
    # Who wants no traces needs none of it.
    assert not Tracer(TracingSettings(), "drink-frontend", "1").is_on
