"""The spans of calls over a real server: only of those that place drops."""

import asyncio
from collections.abc import Sequence

import pytest

from drink.v1 import drop_service_pb2 as pb
from drink.v1.drop_service_pb2_grpc import DropServiceStub
from drink.v1.machine_service_pb2 import ListMachinesRequest
from drink.v1.machine_service_pb2_grpc import MachineServiceStub
from drink_frontend.rpc.call_spans import TRACED
from drink_frontend.spans.tracer import Kind
from tests.fakes.spans import KeptSpans, keeping_tracer
from tests.support.rpc_frontend import ANN, BOB, LIMIT_S, Frontend, refused

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
NAME = "drink.v1.DropService/Drop"


def order(request_id: str = "r-1", slot: int = 1) -> pb.DropRequest:
    return pb.DropRequest(request_id=request_id, slot=f"machines/d/slots/{slot}", no_wait=True)


@pytest.fixture
def kept(frontend: Frontend) -> KeptSpans:
    """Lets the server make spans; before its first call, when the handlers are made."""
    tracer, kept = keeping_tracer(frontend.bench.clock)
    frontend.server._interceptor._tracer = tracer
    return kept


async def place(
    frontend: Frontend, headers: Sequence[tuple[str, str]] = (), **fields: object
) -> pb.DropResponse:
    request = order(**fields)  # type: ignore[arg-type]
    stub = DropServiceStub(frontend.channel)
    response: pb.DropResponse = await stub.Drop(request, metadata=(*ANN, *headers), timeout=LIMIT_S)
    return response


def test_the_method_is_one_of_the_service() -> None:
    service, _, name = TRACED.strip("/").partition("/")
    assert service == pb.DESCRIPTOR.services_by_name["DropService"].full_name
    assert name in pb.DESCRIPTOR.services_by_name["DropService"].methods_by_name


async def test_a_call_that_places_a_drop_joins_the_trace_of_its_caller(
    frontend: Frontend, kept: KeptSpans
) -> None:
    await place(frontend, [("traceparent", f"00-{TRACE}-{SPAN}-01")])
    (span,) = kept.spans
    assert (span.name, span.kind, span.is_error) == (NAME, Kind.SERVER, False)
    assert (span.context.trace_id, span.parent_id) == (TRACE, SPAN)
    (drop,) = await frontend.kept_drops()
    assert drop.traceparent == span.context.traceparent


@pytest.mark.parametrize("headers", [[], [("traceparent", "junk")]])
async def test_a_call_without_one_begins_a_trace(
    frontend: Frontend, kept: KeptSpans, headers: list[tuple[str, str]]
) -> None:
    await place(frontend, headers)
    (span,) = kept.spans
    assert span.parent_id is None
    (drop,) = await frontend.kept_drops()
    assert drop.traceparent == span.context.traceparent


async def test_a_call_that_is_not_recorded_leaves_no_trace(
    frontend: Frontend, kept: KeptSpans
) -> None:
    await place(frontend, [("traceparent", f"00-{TRACE}-{SPAN}-00")])
    assert kept.spans == []
    (drop,) = await frontend.kept_drops()
    assert drop.traceparent is None


async def test_a_refused_call_is_an_error(frontend: Frontend, kept: KeptSpans) -> None:
    assert (await refused(place(frontend, slot=9))).reason == "SLOT_NOT_FOUND"
    (span,) = kept.spans
    assert (span.name, span.is_error) == (NAME, True)


async def test_the_contexts_of_two_calls_are_apart(frontend: Frontend, kept: KeptSpans) -> None:
    headers = [[("traceparent", f"00-{char * 32}-{SPAN}-01")] for char in "ab"]
    await asyncio.gather(
        *(place(frontend, each, request_id=f"r-{n}") for n, each in enumerate(headers))
    )
    drops = {drop.request_id: drop.traceparent for drop in await frontend.kept_drops()}
    assert drops["r-0"] is not None
    assert drops["r-1"] is not None
    assert drops["r-0"].startswith(f"00-{'a' * 32}")
    assert drops["r-1"].startswith(f"00-{'b' * 32}")


async def test_no_other_call_has_a_span(frontend: Frontend, kept: KeptSpans) -> None:
    header = ("traceparent", f"00-{TRACE}-{SPAN}-01")
    stub = MachineServiceStub(frontend.channel)
    await stub.ListMachines(ListMachinesRequest(), metadata=(*BOB, header), timeout=LIMIT_S)
    assert kept.spans == []
