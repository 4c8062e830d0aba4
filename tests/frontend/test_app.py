"""The whole frontend in one process: its parts together, their start and their end."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from drink_frontend.app import Frontend, PartEndedError, StorageBrokenError, administration
from drink_frontend.cli import EXIT_PART_ENDED
from drink_frontend.config import Settings
from drink_frontend.metrics.settings import MetricsSettings
from drink_frontend.rpc.settings import RpcSettings
from drink_frontend.sessions.settings import ListenerSettings, SessionSettings
from drink_frontend.storage.database import Database
from drink_frontend.storage.migrations import migrate
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.system.clock import SystemClock
from drink_frontend.system.passwords import Argon2Hasher
from drink_frontend.system.randomness import SystemRandomness
from tests.support import programs
from tests.support.ports import free_port
from tests.support.postgres import ALL_RIGHTS, as_role, execute, fresh_postgres

LIMIT_S = 30


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A frontend on free ports, which an administrator may stop from a session."""
    chosen = Settings(
        storage=StorageSettings(path=tmp_path / "drink.db"),
        rpc=RpcSettings(port=free_port()),
        metrics=MetricsSettings(listen="127.0.0.1:0"),
        sessions=SessionSettings(
            listeners=(ListenerSettings(port=free_port()),), shutdown_command=True
        ),
    )
    migrate(chosen.storage)
    return chosen


@pytest.fixture
async def storage(settings: Settings) -> AsyncGenerator[Database, None]:
    async with administration(settings) as drink:
        await drink.accounts.create("test", "root", password="secret", admin=True)
    async with Database.open(settings.storage) as storage:
        yield storage


def made(settings: Settings, storage: Database) -> Frontend:
    return Frontend(settings, storage, SystemClock(), SystemRandomness(), Argon2Hasher())


@contextlib.asynccontextmanager
async def serving(
    settings: Settings, frontend: Frontend
) -> AsyncGenerator[asyncio.Task[bool], None]:
    """A frontend that serves; what it does then has a time limit."""
    running = asyncio.create_task(frontend.run())
    async with asyncio.timeout(LIMIT_S):
        await health(settings)
        yield running


async def health(settings: Settings) -> int:
    async with grpc.aio.insecure_channel(settings.rpc.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
        answer = await stub.Check(
            health_pb2.HealthCheckRequest(), timeout=LIMIT_S, wait_for_ready=True
        )
        status: int = answer.status
        return status


async def type_(settings: Settings, *lines: str) -> list[str]:
    """Types into a session; what it answered, the greeting first."""
    port = settings.sessions.listeners[0].port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = [await reader.readline()]
    for line in lines:
        writer.write(f"{line}\n".encode())
        answers.append(await reader.readline())
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return [answer.decode().rstrip("\n") for answer in answers]


async def test_both_edges_serve_until_it_is_stopped(settings: Settings, storage: Database) -> None:
    frontend = made(settings, storage)
    async with serving(settings, frontend) as running:
        assert await health(settings) == health_pb2.HealthCheckResponse.SERVING
        greeting, known = await type_(settings, "VERSION")
        assert greeting.startswith("OK Welcome")
        assert known.startswith("OK ")
        frontend.stop()
        assert await running is False
    for port in (settings.rpc.port, settings.sessions.listeners[0].port):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize(("command", "restart"), [("SHUTDOWN", False), ("SHUTDOWN -r", True)])
async def test_an_administrator_stops_it_where_the_settings_allow(
    settings: Settings, storage: Database, command: str, restart: bool
) -> None:
    async with serving(settings, made(settings, storage)) as running:
        answers = await type_(settings, "USER root", "PASS secret", command)
        assert answers[-1].startswith("OK ")
        assert await running is restart


async def test_fault_31_a_port_in_use_is_an_error_and_leaves_nothing_behind(
    settings: Settings, storage: Database
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.sessions.listeners[0].port))
        taken.listen()
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(OSError, match=str(taken.getsockname()[1])):
                await made(settings, storage).run()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", settings.rpc.port)


@pytest.mark.parametrize(
    ("away", "back"),
    [
        ("REVOKE INSERT ON drops FROM {role}", "GRANT INSERT ON drops TO {role}"),
        ("REVOKE SELECT ON audit FROM {role}", "GRANT SELECT ON audit TO {role}"),
        ("ALTER ROLE {role} CONNECTION LIMIT 2", "ALTER ROLE {role} CONNECTION LIMIT 9"),
        ("ALTER TABLE transfers RENAME TO away", "ALTER TABLE away RENAME TO transfers"),
    ],
)
async def test_fault_63_health_says_whether_reads_and_writes_go_through(
    away: str, back: str
) -> None:
    owner = fresh_postgres(reconnect_ms=10, reconnect_max_ms=20, reader_look_ms=20)
    role = as_role(owner, "drink", *ALL_RIGHTS)
    name = urlsplit(role.url or "").username
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'"
    settings = Settings(
        storage=role,
        rpc=RpcSettings(port=free_port(), health_interval_s=0.05),
        metrics=MetricsSettings(listen=""),
        sessions=SessionSettings(listeners=(ListenerSettings(port=free_port()),)),
    )
    async with Database.open(role) as storage, asyncio.timeout(LIMIT_S):
        frontend = made(settings, storage)
        running = asyncio.create_task(frontend.run())
        await _until_health(settings, health_pb2.HealthCheckResponse.SERVING)
        for statements, status in (
            ((away, end), health_pb2.HealthCheckResponse.NOT_SERVING),
            ((back,), health_pb2.HealthCheckResponse.SERVING),
        ):
            execute(owner, *(statement.format(role=name) for statement in statements))
            await _until_health(settings, status)
        frontend.stop()
        await running


