"""The spans of a drop, on the bench's clock and over its database."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Drop, Result, Timings
from drink_frontend.spans.context import parse
from drink_frontend.spans.tracer import Attributes
from drink_frontend.usecases.drop_traces import UNDER_WAY_MAX, DropTraces
from tests.fakes.spans import KeptSpans, keeping_tracer
from tests.support.bench import JOURNAL, Bench

TRACE, CALL = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{CALL}-01"

TIMINGS = Timings(
    commanded_ms=10, answered_ms=4_010, motor_ms=3_900, recorded_ms=4_020, sent_ms=4_030
)


@pytest.fixture
def kept(bench: Bench) -> KeptSpans:
    return begin_process(bench)


def begin_process(bench: Bench) -> KeptSpans:
    """What a process does, which knows of drops under way only what the database has."""
    tracer, kept = keeping_tracer(bench.clock)
    traces = DropTraces(tracer)
    for use_case in (bench.drops, bench.dispatch, bench.deadlines, bench.agents):
        use_case._traces = traces
    return kept


async def commanded(bench: Bench, **order: Any) -> tuple[Drop, str]:
    """A drop whose command was sent, and the `traceparent` that went with it."""
    drop = await bench.dispatched(traceparent=PARENT, **order)
    return drop, bench.dispatch.commanded(drop)


async def report(bench: Bench, drop: Drop, timings: Timings | None, **changes: Any) -> None:
    result = Result(drop.id, 1, State.DISPENSED, Cause.BOARD_ACK, {}, 0, "", timings)
    await bench.dispatch.result(drop.machine, replace(result, **changes), JOURNAL)


def nested(kept: KeptSpans, *names: str) -> bool:
    """Whether each span lies within the one before it, which is its parent."""
    return all(
        kept.named(inner).parent_id == kept.named(outer).context.span_id
        and kept.at_ns(outer)[0] <= kept.at_ns(inner)[0]
        and kept.at_ns(inner)[1] <= kept.at_ns(outer)[1]
        for outer, inner in itertools.pairwise(names)
    )


def about(kept: KeptSpans, name: str) -> Attributes:
    return kept.named(name).attributes or {}


def lasts_s(kept: KeptSpans, name: str) -> float:
    began_ns, ended_ns = kept.at_ns(name)
    return (ended_ns - began_ns) / 1e9


async def test_a_drop_that_is_not_traced_has_no_spans(bench: Bench, kept: KeptSpans) -> None:
    drop = await bench.dispatched()
    assert bench.dispatch.commanded(drop) == ""
    await report(bench, drop, None)
    assert kept.spans == []


async def test_each_step_of_a_drop_is_a_span_below_the_call_that_ordered_it(
    bench: Bench, kept: KeptSpans
) -> None:
    drop, header = await commanded(bench)
    bench.clock.pass_s(4.1)
    await report(bench, drop, TIMINGS)
    assert {span.context.trace_id for span in kept.spans} == {TRACE}
    assert kept.named("drop").parent_id == CALL
    assert nested(kept, "drop", "drop.reserve")
    assert nested(kept, "drop", "drop.dispatch")
    assert nested(kept, "drop", "drop.settle")
    assert nested(kept, "drop", "drop.link", "agent", "agent.accept")
    assert nested(kept, "agent", "board", "motor")
    assert nested(kept, "agent", "agent.record")
    assert len(kept.spans) == 10
    sent = parse(header)
    assert sent == kept.named("drop.link").context
    assert lasts_s(kept, "drop.link") == pytest.approx(4.1)
    assert lasts_s(kept, "agent") == pytest.approx(4.03)
    assert lasts_s(kept, "board") == pytest.approx(4.0)
    assert lasts_s(kept, "motor") == pytest.approx(3.9)
    # Half of the rest each way.
    assert kept.at_ns("agent")[0] - kept.at_ns("drop.link")[0] == pytest.approx(0.035e9, abs=1e4)
    assert about(kept, "drop") == {
        "drink.drop": drop.id,
        "drink.machine": "d",
        "drink.slot": 1,
        "drink.state": "DISPENSED",
        "drink.cause": "BOARD_ACK",
    }
    assert not kept.named("drop").is_error


async def test_an_agent_that_tells_no_times_is_said_to(bench: Bench, kept: KeptSpans) -> None:
    drop, _ = await commanded(bench)
    bench.clock.pass_s(4)
    await report(bench, drop, None, outcome=State.UNKNOWN, cause=Cause.AGENT_RESTARTED)
    assert sorted(span.name for span in kept.spans) == [
        "drop",
        "drop.dispatch",
        "drop.link",
        "drop.reserve",
        "drop.settle",
    ]
    assert lasts_s(kept, "drop.link") == pytest.approx(4)
    assert about(kept, "drop.link")["drink.agent_times"] == "untold"
    assert about(kept, "drop")["drink.cause"] == "AGENT_RESTARTED"
    told, _ = await commanded(bench, request_id="another")
    await report(bench, told, TIMINGS)
    links = [span for span in kept.spans if span.name == "drop.link"]
    assert ["drink.agent_times" in (span.attributes or {}) for span in links] == [True, False]


@pytest.mark.parametrize("jump_ms", [0, -3_600_000, 3_600_000])
async def test_a_process_that_takes_over_makes_the_same_spans_from_the_row(
    bench: Bench, kept: KeptSpans, jump_ms: int
) -> None:
    drop, header = await commanded(bench)
    after = begin_process(bench)
    bench.clock.pass_s(4.1)
    # Its own wall clock may be another one, or have been set.
    bench.clock.wall_ms += jump_ms
    await report(bench, drop, TIMINGS)
    assert after.named("drop").parent_id == CALL
    assert after.named("drop.link").context == parse(header)
    assert kept.named("drop.dispatch").parent_id == after.named("drop").context.span_id
    assert nested(after, "drop", "drop.link", "agent", "board", "motor")
    assert nested(after, "drop", "drop.settle")
    if jump_ms == 0:
        assert lasts_s(after, "drop.link") == pytest.approx(4.1, abs=0.002)
        assert lasts_s(after, "motor") == pytest.approx(3.9, abs=0.01)


async def test_the_wait_for_the_machine_is_the_dispatch(bench: Bench, kept: KeptSpans) -> None:
    first, _ = await commanded(bench)
    second = await bench.place("r2", traceparent=f"00-{'ab' * 16}-{CALL}-01")
    bench.clock.pass_s(3)
    await report(bench, first, None)
    assert (await bench.taken()).id == second.id
    bench.dispatch.commanded(await bench.drop(second.id))
    waited = [
        end - begin
        for span, (begin, end) in zip(kept.spans, kept.times_ns, strict=True)
        if span.name == "drop.dispatch"
    ]
    assert waited == [0, 3_000_000_000]


async def test_a_returned_drop_is_dispatched_again(bench: Bench, kept: KeptSpans) -> None:
    drop, header = await commanded(bench)
    bench.clock.pass_s(1)
    await bench.returned(drop)
    again = await bench.taken()
    assert bench.dispatch.commanded(again) == header
    bench.clock.pass_s(4)
    await report(bench, again, None)
    dispatches = [span for span in kept.spans if span.name == "drop.dispatch"]
    assert len({span.context.span_id for span in dispatches}) == 2
    assert lasts_s(kept, "drop.link") == pytest.approx(4)
    assert lasts_s(kept, "drop") == pytest.approx(5)


@pytest.mark.parametrize(
    "told",
    [
        Timings(None, None, None, 0, 0),
        Timings(None, None, None, 5, 9),
        Timings(10, None, None, 20, 30),
        Timings(10, 5, 60_000, 3, 1),
        Timings(2_000_000_000, 1, 2_000_000_000, 0, 2_000_000_000),
        Timings(10, 4_000, 3_900, 4_010, 900_000),
    ],
)
async def test_an_agent_can_tell_anything_and_its_spans_stay_within_the_link(
    bench: Bench, kept: KeptSpans, told: Timings
) -> None:
    drop, _ = await commanded(bench)
    bench.clock.pass_s(2)
    await report(bench, drop, told)
    began_ns, ended_ns = kept.at_ns("drop.link")
    of_agent = [
        at for span, at in zip(kept.spans, kept.times_ns, strict=True) if span.service is not None
    ]
    assert of_agent
    for begin, end in of_agent:
        assert began_ns - 1_000 <= begin <= end <= ended_ns + 1_000


async def test_a_late_result_of_an_unknown_drop_adds_to_its_trace(
    bench: Bench, kept: KeptSpans
) -> None:
    drop, _ = await commanded(bench)
    bench.clock.pass_s(10)
    await report(bench, drop, None, outcome=State.UNKNOWN, cause=Cause.BOARD_SILENT)
    assert kept.named("drop").is_error
    bench.clock.pass_s(60)
    await report(bench, drop, None, cause=Cause.BOARD_ACK_LATE, revision=2)
    await report(bench, drop, None, cause=Cause.BOARD_ACK_LATE, revision=2)
    names = [span.name for span in kept.spans]
    assert (names.count("drop"), names.count("drop.link"), names.count("drop.settle")) == (1, 1, 2)
    assert len({span.context.span_id for span in kept.spans}) == len(kept.spans)


async def test_a_cancelled_drop_ends_and_is_no_error(bench: Bench, kept: KeptSpans) -> None:
    drop = await bench.place(delay_s=60, traceparent=PARENT)
    bench.clock.pass_s(2)
    ann = await bench.account("ann")
    for _ in range(2):
        await bench.drops.cancel(ann, drop.id)
    assert lasts_s(kept, "drop") == pytest.approx(2)
    assert not kept.named("drop").is_error


async def test_a_drop_that_is_given_up_ends_as_an_error(bench: Bench, kept: KeptSpans) -> None:
    await commanded(bench)
    await bench.deadlines.look()
    bench.clock.pass_s(86_400)
    await bench.deadlines.look()
    ended = kept.named("drop")
    assert ended.is_error
    assert ended.attributes is not None
    assert ended.attributes["drink.cause"] == "AGENT_LOST"


async def test_a_drop_whose_journal_was_replaced_ends(bench: Bench, kept: KeptSpans) -> None:
    await commanded(bench)
    await bench.link(journal="another")
    assert kept.named("drop").is_error


async def test_times_are_kept_of_a_limited_number_of_drops(bench: Bench, kept: KeptSpans) -> None:
    traces = bench.drops._traces
    drop, _ = await commanded(bench)
    for number in range(UNDER_WAY_MAX + 10):
        traces.reserved(replace(drop, id=f"D{number}"), traces.now())
    assert len(traces._under_way) == UNDER_WAY_MAX
    bench.clock.pass_s(1)
    await report(bench, drop, TIMINGS)
    assert lasts_s(kept, "drop.link") == pytest.approx(1, abs=0.002)


async def test_a_replayed_order_has_the_trace_of_the_first(bench: Bench, kept: KeptSpans) -> None:
    drop = await bench.place(traceparent=PARENT)
    again = await bench.place(traceparent=f"00-{'cd' * 16}-{CALL}-01")
    assert again == drop
    assert [span.name for span in kept.spans] == ["drop.reserve"]
