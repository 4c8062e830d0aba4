"""The path of each call: faults are not shown, junk is refused, streams are closed."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from drink.v1 import drop_service_pb2 as pb
from drink.v1 import machine_link_service_pb2, machine_service_pb2
from drink_frontend.domain.errors import MachineOfflineError, RateLimitedError
from drink_frontend.metrics.instruments import Metrics
from drink_frontend.rpc.authentication import Access
from drink_frontend.rpc.errors import refusal
from drink_frontend.rpc.interceptors import REFUSALS_LOGGED, Method, _abort
from tests.support.ids import id_of
from tests.support.rpc_frontend import AGENT_D, ANN, HELLO, LIMIT_S, Frontend, read, refused

SECRET = "db password is hunter2"
JUNK = b"\xff\xff\xff"


def everything(error: grpc.aio.AioRpcError) -> str:
    """All parts of an error that the client receives."""
    return f"{error.code()} {error.details()} {dict(error.trailing_metadata())}"


async def unary(frontend: Frontend) -> Any:
    frontend.storage.error = RuntimeError(SECRET)
    return await frontend.call(machine_service_pb2.ListMachinesRequest())


async def server_stream(frontend: Frontend) -> Any:
    frontend.storage.error = RuntimeError(SECRET)
    request = machine_service_pb2.WatchMachinesRequest()
    return await frontend.call(request).read()


async def bidirectional(frontend: Frontend) -> Any:
    link = await frontend.linked()
    frontend.storage.error = RuntimeError(SECRET)
    status = machine_link_service_pb2.BoardStatus(ready=True, temperature_celsius=4)
    await link.write(machine_link_service_pb2.ConnectRequest(board_status=status))
    return await link.read()


@pytest.mark.parametrize("call", [unary, server_stream, bidirectional])
async def test_a_fault_stays_inside_and_leaves_an_incident(frontend: Frontend, call: Any) -> None:
    with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(frontend)
    assert SECRET not in everything(caught.value)
    assert "RuntimeError" not in everything(caught.value)

    async def again() -> Any:
        raise caught.value

    refusal = await refused(again())
    assert refusal.status == ("INTERNAL", "INTERNAL")
    (failed,) = [line for line in logs if line["event"] == "rpc_failed"]
    assert refusal.facts == {"incident": failed["incident"]}


async def test_a_failed_assertion_is_a_fault_too(frontend: Frontend) -> None:
    frontend.storage.error = AssertionError(SECRET)
    refusal = await frontend.refused(pb.ListDropsRequest(), ANN)
    assert refusal.reason == "INTERNAL"


async def test_the_next_call_is_served_after_a_fault(frontend: Frontend) -> None:
    await refused(unary(frontend))
    frontend.storage.error = None
    page = await frontend.call(pb.ListDropsRequest(), ANN)
    assert list(page.drops) == []


async def test_a_refusal_in_mid_stream_keeps_its_reason(frontend: Frontend) -> None:
    link = await frontend.linked()
    await link.write(HELLO)
    assert (await refused(link.read())).reason == "LINK_PROTOCOL"


class Gone:
    """The context of a call whose client is gone: nothing can be sent."""

    def peer(self) -> str:
        return "ipv4:192.0.2.1:4000"

    def invocation_metadata(self) -> None:
        return None

    def time_remaining(self) -> None:
        return None

    def code(self) -> int:
        return 0

    def add_done_callback(self, _: object) -> None:
        return None

    async def abort(self, *_: object) -> None:
        raise grpc.aio.InternalError("execute_batch failed")


@pytest.mark.parametrize(
    "error",
    [
        MachineOfflineError("refused"),
        RuntimeError("a fault"),
        grpc.aio.InternalError("could not write"),
    ],
)
async def test_a_client_that_is_gone_before_its_answer_is_not_logged_as_a_fault(
    frontend: Frontend, error: Exception
) -> None:
    async def fail(call: Any, context: Any) -> None:
        raise error

    name = "/drink.v1.MachineService/ListMachines"
    method = Method(name, Access.ANYONE, fail, Metrics().method(name, timed=True))
    with pytest.raises(asyncio.CancelledError):
        await frontend.server._interceptor.serve(method, None, Gone())  # type: ignore[arg-type]


async def test_bytes_that_are_no_message_are_refused(frontend: Frontend) -> None:
    drop: Any = frontend.channel.unary_unary("/drink.v1.DropService/Drop")
    refusal = await refused(drop(JUNK, metadata=ANN, timeout=LIMIT_S))
    assert refusal.status == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert refusal.facts == {"field": "request"}

    watch: Any = frontend.channel.unary_stream("/drink.v1.MachineService/WatchMachines")
    assert (await refused(watch(JUNK, timeout=LIMIT_S).read())).facts == {"field": "request"}

    connect: Any = frontend.channel.stream_stream("/drink.v1.MachineLinkService/Connect")
    link = connect(iter([JUNK]), metadata=AGENT_D, timeout=LIMIT_S)
    assert (await refused(anext(aiter(link)))).facts == {"field": "request"}


async def test_missing_rights_are_refused_before_anything_else(frontend: Frontend) -> None:
    drop: Any = frontend.channel.unary_unary("/drink.v1.DropService/Drop")
    assert (await refused(drop(JUNK, timeout=LIMIT_S))).reason == "TOKEN_INVALID"


async def test_a_method_that_is_not_there_is_unimplemented(frontend: Frontend) -> None:
    method: Any = frontend.channel.unary_unary("/drink.v1.DropService/Steal")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(b"", timeout=LIMIT_S)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_log_lines_say_which_call_they_belong_to(
    frontend: Frontend, capsys: pytest.CaptureFixture[str]
) -> None:
    request = pb.DropRequest(request_id="r", slot="machines/d/slots/1", delay=Duration(seconds=9))
    await frontend.call(request, ANN)
    frontend.storage.error = RuntimeError(SECRET)
    await frontend.refused(request, ANN)
    line = next(line for line in capsys.readouterr().out.splitlines() if "rpc_failed" in line)
    for part in ("rpc=/drink.v1.DropService/Drop", "call=Rid", "peer=ipv4:127.0.0.1", id_of("ann")):
        assert part in line


async def test_a_cancelled_stream_gives_back_what_it_holds(frontend: Frontend) -> None:
    watch = frontend.call(machine_service_pb2.WatchMachinesRequest())
    await read(watch)
    watch.cancel()
    await frontend.machines.followers.are(0)

    (await frontend.linked()).cancel()
    await frontend.unlinked()


async def test_fault_8_an_agent_that_is_refused_is_logged_and_a_flood_of_them_is_not(
    frontend: Frontend,
) -> None:
    nobody = (("authorization", "Bearer nobodys"),)
    with capture_logs() as logs:
        for _ in range(REFUSALS_LOGGED + 1):
            link = frontend.link_stub.Connect(metadata=nobody, timeout=LIMIT_S)
            assert (await refused(link.read())).reason == "TOKEN_INVALID"
    lines = [line for line in logs if line["event"] == "link_refused"]
    assert len(lines) == REFUSALS_LOGGED
    assert lines[0]["log_level"] == "warning"
    assert lines[0]["reason"] == "TOKEN_INVALID"
    assert "nobodys" not in str(logs)


async def test_a_refused_buyer_is_logged_for_debugging_only(frontend: Frontend) -> None:
    with capture_logs() as logs:
        request = pb.GetDropRequest(name="drops/absent")
        await frontend.refused(request, ANN)
    assert [line["event"] for line in logs if line["log_level"] != "debug"] == []


async def test_a_refused_token_is_logged_without_the_token(frontend: Frontend) -> None:
    with capture_logs() as logs:
        await frontend.refused(pb.ListDropsRequest(), AGENT_D)
    [line] = [line for line in logs if line["log_level"] != "debug"]
    assert (line["event"], line["reason"]) == ("rpc_refused", "TOKEN_INVALID")
    assert "token-of-d" not in str(logs)


class Answered:
    """The context of a call that is being answered already."""

    async def abort(self, *_: Any) -> None:
        raise grpc.aio.UsageError("Abort already called!")


async def test_fault_66_a_call_that_is_ended_while_it_is_refused_is_no_mistake() -> None:
    context: Any = Answered()
    with pytest.raises(asyncio.CancelledError):
        await _abort(context, refusal(RateLimitedError("others wait")))