async def _until_health(settings: Settings, wanted: int) -> None:
    while True:
        if await health(settings) == wanted:
            return
        await asyncio.sleep(0.01)


async def test_fault_32_a_database_that_failed_ends_the_process(
    settings: Settings, storage: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def failure() -> BaseException:
        return await failed

    monkeypatch.setattr(storage, "failure", failure)
    async with serving(settings, made(settings, storage)) as running:
        failed.set_result(OSError("disk I/O error"))
        with pytest.raises(StorageBrokenError):
            await running


async def ends_grpc(frontend: Frontend) -> None:
    await frontend._rpc._servers[0].stop(None)


async def ends_health(frontend: Frontend) -> None:
    frontend._rpc._tasks[0].cancel()


async def closes_listener(frontend: Frontend) -> None:
    # As if another part of the process had closed the descriptor by mistake.
    [task] = frontend._sessions._accepting
    task.cancel()


@pytest.mark.parametrize(
    ("end", "part"),
    [
        (ends_grpc, "gRPC server"),
        (ends_health, "gRPC server"),
        (closes_listener, "session server"),
    ],
)
async def test_fault_64_the_process_ends_with_any_part_of_it(
    settings: Settings,
    storage: Database,
    end: Callable[[Frontend], Awaitable[None]],
    part: str,
) -> None:
    frontend = made(settings, storage)
    async with serving(settings, frontend) as running:
        with capture_logs() as logs:
            await end(frontend)
            with pytest.raises(PartEndedError, match=part):
                await running
    [told] = [line for line in logs if line["event"] == "part_ended"]
    assert (told["part"], told["log_level"]) == (part, "critical")


@pytest.mark.parametrize("part", ["deadlines", "presence", "journals"])
@pytest.mark.parametrize("fails", [True, False], ids=["fails", "returns"])
async def test_fault_64_the_process_ends_with_any_work_beside_it(
    settings: Settings,
    storage: Database,
    monkeypatch: pytest.MonkeyPatch,
    *,
    part: str,
    fails: bool,
) -> None:
    frontend = made(settings, storage)
    served = asyncio.Event()

    async def run() -> None:
        await served.wait()
        if fails:
            raise LookupError("broken")

    monkeypatch.setattr(getattr(frontend, f"_{part}"), "run", run)
    async with serving(settings, frontend) as running:
        served.set()
        with pytest.raises(PartEndedError, match=part):
            await running


async def test_fault_64_a_stop_is_no_end_by_itself(settings: Settings, storage: Database) -> None:
    frontend = made(settings, storage)
    async with serving(settings, frontend) as running:
        with capture_logs() as logs:
            frontend.stop(restart=True)
            assert await running is True
    assert "part_ended" not in {line["event"] for line in logs}


async def test_fault_64_a_thread_of_the_database_that_fails_ends_the_process(
    settings: Settings, storage: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit_batch(*_: object) -> None:
        raise SystemError("broken")

    async with serving(settings, made(settings, storage)) as running:
        monkeypatch.setattr(storage._writer, "_commit_batch", commit_batch)
        with pytest.raises(StorageBrokenError):
            await running


PROGRAM = """
import asyncio
from drink_frontend.rpc.server import RpcServer
from drink_frontend.start import main
start = RpcServer.start
async def start_and_end(server):
    port = await start(server)
    asyncio.get_running_loop().call_later(0.1, end, server)
    return port
def end(server):
    server.ending = asyncio.create_task(server._servers[0].stop(None))
RpcServer.start = start_and_end
main()
"""


def test_fault_64_the_exit_code_says_that_a_part_has_ended(settings: Settings) -> None:
    ended = programs.run(
        *(sys.executable, "-c", PROGRAM, "serve"),
        env={
            **os.environ,
            "DRINK_STORAGE__PATH": str(settings.storage.path),
            "DRINK_RPC__PORT": "0",
            "DRINK_SESSIONS__LISTENERS": '[{"port": 0}]',
            "DRINK_SHUTDOWN__DROPS_LIMIT_S": "1",
        },
    )
    assert ended.returncode == EXIT_PART_ENDED, ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    events = [line["event"] for line in lines if line["level"] == "critical"]
    assert events == ["part_ended", "frontend_failed"]
