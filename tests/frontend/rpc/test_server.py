"""The server as a whole: junk from strangers, limits, start and end."""

import asyncio
import ssl
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from drink.v1 import account_service_pb2, drop_service_pb2, machine_service_pb2
from drink_frontend.rpc.server import SERVICES
from drink_frontend.rpc.settings import RpcSettings
from tests.support.rpc_frontend import (
    AGENT_D,
    ANN,
    BOB,
    LIMIT_S,
    Frontend,
    read,
    refused,
    running_frontend,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def served(frontend: Frontend) -> None:
    """Passes if a client of its own is served."""
    async with grpc.aio.insecure_channel(frontend.target) as channel:
        method: Any = channel.unary_unary("/drink.v1.MachineService/ListMachines")
        raw = await method(b"", timeout=LIMIT_S)
    assert len(machine_service_pb2.ListMachinesResponse.FromString(raw).machines) == 2


class TestStrangers:
    @pytest.mark.parametrize(
        "junk",
        [
            b"USER alice\nPASS secret\n",
            b"GET / HTTP/1.1\r\nHost: drink\r\n\r\n",
            bytes(range(256)) * 4_096,
            b"\0" * 1_000_000,
            PREFACE + b"\xff" * 100_000,
            PREFACE + b"\x00\x40\x01\x01\x05\x00\x00\x00\x01" + b"\xff" * 16_385,
            PREFACE[:10],
        ],
        ids=["session", "http1", "bytes", "zeros", "frames", "headers", "half a preface"],
    )
    async def test_junk_does_not_disturb_others(self, frontend: Frontend, junk: bytes) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
        writer.write(junk)
        try:
            await asyncio.wait_for(writer.drain(), LIMIT_S)
            await served(frontend)
        except ConnectionError:
            await served(frontend)
        finally:
            writer.transport.abort()

    async def test_a_tls_hello_on_the_plain_port_disturbs_no_others(
        self, frontend: Frontend
    ) -> None:
        context = ssl.create_default_context()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(
                "127.0.0.1", frontend.port, ssl=context, ssl_handshake_timeout=LIMIT_S
            )
        await served(frontend)

    async def test_a_connection_that_stays_silent_is_closed(self) -> None:
        async with running_frontend(handshake_timeout_s=1) as frontend:
            reader, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
            async with asyncio.timeout(LIMIT_S):
                while await reader.read(1_000):
                    pass
            writer.close()
            await writer.wait_closed()
            await served(frontend)

    async def test_many_silent_connections_do_not_disturb_others(self, frontend: Frontend) -> None:
        writers = [
            (await asyncio.open_connection("127.0.0.1", frontend.port))[1] for _ in range(200)
        ]
        await served(frontend)
        for writer in writers:
            writer.transport.abort()


class TestLimits:
    async def test_a_message_that_is_too_large_is_refused(self, frontend: Frontend) -> None:
        request = drop_service_pb2.DropRequest(request_id="r", slot="x" * 65_537)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await frontend.call(request, ANN)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await frontend.kept_drops() == []
        await served(frontend)

    async def test_metadata_that_is_too_large_is_refused(self, frontend: Frontend) -> None:
        metadata = (("authorization", "Bearer " + "x" * 20_000),)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await frontend.call(account_service_pb2.GetAccountRequest(), metadata)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await served(frontend)

    async def test_calls_beyond_the_limit_are_refused_and_again_after_a_refusal(self) -> None:
        async with running_frontend(calls_max=2) as frontend:
            frontend.storage.gate.clear()
            drops: list[Any] = []
            for buyer, slot in ((ANN, 1), (BOB, 2)):
                request = drop_service_pb2.DropRequest(
                    request_id="r", slot=f"machines/d/slots/{slot}", delay=Duration(seconds=9)
                )
                frontend.storage.waiting.clear()
                drops.append(frontend.call(request, buyer))
                await asyncio.wait_for(frontend.storage.waiting.wait(), LIMIT_S)
            everybody: tuple[Any, ...] = (ANN, None, BOB, None)
            for metadata in everybody:
                refusal = await frontend.refused(
                    machine_service_pb2.ListMachinesRequest(), metadata
                )
                assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert refusal.reason == "RATE_LIMITED"
            frontend.storage.gate.set()
            for drop in drops:
                await drop
            await served(frontend)


class TestReflection:
    @staticmethod
    async def services(frontend: Frontend) -> set[str]:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(frontend.channel)  # type: ignore[no-untyped-call]
        call = stub.ServerReflectionInfo(timeout=LIMIT_S)
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listing = (await read(call)).list_services_response
        await call.done_writing()
        return {service.name for service in listing.service}

    async def test_lists_all_services(self, frontend: Frontend) -> None:
        expected = {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
        assert await self.services(frontend) == expected

    async def test_describes_them(self, frontend: Frontend) -> None:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(frontend.channel)  # type: ignore[no-untyped-call]
        call = stub.ServerReflectionInfo(timeout=LIMIT_S)
        for service in SERVICES:
            await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=service))
            found = (await read(call)).file_descriptor_response.file_descriptor_proto
            assert service.rpartition(".")[2].encode() in b"".join(found)
        await call.done_writing()

    async def test_can_be_switched_off(self) -> None:
        async with running_frontend(reflection=False) as frontend:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await self.services(frontend)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


class TestStartAndEnd:
    async def test_a_second_frontend_on_the_same_port_fails(self, frontend: Frontend) -> None:
        second = Frontend(RpcSettings(port=frontend.port), frontend.bench)
        with pytest.raises(OSError, match="cannot listen"):
            await second.server.start()
        await served(frontend)

    async def test_an_order_that_was_begun_is_carried_out_after_the_end(self) -> None:
        async with running_frontend() as frontend:
            frontend.storage.gate.clear()
            call = frontend.call(
                drop_service_pb2.DropRequest(request_id="r", slot="machines/d/slots/1"), ANN
            )
            await asyncio.wait_for(frontend.storage.waiting.wait(), LIMIT_S)
            stopping = asyncio.create_task(frontend.server.stop(0))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            await asyncio.wait_for(stopping, LIMIT_S)
            frontend.storage.gate.set()
            await frontend.placed_all()
            assert len(await frontend.kept_drops()) == 1

    async def test_fault_21_a_stop_ends_open_streams(self) -> None:
        async with running_frontend() as frontend:
            link = frontend.link_stub.Connect(metadata=AGENT_D, timeout=LIMIT_S)
            watch = frontend.call(machine_service_pb2.WatchMachinesRequest())
            await read(watch)
            await read(watch)
            await frontend.server.drain()
            assert (await refused(watch.read())).reason == "SHUTTING_DOWN"
            await frontend.server.stop(0)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await link.read()
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert frontend.open_links.status("d") is None
