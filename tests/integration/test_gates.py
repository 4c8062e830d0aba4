"""What stands before a frontend: the shipped files, by the real programs, with the real server."""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from drink.v1 import drop_service_pb2, machine_service_pb2
from drink.v1.drop_service_pb2_grpc import DropServiceStub
from drink.v1.machine_service_pb2_grpc import MachineServiceStub
from tests.support import programs
from tests.support.ports import free_port
from tests.support.rpc_frontend import ANN, LIMIT_S, Frontend, read, running_frontend
from tests.support.tasks import cancel

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def program(name: str) -> str:
    """Where a program is; the test is skipped without it."""
    found = shutil.which(name, path=SBIN)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@asynccontextmanager
async def running(command: list[str], port: int, **environment: str) -> AsyncIterator[None]:
    """A proxy that listens."""
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            while True:
                assert process.returncode is None, f"{command[0]} ended"
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
                    break
                await asyncio.sleep(0.05)
        yield
    finally:
        process.terminate()
        await process.wait()


async def sells(port: int) -> None:
    """Passes if a drop and a watch go through."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        watch = MachineServiceStub(channel).WatchMachines(
            machine_service_pb2.WatchMachinesRequest(), timeout=LIMIT_S
        )
        await read(watch)
        request = drop_service_pb2.DropRequest(request_id="r", slot="machines/d/slots/1")
        answer = await DropServiceStub(channel).Drop(request, metadata=ANN, timeout=LIMIT_S)
        assert answer.drop.state == drop_service_pb2.Drop.STATE_RESERVED
        watch.cancel()


async def _until_closed(connection: socket.socket, port: int) -> None:
    """Connects, and waits until the other side closes."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        await loop.sock_connect(connection, ("127.0.0.1", port))
        await loop.sock_recv(connection, 1)


async def closed(port: int, count: int, wanted: int) -> int:
    """How many of so many silent connections a gate closes; waits for as many as are wanted."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        waiting: set[asyncio.Task[None]] = set()
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.setblocking(False)
            waiting.add(loop.create_task(_until_closed(connection, port)))
        async with asyncio.timeout(LIMIT_S):
            while len(waiting) > count - wanted:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        ended = count - sum(not task.done() for task in waiting)
        await cancel(*waiting)
    return ended


def haproxy(frontend: Frontend, port: int) -> dict[str, str]:
    """The environment of the shipped configuration."""
    return {
        "DRINK_GATE_GRPC": f"127.0.0.1:{port}",
        "DRINK_GATE_SESSIONS": f"127.0.0.1:{free_port()}",
        "DRINK_FRONTEND_GRPC": frontend.target,
        "DRINK_GATE_PER_ADDRESS": "5",
    }


async def test_calls_go_through_haproxy_and_one_address_gets_no_more_than_its_share() -> None:
    command = [program("haproxy"), "-db", "-f", str(DEPLOY / "haproxy/haproxy.cfg")]
    async with running_frontend(drop_wait_s=0.1) as frontend:
        port = free_port()
        async with running(command, port, **haproxy(frontend, port)):
            await sells(port)
            # The connection before may still be counted, while it ends.
            assert await closed(port, 12, wanted=7) <= 8
            await sells(port)


def nginx(frontend: Frontend, port: int, folder: Path, **changes: str) -> list[str]:
    """The command for the shipped configuration, without TLS and on free ports."""
    server = (DEPLOY / "nginx/drink.conf").read_text()
    for old, new in {
        "listen 50051 ssl http2;": f"listen 127.0.0.1:{port} http2;",
        "ssl_certificate /etc/drink-frontend/server.pem;": "",
        "ssl_certificate_key /etc/drink-frontend/server.key;": "",
        "grpc://127.0.0.1:50061": f"grpc://{frontend.target}",
        **changes,
    }.items():
        assert old in server
        server = server.replace(old, new)
    paths = "".join(
        f"{name}_temp_path {folder / name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder / 'pid'}; error_log stderr crit; events {{}}\n"
        f"http {{ access_log off; {paths}\n{server}\n}}\n"
    )
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]


async def test_calls_go_through_nginx(tmp_path: Path) -> None:
    async with running_frontend(drop_wait_s=0.1) as frontend:
        port = free_port()
        async with running(nginx(frontend, port, tmp_path), port):
            await sells(port)


@pytest.mark.slow
async def test_nginx_waits_for_a_drop_and_a_watch_although_both_are_silent(tmp_path: Path) -> None:
    """With the shortest pings that can be set, and nginx's time in proportion."""
    settings: dict[str, Any] = {"keepalive_time_s": 10, "drop_begin_s": 5, "drop_wait_s": 40}
    changes = {"grpc_read_timeout 1d;": "grpc_read_timeout 15s;"}
    async with running_frontend(**settings) as frontend:
        port = free_port()
        async with (
            running(nginx(frontend, port, tmp_path, **changes), port),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            watch = MachineServiceStub(channel).WatchMachines(
                machine_service_pb2.WatchMachinesRequest(), timeout=60
            )
            for _ in range(2):
                await read(watch)
            request = drop_service_pb2.DropRequest(request_id="r", slot="machines/d/slots/1")
            answer = await DropServiceStub(channel).Drop(request, metadata=ANN, timeout=60)
            assert answer.drop.state == drop_service_pb2.Drop.STATE_RESERVED
            assert not watch.done()
            watch.cancel()


KNOCKS = """
import socket
for address, family, port in (("127.0.0.1", socket.AF_INET, 50051), ("::1", socket.AF_INET6, 4242)):
    server = socket.create_server((address, port), family=family, backlog=500)
    kept = []
    for _ in range(90):
        try:
            kept.append(socket.create_connection((address, port), timeout=5))
        except ConnectionRefusedError:
            pass
    print(len(kept))
"""
"""Connects ninety times to each of two ports; returns how many connections are kept."""


def test_nftables_gives_each_address_its_share(tmp_path: Path) -> None:
    """In a network of its own; with the limit set so low that no second has to pass."""
    rules = (DEPLOY / "nftables/drink.nft").read_text()
    assert rules.count("ct count over 128") == 2
    (tmp_path / "drink.nft").write_text(rules.replace("ct count over 128", "ct count over 40"))
    (tmp_path / "knocks.py").write_text(KNOCKS)
    script = f"ip link set lo up && {program('nft')} -f {tmp_path / 'drink.nft'} || exit 77\n"
    script += f"{sys.executable} {tmp_path / 'knocks.py'}"
    done = programs.run(program("unshare"), "--net", "bash", "-c", script)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no network of its own with nftables: {done.stderr.strip()[:200]}")
    assert done.stdout.split() == ["40", "40"], done.stderr
