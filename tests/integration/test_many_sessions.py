"""Many open sessions, some that buy and one that never reads: all others are served."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from scripts.processes import wait_until
from tests.integration.audited_system import ADMIN, ALICE, COUPLE, AuditedSystem

UNREAD_LIMIT_S = 2

PLAN = replace(
    COUPLE,
    users=(replace(ALICE, credits=20_000), ADMIN),
    frontend={
        # All of them come from one address, which has half of the sessions unless it is set, and
        # may not open so many at once.
        "sessions": (
            f"unread_limit_s = {UNREAD_LIMIT_S}\n"
            "sessions_per_address_max = 16_384\nopening.pause_max_s = 0"
        ),
        "drops": "waiting_max = 200\nwaiting_per_account_max = 200",
    },
)

LIMIT_S = 120

DIALLING_MAX = 100
"""Connections that are made at the same time; the listener's queue holds ten times as many."""

LOOKING_MAX = 1_000
"""Sessions that ask at the same time; the database's readers take eight times as many."""

BUYS = (b"DROP 1\n", b"DROP 2\n", b"MACHINE ld\nDROP 1\n")
"""What buyers ask for in turn."""

IDLE_KIB_MAX = 16
"""Most memory of an idle session."""


@dataclass
class Session:
    """One open session."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, words: bytes) -> list[bytes]:
        """Sends lines and returns the line that answers each."""
        self.writer.write(words)
        return [await self.reader.readline() for _ in range(words.count(b"\n"))]


@asynccontextmanager
async def sessions(port: int, count: int) -> AsyncIterator[list[Session]]:
    """So many greeted sessions."""
    gate = asyncio.Semaphore(DIALLING_MAX)

    async def dial() -> Session:
        async with gate:
            session = Session(*await asyncio.open_connection("127.0.0.1", port, limit=4096))
            assert await session.reader.readline() == b"OK Welcome to Big Drink\n"
            return session

    opened = await asyncio.gather(*(dial() for _ in range(count)))
    try:
        yield opened
    finally:
        for session in opened:
            session.writer.transport.abort()
        await asyncio.sleep(0)


async def never_read(port: int) -> float:
    """Asks on and on without reading; seconds until the session is cut off."""
    started = time.monotonic()
    session = Session(*await asyncio.open_connection("127.0.0.1", port, limit=1))
    try:
        while True:
            session.writer.write(b"STAT\n" * 1000)
            await session.writer.drain()
    except ConnectionError:
        return time.monotonic() - started


async def buy(session: Session, words: bytes) -> None:
    """Logs in, buys, and receives the remaining credits."""
    login = f"USER {ALICE.name}\nPASS {ALICE.password}\n".encode()
    *_, logged_in = await session.ask(login)
    assert logged_in.startswith(b"OK Credits: "), logged_in
    *_, bought = await session.ask(words)
    assert bought.startswith(b"OK Credits remaining: "), bought


async def look(sessions: list[Session]) -> float:
    """Has every session ask for one line; seconds that the slowest waited for its answer."""
    gate = asyncio.Semaphore(LOOKING_MAX)

    async def ask(session: Session) -> float:
        async with gate:
            started = time.monotonic()
            (answer,) = await session.ask(b"MACHINE ld\n")
            assert answer == b"OK Welcome to Little Drink\n"
            return time.monotonic() - started

    return max(await asyncio.gather(*map(ask, sessions)))


def memory_kib(pid: int) -> int:
    """Memory of a process that is in use."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.parametrize(
    ("count", "buyers"),
    [
        (500, 20),
        pytest.param(10_000, 100, marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
async def test_fault_8_of_many_sessions_all_are_served(
    system: AuditedSystem, count: int, buyers: int
) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 2 * count + 1_000:
        pytest.skip(f"this machine lets a process open {most} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    frontend, port = system.frontend.pid, system.session_port
    system.alice.account()
    files, before_kib = open_files(frontend), memory_kib(frontend)
    async with asyncio.timeout(LIMIT_S), sessions(port, count) as opened:
        idle_kib = (memory_kib(frontend) - before_kib) / count
        deaf = asyncio.create_task(never_read(port))
        buying = [
            asyncio.create_task(buy(session, BUYS[number % len(BUYS)]))
            for number, session in enumerate(opened[:buyers])
        ]
        slowest_s = await look(opened[buyers:])
        await asyncio.gather(*buying)
        cut_after_s = await deaf
    print(
        f"\n{count} sessions, {idle_kib:.1f} KiB each; while {buyers} bought, the slowest of the"
        f" others waited {slowest_s:.2f} s; who never read was cut off after {cut_after_s:.1f} s"
    )
    assert idle_kib < IDLE_KIB_MAX
    await asyncio.to_thread(
        wait_until, lambda: open_files(frontend) <= files + 1, "the sessions are gone"
    )
