"""What each old client does on the wire, done the same way against our server.

Every client here is written after what the real one sends, how it receives, and how it reads what
it receives; none of them was ever changed.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.sessions.dialects import DialectName
from drink_frontend.sessions.server import SessionServer
from drink_frontend.sessions.settings import ListenerSettings
from tests.support.entities import make_slot
from tests.support.session_servers import Serve
from tests.support.sessions import PATIENCE_S, World


class RawClient:
    """A socket as those clients used it: what one `recv` gives is what they look at."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, server: SessionServer, host: str = "127.0.0.1"
    ) -> AsyncIterator["RawClient"]:
        client = cls(*await asyncio.open_connection(host, server.addresses[0][1]))
        try:
            yield client
        finally:
            client.writer.transport.abort()

    async def recv(self, size: int) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read(size)

    async def ask(self, line: str, size: int = 1_024) -> str:
        self.writer.write(line.encode())
        return (await self.recv(size)).decode()


async def contiguous(world: World, count: int) -> None:
    """Gives machine d so many slots, at least five, with three items each at 5 credits."""
    for slot in (make_slot("d", number, f"Item {number}", 5, 3) for number in range(1, count + 1)):
        if world.machines["d"].slot(slot.number) is None:
            await world.add_slot(slot)
        else:
            terms = {"item": slot.item, "price": 5, "available": 3, "enabled": True}
            await world.change_slot("d", slot.number, **terms)


async def test_the_c_client_of_1999(world: World, serve: Serve) -> None:
    """drink.c: lines up to a NUL in a buffer of 100, names without blanks, slots 0 to 6."""
    await contiguous(world, 7)
    await world.change_slot("d", 2, item="A name that is far longer than its array of forty")

    async def read_line(client: RawClient) -> str:
        line = b""
        while (byte := await client.recv(1)) != b"\0":
            line += byte
            assert len(line) < 100, "its buffer"
        return line.decode()

    async with RawClient.connect(await serve(dialect=DialectName.DRINKD)) as client:
        assert (await client.recv(100)).endswith(b"Ready\n\0")
        assert (await client.ask("user user\n", 100))[:2] == "OK"
        credits_said = await client.ask("pass pw\n", 100)
        assert re.match(r"OK Credits: (\d+)", credits_said)
        client.writer.write(b"stat\n")
        slots = []
        while not (line := await read_line(client)).startswith("OK "):
            number, name, price, count, _ = line.split()
            assert len(name) < 40
            slots.append((int(number), name, int(price), int(count)))
        assert [slot[0] for slot in slots] == [0, 1, 2, 3, 4, 5, 6]
        assert slots[0] == (0, "Item_1", 5, 3)
        dropped = await client.ask("drop 0\n", 100)
        assert re.match(r"OK Credits remaining: 95\n", dropped)

    assert [drop.slot for drop in world.drops] == [1]


async def test_the_touchscreens_receive_stat_twice(world: World, serve: Serve) -> None:
    """drinkAPI.py: greeting `OK`, login by lower-case ibutton, STAT in two recvs, DROP n delay."""

    async with RawClient.connect(await serve(stat_trailer_delay_ms=300)) as client:
        assert (await client.recv(1_024))[:2] == b"OK"
        said = ""
        client.writer.write(b"ibutton 1234567890ABCDEF\n")
        while "\n" not in said:
            said += (await client.recv(1_024)).decode()
        assert "OK" in said

        client.writer.write(b"STAT\n")
        body = (await client.recv(1_024)).decode()
        assert "OK" not in body
        assert "ERR" not in body
        items = {}
        for line in body.splitlines():
            slot, name, rest = line.split('"')
            items[int(slot)] = (name.strip(), int(rest.split(" ")[1]), int(rest.split(" ")[2]))
        assert items[1] == ("Coke", 50, 13)
        assert (await client.recv(1_024)).startswith(b"OK ")

        balance = await client.ask("GETBALANCE\n")
        assert int(balance[3:100].split()[1].strip()) == 100
        assert "OK" in await client.ask("DROP 1 0\n")


async def test_the_touchscreens_choose_a_machine_by_host_name(serve: Serve) -> None:
    """Each machine's host name was an address of the one server."""
    server = await serve(
        address="0.0.0.0",
        allow_plain_remote=True,
        default_machine=None,
        machine_by_address={"127.0.0.2": "d", "127.0.0.3": "ld"},
    )
    for host, item in (("127.0.0.2", "Coke"), ("127.0.0.3", "Jolt")):
        async with RawClient.connect(server, host) as client:
            assert (await client.recv(1_024))[:2] == b"OK"
            assert item in await client.ask("STAT\n")


