"""The header `traceparent` of W3C Trace Context."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_frontend.spans.context import LENGTH_MAX, TraceContext, parse, trace_id_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False), ("ff", True)])
def test_a_header_says_trace_span_and_whether_it_is_recorded(flags: str, sampled: bool) -> None:
    assert parse(f"00-{TRACE}-{SPAN}-{flags}") == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize("sampled", [True, False])
def test_what_is_handed_on_says_the_same(sampled: bool) -> None:
    context = TraceContext(TRACE, SPAN, sampled)
    assert parse(context.traceparent) == context


def test_a_later_version_may_say_more() -> None:
    assert parse(f"cc-{TRACE}-{SPAN}-01-what the future brings") == TraceContext(TRACE, SPAN)
    assert parse(f"cc-{TRACE}-{SPAN}-01") == TraceContext(TRACE, SPAN)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "junk",
        b"00-" + TRACE.encode() + b"-" + SPAN.encode() + b"-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01more",
        f"cc-{TRACE}-{SPAN}-01-{'x' * LENGTH_MAX}",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0\u0661",
        f"00-{'é' * 32}-{SPAN}-01",
    ],
)
def test_junk_is_no_header(header: str | bytes | None) -> None:
    assert parse(header) is None


@given(st.one_of(st.text(), st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-.*")))
def test_any_text_is_a_context_or_none(text: str) -> None:
    found = parse(text)
    assert found is None or parse(found.traceparent) == found


def test_log_lines_have_the_trace_if_there_is_one() -> None:
    assert trace_id_of(f"00-{TRACE}-{SPAN}-01") == {"trace_id": TRACE}
    assert trace_id_of(None) == trace_id_of("junk") == {}
