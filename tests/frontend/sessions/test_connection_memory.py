"""A connection that answers from memory does so at once, without a task."""

import asyncio

import pytest

from drink_frontend.sessions.connection import FAIR_SHARE, Connection
from tests.frontend.sessions.test_context import context
from tests.support.sessions import World, until


class Wire(asyncio.Transport):
    """A client's side of a connection that notes what is written when."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 4242), "peername": ("192.0.2.7", 1)})
        self.said: list[bytes] = []
        self.unread = 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unread

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said.append(bytes(data))


class TestFromMemory:
    """What sessions only look at is answered as it comes in, and everything else in its turn."""

    @pytest.fixture
    async def wire(self) -> Wire:
        return Wire()

    @pytest.fixture
    async def connection(self, world: World, wire: Wire) -> Connection:
        """A connection on which commands may be answered."""
        connection = Connection(context(world))
        connection.connection_made(wire)
        connection.data_received(b"IBUTTON 1234567890ABCDEF\nWHOAMI\nSTAT\n")
        await until(lambda: not connection.busy)
        wire.said.clear()
        return connection

    @pytest.mark.parametrize(
        "command", [b"STAT", b"STAT 1", b"GETBALANCE", b"WHOAMI", b"TEMP", b"LOCATION", b"VERSION"]
    )
    async def test_the_answer_is_there_at_once(
        self, connection: Connection, wire: Wire, command: bytes
    ) -> None:
        connection.data_received(command + b"\n")
        assert b"OK" in b"".join(wire.said)
        assert not connection.busy

    async def test_what_is_not_in_memory_is_looked_up(
        self, connection: Connection, wire: Wire, world: World
    ) -> None:
        world.forget_views()
        connection.data_received(b"GETBALANCE\nSTAT 1\n")
        assert wire.said == []
        await until(lambda: not connection.busy)
        said = b"".join(wire.said).splitlines()
        assert said == [b"OK Credits: 100", b'1 "Coke" 50 13 0 true', b"OK 1 Slots retrieved"]

    async def test_nobody_gets_more_than_a_fair_share_at_once(
        self, connection: Connection, wire: Wire
    ) -> None:
        connection.data_received(b"VERSION\n" * (3 * FAIR_SHARE))
        assert len(wire.said) == FAIR_SHARE
        connection.data_received(b"VERSION\n")
        assert len(wire.said) == FAIR_SHARE
        await until(lambda: not connection.busy)
        assert len(wire.said) == 3 * FAIR_SHARE + 1

    async def test_answers_keep_their_order_around_one_that_takes_time(
        self, connection: Connection, wire: Wire, world: World
    ) -> None:
        world.holding = True
        connection.data_received(b"WHOAMI\nDROP 1\nGETBALANCE\n")
        await world.placed.wait()
        connection.data_received(b"STAT 9\n")
        assert wire.said == [b"OK Username: user\n"]
        await world.settle()
        await until(lambda: not connection.busy)
        expected = [b"OK Credits remaining: 50\n", b"OK Credits: 50\n", b"ERR 409 Invalid slot.\n"]
        assert wire.said[1:] == expected

    async def test_nothing_is_answered_while_the_client_does_not_read(
        self, connection: Connection, wire: Wire
    ) -> None:
        connection.pause_writing()
        connection.data_received(b"VERSION\n")
        await asyncio.sleep(0)
        assert wire.said == []
        connection.resume_writing()
        await until(lambda: not connection.busy)
        assert wire.said == [b"OK Drink 1.2.3\n"]

    async def test_bytes_count_towards_the_limit_of_all_when_they_grow(
        self, connection: Connection, wire: Wire
    ) -> None:
        for wire.unread, counted in ((300, 300), (0, 300), (200, 300), (301, 301)):
            connection.data_received(b"VERSION\n")
            assert connection.counted_bytes == counted
        connection.data_received(b"VERS")
        assert connection.counted_bytes == 305
