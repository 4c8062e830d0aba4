"""grpc.health.v1, and the check of `drink-frontend health`."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc

from drink_frontend.rpc.health import check, probe
from drink_frontend.rpc.server import SERVICES
from drink_frontend.rpc.settings import RpcSettings
from tests.fakes.http_proxy import PROXY_VARIABLES, HttpProxy
from tests.support.rpc_frontend import LIMIT_S, Frontend, read, refused, running_frontend

DATA = Path(__file__).parent / "data"
SERVING = pb.HealthCheckResponse.SERVING
NOT_SERVING = pb.HealthCheckResponse.NOT_SERVING


def stub(frontend: Frontend) -> Any:
    return health_pb2_grpc.HealthStub(frontend.channel)  # type: ignore[no-untyped-call]


async def status(frontend: Frontend, service: str = "") -> int:
    request = pb.HealthCheckRequest(service=service)
    answer = await stub(frontend).Check(request, timeout=LIMIT_S)
    return int(answer.status)


@pytest.mark.parametrize("service", ["", *SERVICES])
async def test_every_service_serves_until_the_drain(frontend: Frontend, service: str) -> None:
    watch = stub(frontend).Watch(pb.HealthCheckRequest(service=service), timeout=LIMIT_S)
    assert (await read(watch)).status == SERVING
    assert await status(frontend, service) == SERVING
    await frontend.server.drain()
    assert (await read(watch)).status == NOT_SERVING
    assert await status(frontend, service) == NOT_SERVING


async def test_an_unknown_service_is_unknown(frontend: Frontend) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await status(frontend, "drink.v2.DropService")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watch = stub(frontend).Watch(pb.HealthCheckRequest(service="x"), timeout=LIMIT_S)
    assert (await read(watch)).status == pb.HealthCheckResponse.SERVICE_UNKNOWN


async def test_follows_the_database_and_comes_back() -> None:
    async with running_frontend(health_interval_s=0.01) as frontend:
        watch = stub(frontend).Watch(pb.HealthCheckRequest(), timeout=LIMIT_S)
        assert (await read(watch)).status == SERVING
        frontend.database_writable = False
        assert (await read(watch)).status == NOT_SERVING
        frontend.database_writable = True
        assert (await read(watch)).status == SERVING
        await frontend.server.drain()
        assert (await read(watch)).status == NOT_SERVING
        # The database still takes changes; the frontend ends all the same. Whoever has been asked
        # twice has been heard once.
        for _ in range(2):
            frontend.asked_for_health.clear()
            await asyncio.wait_for(frontend.asked_for_health.wait(), LIMIT_S)
        assert await status(frontend) == NOT_SERVING


async def test_watchers_are_counted(frontend: Frontend) -> None:
    async with running_frontend(watches_per_caller_max=1) as small:
        first = stub(small).Watch(pb.HealthCheckRequest(), timeout=LIMIT_S)
        await read(first)
        second = stub(small).Watch(pb.HealthCheckRequest(), timeout=LIMIT_S)
        assert (await refused(second.read())).reason == "RATE_LIMITED"
        assert await status(small) == SERVING


async def test_a_probe_that_fails_or_hangs_is_false() -> None:
    async def fails() -> bool:
        raise OSError("disk full")

    async def hangs() -> bool:
        await asyncio.Event().wait()
        return True

    assert not await probe(fails, 5)
    assert not await probe(hangs, 0.01)


class TestCheck:
    async def test_returns_the_status_of_the_frontend(self, frontend: Frontend) -> None:
        settings = RpcSettings(port=frontend.port)
        assert await check(settings)
        await frontend.server.drain()
        assert not await check(settings)

    @pytest.mark.parametrize("variable", PROXY_VARIABLES)
    @pytest.mark.parametrize("encrypted", [False, True])
    async def test_uses_no_proxy_of_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, encrypted: bool
    ) -> None:
        one = {"tls_certificate": DATA / "one.pem", "tls_key": DATA / "one.key"}
        files = one if encrypted else {}
        async with HttpProxy() as proxy, running_frontend(**files) as frontend:
            monkeypatch.setenv(variable, proxy.url)
            assert await check(RpcSettings(port=frontend.port, **files))  # type: ignore[arg-type]
            assert proxy.asked == []

    async def test_is_false_without_an_answer(self, frontend: Frontend) -> None:
        await frontend.server.stop(0)
        assert not await check(RpcSettings(port=frontend.port), timeout_s=5)

    async def test_is_false_if_the_answer_takes_too_long(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            settings = RpcSettings(port=silent.getsockname()[1])
            assert not await check(settings, timeout_s=0.2)

    async def test_uses_tls_with_the_frontends_own_certificate(self) -> None:
        files = {"tls_certificate": DATA / "one.pem", "tls_key": DATA / "one.key"}
        async with running_frontend(**files) as frontend:
            settings = RpcSettings(address="0.0.0.0", port=frontend.port, **files)  # type: ignore[arg-type]
            assert await check(settings)
            other = settings.model_copy(update={"tls_certificate": DATA / "two.pem"})
            assert not await check(other)
