"""Boards over TCP with real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drink_agent.board.settings import BoardSettings
from drink_agent.board.streams import StreamError, StreamLostError, parse_url
from drink_agent.board.tcp_stream import DialSource, ListenSource, TcpStream

LIMIT_S = 20.0
Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def listening(**changes: Any) -> AsyncIterator[ListenSource]:
    values: dict[str, Any] = {
        "url": "listen://127.0.0.1:0",
        "password": "password",
        "login_limit_s": 5.0,
    }
    settings = BoardSettings(**(values | changes))
    source = ListenSource(parse_url(settings.url), settings)
    opening = asyncio.create_task(source.open())
    async with asyncio.timeout(LIMIT_S):
        while source.port is None and not opening.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
    opening.cancel()  # nobody dials yet; it listens from now on
    with contextlib.suppress(asyncio.CancelledError):
        await opening
    try:
        yield source
    finally:
        await source.close()


@contextlib.asynccontextmanager
async def dialled(source: ListenSource, say: bytes = b"") -> AsyncIterator[Peer]:
    assert source.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
    writer.write(say)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def soon(awaitable: Any) -> Any:
    async with asyncio.timeout(LIMIT_S):
        return await awaitable


async def read_exactly(stream: TcpStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await soon(stream.read())
    return data


async def to_peer() -> tuple[TcpStream, socket.socket]:
    """A stream that was dialled, and the socket of its peer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stream = await soon(DialSource(parse_url(f"tcp://127.0.0.1:{port}")).open())
        return stream, server.accept()[0]


class TestDialIn:
    async def test_a_board_that_logs_in_is_admitted_with_all_it_said(self) -> None:
        async with listening() as source, dialled(source, b"0pass") as (reader, writer):
            writer.write(b"word\n72 1\n")
            stream = await soon(source.open())
            assert await read_exactly(stream, 15) == b"0password\n72 1\n"
            stream.write(b"1\n6\n")
            assert await soon(reader.readexactly(4)) == b"1\n6\n"
            writer.write(b"9\n")
            assert await read_exactly(stream, 2) == b"9\n"
            await stream.close()

    @pytest.mark.parametrize("login", [b"0wrong\n", b"9\n" * 3000])
    async def test_a_wrong_password_is_answered_and_cut(self, login: bytes) -> None:
        async with listening() as source, dialled(source, login) as (reader, _):
            answer = b""
            with contextlib.suppress(ConnectionError):
                answer = await soon(reader.read())
            assert answer in ((b"2\n", b"") if len(login) > 10 else (b"2\n",))

    async def test_silence_before_the_login_is_cut_after_its_limit(self) -> None:
        async with listening(login_limit_s=0.05) as source, dialled(source) as (reader, _):
            assert await soon(reader.read()) == b""

    async def test_an_address_that_is_not_allowed_is_cut_unheard(self) -> None:
        async with (
            listening(allowed_peers=("10.0.0.0/8",)) as source,
            dialled(source, b"") as (reader, _),
        ):
            assert await soon(reader.read()) == b""

    async def test_an_allowed_address_is_heard(self) -> None:
        async with (
            listening(allowed_peers=("10.0.0.0/8", "127.0.0.0/8")) as source,
            dialled(source, b"0password\n"),
        ):
            stream = await soon(source.open())
            await stream.close()

    async def test_fault_47_a_second_connection_replaces_the_first_once_it_logged_in(self) -> None:
        async with listening() as source, dialled(source, b"0password\n"):
            first = await soon(source.open())
            await read_exactly(first, 10)
            async with dialled(source, b"0wrong\n") as (stranger, _):
                assert await soon(stranger.read()) == b"2\n"
            first.write(b"6\n")
            async with dialled(source, b"0password\n"):
                with pytest.raises(StreamLostError, match="replaced"):
                    await soon(first.read())
                second = await soon(source.open())
                assert await read_exactly(second, 10) == b"0password\n"
                await first.close()
                await second.close()

    async def test_strangers_are_few_and_keep_no_board_out(self) -> None:
        async with listening() as source, contextlib.AsyncExitStack() as stack:
            for _ in range(8):
                await stack.enter_async_context(dialled(source, b"9\n"))
            ninth, _ = await stack.enter_async_context(dialled(source))
            assert await soon(ninth.read()) == b""

    async def test_a_megabyte_of_junk_is_cut(self) -> None:
        async with listening() as source, dialled(source) as (reader, writer):
            with contextlib.suppress(ConnectionError):
                for _ in range(256):
                    writer.write(b"\xff" * 4096)
                    await writer.drain()
                while await soon(reader.read(4096)):
                    pass

    async def test_a_port_in_use_is_an_error_that_says_so(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            url = f"listen://127.0.0.1:{taken.getsockname()[1]}"
            source = ListenSource(parse_url(url), BoardSettings(url=url, password="p"))
            with pytest.raises(StreamError, match="in use"):
                await source.open()
            await source.close()

    async def test_closing_leaves_no_stranger_behind(self) -> None:
        async with listening() as source, dialled(source, b"9\n") as (reader, _):
            async with dialled(source, b"0password\n"):
                board = await soon(source.open())  # so the earlier one has been accepted too
                await soon(source.close())
                await board.close()
            with contextlib.suppress(ConnectionResetError):
                assert await soon(reader.read()) == b""


class TestDialling:
    async def test_bytes_go_both_ways_until_the_peer_ends(self) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(3))
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            stream = await soon(DialSource(parse_url(f"tcp://127.0.0.1:{port}")).open())
            stream.write(b"31\n")
            assert await read_exactly(stream, 3) == b"31\n"
            with pytest.raises(StreamLostError, match="closed by the board"):
                await soon(stream.read())
            await stream.close()

    async def test_fault_47_a_refused_connection_is_an_error(self) -> None:
        with pytest.raises(StreamError, match="port 1"):
            await DialSource(parse_url("tcp://127.0.0.1:1")).open()

    async def test_a_name_no_host_can_have_is_an_error(self) -> None:
        with pytest.raises(StreamError):
            await DialSource(parse_url(f"tcp://{'a' * 64}.example:1")).open()

    async def test_fault_47_a_reset_ends_the_stream(self) -> None:
        stream, peer = await to_peer()
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        peer.close()
        with pytest.raises(StreamLostError):
            await soon(stream.read())
        await stream.close()

    async def test_a_peer_that_does_not_read_is_lost_before_it_fills_memory(self) -> None:
        stream, peer = await to_peer()

        def write_for_ever() -> None:
            for _ in range(100_000):
                stream.write(b"6\n" * 512)

        with peer, pytest.raises(StreamLostError, match="does not read") as caught:
            write_for_ever()
        assert caught.value.unsent
        await stream.close()

    async def test_after_hanging_up_nothing_is_sent(self) -> None:
        stream, peer = await to_peer()
        with peer:
            stream.hang_up("enough")
            with pytest.raises(StreamLostError, match="enough") as caught:
                stream.write(b"31\n")
            assert caught.value.unsent
            with pytest.raises(StreamLostError, match="enough"):
                await soon(stream.read())
            assert peer.recv(10) == b""
        await stream.close()