async def test_the_qt_client(world: World, serve: Serve) -> None:
    """Drink-Client: balance after `: `, quoted names, slots from 1 without gaps, 100 bytes."""
    await contiguous(world, 5)

    async with RawClient.connect(await serve()) as client:
        await client.recv(100)
        for _ in range(2):
            # It logs in again on the same connection.
            assert (await client.ask("USER user\n", 100)).startswith("OK")
            assert (await client.ask("PASS pw\n", 100)).startswith("OK")
        balance = await client.ask("GETBALANCE\n", 100)
        assert int(balance.split(": ")[1]) == 100
        lines = (await client.ask("STAT\n")).splitlines()
        numbers = [int(line.split('"')[0]) for line in lines[:-1]]
        assert numbers == [1, 2, 3, 4, 5]
        assert (await client.ask("DROP 5\n", 100)).startswith("OK")
        assert (await client.ask("QUIT\n", 100)).startswith("OK")


async def test_every_reply_but_stats_fits_in_100_bytes(world: World, serve: Serve) -> None:
    await world.change_machine("d", display_name="B" * 200, location="N" * 200)
    world.outcomes = [(State.UNKNOWN, Cause.BOARD_SILENT)]

    async with RawClient.connect(await serve()) as client:
        assert len(await client.recv(1_024)) <= 100
        for line in (
            "USER user", "PASS pw", "WHOAMI", "GETBALANCE", "DROP 1", "DROP 9", "MACHINE d", "TEMP",
            "LOCATION", "VERSION", "UPTIME", "FOO", "RAND x", "SENDCREDITS 1 nobody", "QUIT",
        ):  # fmt: skip
            assert len((await client.ask(f"{line}\n")).encode()) <= 100, line


async def test_drink_lotto(world: World, serve: Serve) -> None:
    """The PHP lottery: reads lines, takes the one digit after `OK `, sends credits and closes."""
    await contiguous(world, 9)
    server = await serve()

    async with RawClient.connect(server) as client:

        async def fgets() -> str:
            async with asyncio.timeout(PATIENCE_S):
                return (await client.reader.readline()).decode()

        await fgets()
        client.writer.write(b"USER user\n")
        assert (await fgets()).startswith("OK")
        client.writer.write(b"PASS pw\n")
        assert (await fgets()).startswith("OK")
        client.writer.write(b"STAT\n")
        while not (line := await fgets()).startswith("OK"):
            pass
        assert int(line[3:4]) == 9
        client.writer.write(b"SENDCREDITS 7 user2\n")
        client.writer.close()

    async with asyncio.timeout(PATIENCE_S):
        while world.accounts["user2"].posted != 37:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.fixture
def long_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps greeting and reply apart even where client and server share a busy machine."""
    monkeypatch.setattr("drink_frontend.sessions.connection.GREETING_LEAD_S", 0.3)


@pytest.mark.usefixtures("long_lead")
async def test_the_socket_bridge_and_webdrink(world: World, serve: Serve) -> None:
    """websocket_server.js: drops the first chunk it gets, so the greeting must come alone."""

    async with RawClient.connect(await serve(dialect=DialectName.DRINKJS)) as client:
        # The bridge sends before it has received anything.
        client.writer.write(b"IBUTTON 1234567890ABCDEF\n")
        first = await client.recv(65_536)
        assert first == b"Welcome to Big Drink\n", "a chunk of its own"
        said = (await client.recv(65_536)).decode()
        assert said[:2] == "OK"
        assert int(said.split(": ")[1]) == 100
        assert (await client.ask("MACHINE ld\n")).startswith("OK")
        stat = await client.ask("STAT\n")
        assert stat.startswith('1 "Jolt" 20 3 1\n')
        assert (await client.ask("DROP 1 0\n"))[:2] == "OK"
        assert (await client.ask("GETBALANCE\n")).split(": ")[1] == "80\r\n"


@pytest.mark.usefixtures("long_lead")
async def test_the_greeting_comes_alone_even_when_it_has_to_be_looked_up(
    world: World, serve: Serve
) -> None:
    for dialect in DialectName:
        door = ListenerSettings(port=0, dialect=dialect, default_machine="d")
        server = await serve({"listeners": (door,)})
        for _ in range(2):
            async with RawClient.connect(server) as client:
                client.writer.write(b"VERSION\n")
                greeting = await client.recv(65_536)
                assert greeting.count(b"\n") == 1
                assert b"Drink 1.2.3" in await client.recv(65_536)


async def test_a_client_that_never_sends_a_line_end(serve: Serve) -> None:
    """What Drink-JS took for a command was whatever came in one chunk; the phone of 2008 too."""

    async with RawClient.connect(
        await serve({"silence_ends_line_ms": 20}, dialect=DialectName.DRINKJS)
    ) as client:
        await client.recv(1_024)
        assert await client.ask("USER user") == "OK: \r\n"
        assert await client.ask("PASS pw") == "OK: 100\r\n"
        assert await client.ask("DROP 1") == "OK:  Dropping drink\r\n"


async def test_crlf_clients_of_the_ruby_years(serve: Serve) -> None:
    async with RawClient.connect(await serve()) as client:
        await client.recv(1_024)
        assert await client.ask("USER user\r\n") == "OK Password required.\n"
        assert await client.ask("PASS pw\r\n") == "OK Credits: 100\n"
