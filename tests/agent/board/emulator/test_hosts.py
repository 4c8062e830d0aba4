"""The connections of an emulated board: terminals and sockets, interrupted and restored."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drink_agent.board.emulator.hosts import DialHost, ListenHost, PtyHost
from drink_agent.board.emulator.spec import ArmedFault, Fault
from tests.support.board_emulated import quick
from tests.support.sessions import until

LIMIT_S = 20.0


async def read_until(reader: asyncio.StreamReader, line: bytes) -> bytes:
    async with asyncio.timeout(LIMIT_S):
        return await reader.readuntil(line)


async def read_fd(fd: int, end: bytes) -> bytes:
    data = b""
    async with asyncio.timeout(LIMIT_S):
        while not data.endswith(end):
            data += await asyncio.to_thread(os.read, fd, 4096)
    return data


class Agents:
    """A server that boards dial, and their connections in order."""

    def __init__(self) -> None:
        self.readers: asyncio.Queue[asyncio.StreamReader] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def dialled(self) -> asyncio.StreamReader:
        return await asyncio.wait_for(self.readers.get(), LIMIT_S)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.readers.put_nowait(reader)

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator["Agents"]:
        agents = cls()
        async with await asyncio.start_server(agents._accept, "127.0.0.1", 0) as server:
            agents.port = server.sockets[0].getsockname()[1]
            yield agents
            for writer in agents.writers:
                writer.close()


class TestPty:
    async def test_a_board_is_found_through_its_link(self, tmp_path: Path) -> None:
        link = tmp_path / "board"
        async with PtyHost(quick(), link) as host:
            assert host.where == f"serial://{link}"
            fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
            try:
                os.write(fd, b"31\n")
                assert b"4\n" in await read_fd(fd, b"4\n71 1`2 1`3 0\n")
            finally:
                os.close(fd)
        assert not link.is_symlink()

    async def test_unplugging_ends_it_and_plugging_in_makes_a_new_one(self, tmp_path: Path) -> None:
        link = tmp_path / "board"
        async with PtyHost(quick(), link) as host:
            fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
            tty.setraw(fd)
            host.lose(0.01)
            assert not link.is_symlink()
            with pytest.raises(OSError, match="Input/output"):
                os.write(fd, b"6\n")
            os.close(fd)
            assert await host.wait_until(lambda board: board.connected, LIMIT_S)
            assert link.is_symlink()

    async def test_without_power_the_terminal_stays_and_is_silent(self, tmp_path: Path) -> None:
        link = tmp_path / "board"
        async with PtyHost(quick(), link) as host:
            fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
            await read_fd(fd, b"838.3\n")
            host.lose(0.05, silently=True)
            os.write(fd, b"31\n")
            assert (await read_fd(fd, b"838.3\n")).startswith(b"0password\n")
            assert host.board.counts.motor_runs == 0
            os.close(fd)

    async def test_a_power_cut_while_it_is_unplugged_leaves_it_to_be_found_again(
        self, tmp_path: Path
    ) -> None:
        link = tmp_path / "board"
        async with PtyHost(quick(), link) as host:
            host.lose(60)
            host.lose(0.01, silently=True)
            assert await host.wait_until(lambda board: board.connected, LIMIT_S)
            fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
            os.write(fd, b"6\n")
            await read_fd(fd, b"71 1`2 1`3 0\n")
            os.close(fd)

    async def test_an_old_link_is_replaced(self, tmp_path: Path) -> None:
        link = tmp_path / "board"
        link.symlink_to("/nonexistent")
        async with PtyHost(quick(), link):
            assert link.exists()

    async def test_nobody_has_to_listen(self, tmp_path: Path) -> None:
        async with PtyHost(quick(), tmp_path / "board") as host:
            for _ in range(100):
                host.apply(host.board.send(b"9" * 1000 + b"\n", host.now))
                host.apply(host.board.tick(host.now))
            assert host.board.connected


class TestDial:
    async def test_it_dials_until_someone_listens_and_again_when_hung_up_on(self) -> None:
        async with (
            DialHost(quick(), "127.0.0.1", 1, redial_s=0.01) as host,
            Agents.listening() as agents,
        ):
            host._port = agents.port
            for _ in range(3):
                assert await read_until(await agents.dialled(), b"\n") == b"0password\n"
                agents.writers.pop().close()

    async def test_without_power_its_old_connection_hangs(self) -> None:
        async with (
            Agents.listening() as agents,
            DialHost(quick(), "127.0.0.1", agents.port) as host,
        ):
            first = await agents.dialled()
            await read_until(first, b"838.3\n")
            host.lose(0.01, silently=True)
            second = await agents.dialled()
            await read_until(second, b"838.3\n")
            assert not first.at_eof()
            agents.writers[0].write(b"31\n")
            agents.writers[1].write(b"6\n")
            await read_until(second, b"71 1`2 1`3 0\n")
            assert host.board.counts.motor_runs == 0

    @pytest.mark.parametrize("steps", range(12))
    async def test_broken_while_it_dials_it_has_one_connection(self, steps: int) -> None:
        async with (
            Agents.listening() as agents,
            DialHost(quick(), "127.0.0.1", agents.port) as host,
        ):
            for _ in range(steps):
                await asyncio.sleep(0)
            host.lose(0.01)
            await until(lambda: not (host._later or host._dialling) and host.board.connected)
            reader = await agents.dialled()
            while agents.readers.qsize():
                reader = await agents.dialled()
            await read_until(reader, b"838.3\n")
            agents.writers[-1].write(b"6\n")
            await read_until(reader, b"71 1`2 1`3 0\n")


class TestListen:
    async def test_it_serves_one_agent_at_a_time(self) -> None:
        async with ListenHost(quick(), "127.0.0.1", 0) as host:
            port = int(host.where.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await read_until(reader, b"838.3\n")
            second, other = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(LIMIT_S):
                assert await second.read() == b""
            writer.write(b"31\n")
            assert await read_until(reader, b"4\n")
            other.close()
            writer.close()
            assert await host.wait_until(lambda board: not board.connected, LIMIT_S)

    async def test_a_cut_comes_in_mid_dispense_and_the_can_falls(self) -> None:
        async with ListenHost(quick(), "127.0.0.1", 0) as host:
            host.board.arm(ArmedFault(Fault.DISCONNECT, 0.01), 1)
            port = int(host.where.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"31\n")
            async with asyncio.timeout(LIMIT_S):
                assert b"4\n" not in await reader.read()
            writer.close()
            assert await host.wait_until(lambda board: board.counts.dispensed == {1: 1}, LIMIT_S)


async def test_waiting_has_a_limit(tmp_path: Path) -> None:
    async with PtyHost(quick(), tmp_path / "board") as host:
        assert not await host.wait_until(lambda board: board.counts.motor_runs > 0, 0.01)
