"""Lines that are ended by silence or by the next command, where a dialect has that."""

import asyncio
from typing import Any

import pytest

from drink_frontend.sessions.codec import LineDecoder
from drink_frontend.sessions.connection import Connection
from drink_frontend.sessions.dialects import DIALECTS, DialectName
from drink_frontend.sessions.reply_codes import ReplyCode
from drink_frontend.sessions.server import SessionServer
from tests.support.session_servers import Serve
from tests.support.sessions import Caller, until


class TestSilence:
    @pytest.mark.parametrize("dialect", [DialectName.DRINKJS, DialectName.DRINKD])
    async def test_ends_a_line(self, serve: Serve, dialect: DialectName) -> None:
        server = await serve({"silence_ends_line_ms": 20}, dialect=dialect)
        async with Caller(server) as caller:
            await caller.read()
            refusal = DIALECTS[dialect].texts[ReplyCode.LOGIN_NEEDED].encode()
            for _ in range(2):
                assert (await caller.ask(b"WHOAMI")).strip(b"\0\r\n") == refusal

    @staticmethod
    async def arrive(server: SessionServer, caller: Caller, *chunks: bytes) -> None:
        """Sends chunks that the server receives one by one."""
        (member,) = server._tracker
        assert isinstance(member, Connection)
        for chunk in chunks:
            taken: list[bytes] = []
            feed = LineDecoder.feed

            def note(
                decoder: LineDecoder, data: bytes, taken: list[bytes] = taken, feed: Any = feed
            ) -> None:
                taken.append(data)
                feed(decoder, data)

            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(LineDecoder, "feed", note)
                caller.send(chunk)
                await until(lambda taken=taken, chunk=chunk: taken == [chunk])  # type: ignore[misc]

    @pytest.mark.parametrize("dialect", [DialectName.DRINKJS, DialectName.DRINKD])
    @pytest.mark.parametrize(
        "chunks",
        [
            [b"USER user", b"PASS pw\n", b"WHOAMI\n"],
            [b"user user", b"pass pw\n", b"whoami\n"],
            [b"USER us", b"er", b"PASS ", b"pw\r\n", b"WHOAMI\n"],
            [b"USER user", b"PASS pw\r", b"\nWHOAMI", b"\r\n"],
            [b"USER user", b"PASS", b" p", b"w\n", b"WHO", b"AMI\n"],
            [b"VERSION", b"USER user", b"PASS pw\n", b"WHOAMI\n"],
            [b"\xff\xfb\x03", b"USER user\xff", b"\xfb\x01", b"PASS pw\n", b"WHOAMI\n"],
        ],
    )
    async def test_a_command_that_comes_apart_is_another_line(
        self, serve: Serve, dialect: DialectName, chunks: list[bytes]
    ) -> None:
        server = await serve({"silence_ends_line_ms": 10_000}, dialect=dialect)
        async with Caller(server) as caller:
            await caller.read()
            await caller.ask(b"QUERY\n")
            await self.arrive(server, caller, *chunks)
            said = [await caller.read() for _ in range(4 if b"VERSION" in chunks else 3)]
            assert b"user" in said[-1]
            assert said[-1].startswith(b"OK")

    @pytest.mark.parametrize(
        ("chunks", "reply"),
        [
            ([b"USER user\nPASS ", b"STAT\n"], b"ERR 407 Invalid password.\r\n"),
            ([b"USER user\nPASS x", b"WHOAMI\n"], b"ERR 407 Invalid password.\r\n"),
            ([b"AUTH user ", b"DROP\n"], b"ERR 407 Invalid password.\r\n"),
        ],
    )
    async def test_a_password_is_never_cut_where_it_looks_like_a_command(
        self, serve: Serve, chunks: list[bytes], reply: bytes
    ) -> None:
        server = await serve({"silence_ends_line_ms": 10_000}, dialect=DialectName.DRINKJS)
        async with Caller(server) as caller:
            await caller.read()
            await caller.ask(b"QUERY\n")
            await self.arrive(server, caller, *chunks)
            if chunks[0].startswith(b"USER"):
                assert await caller.read() == b"OK: \r\n"
            assert await caller.read() == reply
            assert await caller.ask(b"WHOAMI\n") == b"ERR 204 You need to login.\r\n"

    async def test_in_classic_only_a_line_end_ends_a_line(self, serve: Serve) -> None:
        server = await serve()
        async with Caller(server) as caller:
            await caller.read()
            await caller.ask(b"VERSION\n")
            await self.arrive(server, caller, b"USER user", b"PASS", b"\r\0")
            assert await caller.read() == b"OK Password required.\n"
            assert await caller.ask(b"PASS pw\r") == b"ERR 202 Invalid username or password.\n"

    async def test_does_not_end_one_in_classic(self, serve: Serve) -> None:
        async with Caller(await serve({"silence_ends_line_ms": 10})) as caller:
            await caller.read()
            caller.send(b"WHO")
            await asyncio.sleep(0.05)
            assert await caller.ask(b"AMI\n") == b"ERR 204 You need to login.\n"

    async def test_the_end_of_the_connection_is_silence(self, serve: Serve) -> None:
        async with Caller(await serve(dialect=DialectName.DRINKJS)) as caller:
            await caller.read()
            caller.send(b"WHOAMI")
            caller.writer.write_eof()
            assert await caller.read_all() == b"ERR 204 You need to login.\r\n"
