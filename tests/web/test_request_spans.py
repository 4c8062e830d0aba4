"""The spans of requests that place drops; the page over the real use cases."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from drink_web.app import make_app
from drink_web.request_spans import METHOD, add_trace_id, traced
from drink_web.spans.tracer import Kind
from tests.fakes.clock import FakeClock
from tests.fakes.spans import KeptSpans, keeping_tracer
from tests.web.visitor import House, running_house

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ORDER = {"request_id": "web-1", "slot": "machines/d/slots/1", "price": "50"}


def keep_spans(house: House) -> KeptSpans:
    """Lets the page make spans, as `make_site` and `make_app` do with a collector."""
    tracer, kept = keeping_tracer(FakeClock())
    house.site = replace(house.site, tracer=tracer)  # type: ignore[arg-type]
    house.site.api.drops.Drop = traced(house.site.api.drops.Drop, tracer)  # type: ignore[arg-type]
    house.app = make_app(house.site)
    return kept


async def test_a_form_that_places_a_drop_is_a_span_above_its_call(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        kept = keep_spans(house)
        ann = await house.ann()
        answer = await ann.post("/drops", ORDER)
        assert answer.status == 303
    call, request = kept.spans
    assert (request.name, str(request.kind)) == ("POST /drops", str(Kind.SERVER))
    assert request.parent_id is None
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/drops",
        "http.response.status_code": 303,
    }
    assert (call.name, str(call.kind)) == (METHOD, str(Kind.CLIENT))
    assert (call.context.trace_id, call.parent_id) == (
        request.context.trace_id,
        request.context.span_id,
    )


@pytest.mark.parametrize("flags", ["01", "00"])
async def test_a_proxy_that_traces_decides(tmp_path: Path, flags: str) -> None:
    async with running_house(tmp_path) as house:
        sent: list[str] = []
        place = house.site.api.drops.Drop

        async def noted(
            request: object, *, metadata: list[tuple[str, str]], **how: object
        ) -> object:
            sent.extend(value for key, value in metadata if key == "traceparent")
            return await place(request, metadata=metadata, **how)

        house.site.api.drops.Drop = noted
        kept = keep_spans(house)
        ann = await house.ann()
        await ann.post("/drops", ORDER, traceparent=f"00-{TRACE}-{SPAN}-{flags}")
    # The frontend is told even if nothing is recorded, so that it begins no trace of its own.
    (header,) = sent
    assert header.startswith(f"00-{TRACE}-")
    assert header.endswith(flags)
    if flags == "00":
        assert kept.spans == []
    else:
        assert kept.named("POST /drops").parent_id == SPAN
        assert kept.named(METHOD).context.traceparent == header


async def test_requests_that_place_nothing_have_no_span(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        kept = keep_spans(house)
        ann = await house.ann()
        assert (await ann.get("/")).status == 200
        assert (await ann.post("/favourites", {"slot": ORDER["slot"]})).status < 500
        assert (await ann.post("/drops", {**ORDER, "slot": "é"})).status == 400
        assert kept.spans == []


async def test_a_refused_order_says_its_status(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        kept = keep_spans(house)
        ann = await house.ann()
        answer = await ann.post("/drops", {**ORDER, "slot": "machines/d/slots/9"})
        assert answer.status == 409
    assert kept.named(METHOD).is_error
    assert kept.named(METHOD).attributes == {
        "rpc.system": "grpc",
        "rpc.service": "drink.v1.DropService",
        "rpc.method": "Drop",
        "rpc.grpc.status": "NOT_FOUND",
    }
    # The page has answered as it should.
    assert not kept.named("POST /drops").is_error


async def test_an_order_by_rest_is_a_span(tmp_path: Path) -> None:
    async with running_house(tmp_path, rest={"drop_limit_s": 0.1}) as house:
        kept = keep_spans(house)
        body = json.dumps({"machine": "d", "slot": 1}).encode()
        headers = {"content-type": "application/json", "authorization": "Bearer token-of-ann"}
        await house.visitor().ask("POST", "/drinks/drop", body, headers)
    assert kept.named("POST /drinks/drop").context.span_id == kept.named(METHOD).parent_id


async def test_log_lines_of_a_traced_request_have_its_trace(tmp_path: Path) -> None:
    lines: list[logging.LogRecord] = []

    async with running_house(tmp_path) as house:
        place = house.site.api.drops.Drop

        async def broken(request: object, **how: object) -> object:
            await place(request, **how)
            record = logging.makeLogRecord({"msg": "test", "facts": {"incident": "1"}})
            assert add_trace_id(record)
            lines.append(record)
            raise RuntimeError

        house.site.api.drops.Drop = broken
        kept = keep_spans(house)
        ann = await house.ann()
        answer = await ann.post("/drops", ORDER)
        assert answer.status == 500
    request = kept.named("POST /drops")
    assert request.is_error
    assert lines[0].facts == {  # type: ignore[attr-defined]
        "incident": "1",
        "trace_id": request.context.trace_id,
    }
    after = logging.makeLogRecord({"msg": "test"})
    assert add_trace_id(after)
    assert not hasattr(after, "facts")
