"""Serial ports, with real pseudo terminals and a real RFC 2217 server."""

import asyncio
import contextlib
import os
import pty
import termios
import threading
import tty
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import serial

from drink_agent.board.serial_stream import SerialSource, SerialStream
from drink_agent.board.streams import READ_BYTES, StreamError, StreamLostError, parse_url
from tests.fakes.board_rfc2217 import Rfc2217Server

LIMIT_S = 20.0


@dataclass
class Terminal:
    """A pseudo terminal: the board's end, and the path of the agent's end."""

    master: int
    slave: int
    path: str

    def unplug(self) -> None:
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    made = Terminal(master, slave, os.ttyname(slave))
    yield made
    made.unplug()


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[SerialStream]:
    stream = await SerialSource(parse_url(url)).open()
    try:
        yield stream
    finally:
        async with asyncio.timeout(LIMIT_S):
            await stream.close()


async def read_exactly(stream: SerialStream, count: int) -> bytes:
    data = b""
    async with asyncio.timeout(LIMIT_S):
        while len(data) < count:
            data += await stream.read()
    return data


async def from_board(terminal: Terminal, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await asyncio.to_thread(os.read, terminal.master, count - len(data))
    return data


async def test_bytes_go_both_ways(terminal: Terminal) -> None:
    async with opened(f"serial://{terminal.path}") as stream:
        stream.write(b"6\n")
        stream.write(b"31\n")
        assert await from_board(terminal, 5) == b"6\n31\n"
        os.write(terminal.master, b"4\n\x00\xff")
        assert await read_exactly(stream, 4) == b"4\n\x00\xff"


async def test_a_write_does_not_wait_for_a_read_to_end(terminal: Terminal) -> None:
    async with opened(f"serial://{terminal.path}") as stream:
        reading = asyncio.create_task(stream.read())
        for number in range(20):
            stream.write(b"%d\n" % (number % 10))
            async with asyncio.timeout(LIMIT_S):
                assert await from_board(terminal, 2) == b"%d\n" % (number % 10)
        os.write(terminal.master, b"9\n")
        async with asyncio.timeout(LIMIT_S):
            await reading


async def test_a_flood_is_read_in_pieces_and_waits_for_the_reader(terminal: Terminal) -> None:
    flood = bytes(range(256)) * 1024
    async with opened(f"serial://{terminal.path}") as stream:
        writing = asyncio.create_task(asyncio.to_thread(_write_all, terminal.master, flood))
        received = b""
        async with asyncio.timeout(LIMIT_S):
            while len(received) < len(flood):
                piece = await stream.read()
                assert len(piece) <= READ_BYTES
                received += piece
        assert received == flood
        await writing


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


async def test_fault_46_a_port_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="No such file"):
        await SerialSource(parse_url(f"serial://{tmp_path}/ttyUSB0")).open()


async def test_what_is_no_terminal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(StreamError):
        await SerialSource(parse_url(f"serial://{path}")).open()


async def test_fault_46_a_second_reader_is_kept_out(terminal: Terminal) -> None:
    async with opened(f"serial://{terminal.path}"):
        with pytest.raises(StreamError, match="another program holds"):
            await SerialSource(parse_url(f"serial://{terminal.path}")).open()
    async with opened(f"serial://{terminal.path}"):
        pass


async def test_a_port_that_another_process_holds_is_not_taken(terminal: Terminal) -> None:
    with (
        serial.Serial(terminal.path, exclusive=True),
        pytest.raises(StreamError, match="another program holds"),
    ):
        await SerialSource(parse_url(f"serial://{terminal.path}")).open()


async def test_fault_46_an_unplugged_port_ends_the_stream(terminal: Terminal) -> None:
    async with opened(f"serial://{terminal.path}") as stream:
        os.write(terminal.master, b"4\n")
        assert await read_exactly(stream, 2) == b"4\n"
        terminal.unplug()
        async with asyncio.timeout(LIMIT_S):
            for _ in range(2):
                with pytest.raises(StreamLostError):
                    await stream.read()
        with pytest.raises(StreamLostError) as caught:
            stream.write(b"31\n")
        assert caught.value.unsent


async def test_after_hanging_up_the_reason_is_told(terminal: Terminal) -> None:
    async with opened(f"serial://{terminal.path}") as stream:
        stream.hang_up("enough")
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(StreamLostError, match="enough"):
                await stream.read()


async def test_closing_the_port_does_not_pull_its_lines(terminal: Terminal) -> None:
    async with opened(f"serial://{terminal.path}"):
        flags = termios.tcgetattr(terminal.slave)[2]
        assert not flags & termios.HUPCL


async def test_the_port_is_not_kept_from_the_next_process_when_this_one_is_killed(
    terminal: Terminal,
) -> None:
    async with opened(f"serial://{terminal.path}"):
        with serial.Serial(terminal.path):  # would be EBUSY for all but root
            pass


async def test_no_thread_outlives_its_stream(terminal: Terminal) -> None:
    def threads() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if terminal.path in thread.name]

    async with opened(f"serial://{terminal.path}"):
        [thread] = threads()
    await asyncio.to_thread(thread.join, LIMIT_S)
    assert not threads()


@pytest.fixture
def server(terminal: Terminal) -> Iterator[Rfc2217Server]:
    made = Rfc2217Server(terminal.path)
    yield made
    made.close()


# pyserial 3.5 uses deprecated setters of threads, which still work.
old_setters = pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")


@old_setters
async def test_rfc2217_bytes_go_both_ways(terminal: Terminal, server: Rfc2217Server) -> None:
    async with opened(f"{server.url}?baudrate=19200") as stream:
        stream.write(b"31\n\xff")
        assert await from_board(terminal, 4) == b"31\n\xff"
        os.write(terminal.master, b"4\n\xff\x00")
        assert await read_exactly(stream, 4) == b"4\n\xff\x00"


@old_setters
async def test_rfc2217_a_lost_connection_ends_the_stream(server: Rfc2217Server) -> None:
    async with opened(server.url) as stream:
        server.drop_client()
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(StreamLostError):
                await stream.read()


async def test_fault_47_rfc2217_a_refused_connection_is_an_error() -> None:
    with pytest.raises(StreamError, match="refused"):
        await SerialSource(parse_url("rfc2217://127.0.0.1:1")).open()
