"""Requests are read under a time limit, by a real server; silent strangers cost others nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from drink.v1 import account_service_pb2, drop_service_pb2, machine_service_pb2
from drink_frontend.domain.errors import RateLimitedError
from drink_frontend.rpc.admission import Admission
from drink_frontend.rpc.calls import Kind, Peer, parse_peer
from drink_frontend.rpc.health import check
from drink_frontend.rpc.messages import Messages
from drink_frontend.rpc.response_limits import ResponseLimits
from drink_frontend.rpc.settings import AdmissionSettings, ResponseSettings, RpcSettings
from tests.support.http2 import Http2Connection
from tests.support.ids import id_of
from tests.support.rpc_frontend import (
    AGENT_D,
    ANN,
    LIMIT_S,
    PASSWORD,
    Frontend,
    read,
    refused,
    running_frontend,
)

WAIT_S = 1.0
"""Seconds in which a message has to come: enough for those that are sent on a busy computer."""

METHODS = (
    "/drink.v1.MachineService/ListMachines",
    "/drink.v1.MachineService/WatchMachines",
    "/drink.v1.AccountService/Login",
    "/drink.v1.DropService/Drop",
    "/drink.v1.MachineLinkService/Connect",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)


async def everybody_is_served(frontend: Frontend) -> None:
    """Passes if buyers, an agent, a new client and a health check are served."""
    request = machine_service_pb2.ListMachinesRequest()
    async with asyncio.timeout(LIMIT_S):
        async with grpc.aio.insecure_channel(frontend.target) as channel:
            method: Any = channel.unary_unary("/drink.v1.MachineService/ListMachines")
            await method(request.SerializeToString(), timeout=LIMIT_S)
        login = account_service_pb2.LoginRequest(
            password=account_service_pb2.PasswordCredentials(
                account="accounts/ann", password=PASSWORD
            )
        )
        await frontend.call(login)
        await frontend.call(account_service_pb2.GetAccountRequest(), ANN)
        link = frontend.link_stub.Connect(metadata=AGENT_D, timeout=LIMIT_S)
        await link.wait_for_connection()
        link.cancel()
        assert await check(RpcSettings(port=frontend.port), LIMIT_S)


@pytest.mark.parametrize("method", METHODS)
async def test_fault_66_calls_without_a_message_do_not_keep_others_out(method: str) -> None:
    limits = {"strangers_max": 64, "strangers_per_address_max": 48, "health_max": 16}
    async with running_frontend(admission=limits, calls_max=64) as frontend:
        clients = [await Http2Connection.connect("127.0.0.1", frontend.port) for _ in range(4)]
        for client in clients:
            for _ in range(100):
                client.call(method)
            await client.drain()
        await everybody_is_served(frontend)
        for client in clients:
            await client.close()


async def test_fault_66_guessed_tokens_do_not_keep_others_out() -> None:
    async with running_frontend(admission={"strangers_max": 32}) as frontend:
        client = await Http2Connection.connect("127.0.0.1", frontend.port)
        for number in range(100):
            client.call("/drink.v1.DropService/Drop", authorization=f"Bearer guess-{number}")
        await client.drain()
        await everybody_is_served(frontend)
        await client.close()


async def test_fault_66_a_message_that_does_not_come_ends_its_call_and_is_logged() -> None:
    async with running_frontend(admission={"message_wait_s": WAIT_S}) as frontend:
        with capture_logs() as logs:
            requests: asyncio.Queue[bytes] = asyncio.Queue()

            async def never() -> Any:
                yield await requests.get()

            method: Any = frontend.channel.stream_unary("/drink.v1.DropService/ListDrops")
            refusal = await refused(method(never(), metadata=ANN, timeout=LIMIT_S))
        assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.reason == RateLimitedError.reason
        (line,) = [line for line in logs if line["event"] == "calls_refused"]
        assert (line["kind"], line["owner"], line["place"]) == (
            "account",
            id_of("ann"),
            "127.0.0.1",
        )
        await everybody_is_served(frontend)


async def test_a_call_that_ends_without_a_message_is_refused() -> None:
    async with running_frontend() as frontend:
        method: Any = frontend.channel.stream_unary("/drink.v1.DropService/ListDrops")
        refusal = await refused(method(iter(()), metadata=ANN, timeout=LIMIT_S))
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": "request"})


async def test_the_token_is_looked_at_before_the_message_comes(frontend: Frontend) -> None:
    async def never() -> Any:
        await asyncio.Event().wait()
        yield b""

    method: Any = frontend.channel.stream_unary("/drink.v1.DropService/Drop")
    nobody = (("authorization", "Bearer nobodys"),)
    assert (await refused(method(never(), metadata=nobody, timeout=LIMIT_S))).reason == (
        "TOKEN_INVALID"
    )


async def test_an_account_has_so_many_calls_at_once() -> None:
    async with running_frontend(admission={"calls_per_account_max": 1}) as frontend:
        frontend.storage.gate.clear()
        request = drop_service_pb2.DropRequest(
            request_id="r", slot="machines/d/slots/1", delay=Duration(seconds=9)
        )
        drop = frontend.call(request, ANN)
        await asyncio.wait_for(frontend.storage.waiting.wait(), LIMIT_S)
        again = frontend.call(request, ANN)
        assert (await refused(again)).reason == "RATE_LIMITED"
        frontend.storage.gate.set()
        await drop
        await frontend.call(request, ANN)


async def test_watches_take_no_place_of_other_calls() -> None:
    async with running_frontend(admission={"strangers_max": 1}) as frontend:
        for _ in range(3):
            watch = frontend.call(machine_service_pb2.WatchMachinesRequest())
            await read(watch)
        await everybody_is_served(frontend)


async def test_fault_66_a_strangers_silent_reflection_call_is_ended() -> None:
    async with running_frontend(admission={"message_wait_s": WAIT_S}) as frontend:
        method: Any = frontend.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )

        async def never() -> Any:
            await asyncio.Event().wait()
            yield b""

        refusal = await refused(method(never(), timeout=LIMIT_S).read())
        assert refusal.reason == "RATE_LIMITED"


class GoneContext:
    """The context of a call whose client leaves during the first response.

    Attributes:
        counted: Bytes that waited to leave when the response was written.
    """

    def __init__(self, waiting: ResponseLimits) -> None:
        self._waiting = waiting
        self.counted = 0

    async def read(self) -> bytes:
        return b""

    async def write(self, message: Any) -> None:
        self.counted = self._waiting.bytes_leaving
        raise asyncio.CancelledError


async def test_a_stream_counts_what_leaves_and_is_closed_before_its_call_is_over() -> None:
    closed = asyncio.Event()

    async def responses(request: Any, context: Any) -> AsyncIterator[bytes]:
        try:
            yield b"1"
        finally:
            await asyncio.sleep(0)
            closed.set()

    def cut(peer: Peer) -> bool:
        raise AssertionError(peer)

    waiting = ResponseLimits(ResponseSettings(), cut, asyncio.get_running_loop().time)
    admission = Admission(AdmissionSettings(), 1, cut, lambda _: False)
    handler = grpc.unary_stream_rpc_method_handler(responses, bytes, bytes)
    run = Messages(admission, waiting, LIMIT_S).implementation("/s/m", handler)
    call = admission.enter(Kind.STRANGER, "", parse_peer("ipv4:192.0.2.1:4000"))
    context = GoneContext(waiting)
    with pytest.raises(asyncio.CancelledError):
        await run(call, context)  # type: ignore[arg-type]
    assert closed.is_set()
    assert context.counted == 1
    assert waiting.bytes_leaving == 0
