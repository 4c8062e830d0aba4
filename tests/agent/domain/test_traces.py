"""The times of a traced drop at the agent."""

from drink_agent.domain.evidence import Direction, Evidence, Line
from drink_agent.domain.traces import TRACES_MAX, DropTraces

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADER = f"00-{TRACE}-00f067aa0ba902b7-01"


def evidence(*lines: tuple[Direction, int]) -> Evidence:
    return Evidence(lines=tuple(Line(direction, ms, "4") for direction, ms in lines))


def test_the_times_of_a_drop_count_from_its_receipt() -> None:
    traces = DropTraces()
    traces.received("a", HEADER, 100.0)
    traces.commanded("a", 100.012)
    answer = evidence((Direction.SENT, 0), (Direction.RECEIVED, 20), (Direction.RECEIVED, 3_900))
    traces.answered("a", answer, 104.0)
    trace = traces.reported("a", 104.02)
    assert trace is not None
    assert trace.traceparent == HEADER
    assert trace.since_receipt(trace.commanded_at) == 12
    assert trace.since_receipt(trace.answered_at) == 4_000
    assert trace.motor_ms == 3_900
    # A report that is repeated was recorded when it was first.
    again = traces.reported("a", 114.0)
    assert again is trace
    assert (again.since_receipt(again.recorded_at), again.since_receipt(again.sent_at)) == (
        4_020,
        14_000,
    )


def test_what_did_not_happen_has_no_time() -> None:
    traces = DropTraces()
    traces.received("a", HEADER, 100.0)
    traces.answered("a", evidence((Direction.SENT, 0), (Direction.RECEIVED, -5)), 101.0)
    trace = traces.reported("a", 102.0)
    assert trace is not None
    assert trace.commanded_at is None
    assert trace.motor_ms is None
    assert trace.since_receipt(None) is None


def test_a_clock_that_went_back_gives_no_negative_time() -> None:
    traces = DropTraces()
    traces.received("a", HEADER, 100.0)
    trace = traces.reported("a", 99.0)
    assert trace is not None
    assert trace.since_receipt(trace.sent_at) == 0


def test_a_drop_without_a_trace_has_none() -> None:
    traces = DropTraces()
    traces.received("a", "", 1.0)
    traces.commanded("a", 2.0)
    traces.answered("a", evidence(), 3.0)
    assert traces.reported("a", 4.0) is None
    traces.acknowledged("a")
    assert traces.log_facts("a") == {}


def test_a_repeated_command_does_not_begin_again() -> None:
    traces = DropTraces()
    traces.received("a", HEADER, 1.0)
    traces.received("a", HEADER.replace("4bf9", "aaaa"), 9.0)
    trace = traces.reported("a", 10.0)
    assert trace is not None
    assert (trace.received_at, trace.trace_id) == (1.0, TRACE)


def test_log_lines_have_the_trace_until_the_result_is_acknowledged() -> None:
    traces = DropTraces()
    traces.received("a", HEADER, 1.0)
    assert traces.log_facts("a") == {"trace_id": TRACE}
    traces.acknowledged("a")
    assert traces.log_facts("a") == {}


def test_the_oldest_is_forgotten() -> None:
    traces = DropTraces()
    for number in range(TRACES_MAX + 1):
        traces.received(f"d{number}", HEADER, 1.0)
    assert traces.reported("d0", 2.0) is None
    assert traces.reported("d1", 2.0) is not None
