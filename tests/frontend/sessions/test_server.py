import asyncio
import socket

import pytest
import structlog.testing

from drink_frontend.domain.drop import Cause, State
from drink_frontend.sessions.dialects import DialectName
from drink_frontend.sessions.server import SessionServer, _turn_away
from drink_frontend.sessions.settings import FingerSettings, ListenerSettings, SessionSettings
from tests.fakes.sessions import Caller, until
from tests.fakes.usecases import World
from tests.frontend.sessions.conftest import Serve


async def test_as_many_listeners_as_the_settings_name(world: World, serve: Serve) -> None:
    doors = tuple(
        ListenerSettings(port=0, dialect=dialect, default_machine="d") for dialect in DialectName
    )
    server = await serve({"listeners": doors, "finger": FingerSettings(port=0)})
    said = []
    for number in range(3):
        async with Caller(server, number) as caller:
            said.append(await caller.read())
    assert said == [
        b"OK Welcome to Big Drink\n",
        b"Welcome to Big Drink\n",
        b"Drink Server 1.2.3 Ready\n",
    ]
    assert server.finger_address is not None


async def test_no_listeners_are_allowed(serve: Serve) -> None:
    server = await serve({"listeners": ()})
    assert server.addresses == ()


async def test_a_port_that_is_taken_stops_the_start(world: World, serve: Serve) -> None:
    taken = (await serve()).addresses[0][1]
    with pytest.raises(OSError, match="in use"):
        await serve({"listeners": (ListenerSettings(port=0), ListenerSettings(port=taken))})


async def test_fault_8_past_the_limit_clients_are_told(serve: Serve) -> None:
    server = await serve({"sessions_max": 2})
    async with Caller(server) as first, Caller(server) as second:
        await first.read()
        await second.read()
        async with Caller(server) as third:
            assert await third.read_all() == b"ERR 205 Maximum user count reached.\n"
        assert await first.ask(b"VERSION\n") == b"OK Drink 1.2.3\n"
    await until(lambda: server.sessions == 0)
    async with Caller(server) as next_one:
        assert await next_one.read() == b"OK Welcome to Big Drink\n"


async def test_fault_30_there_are_no_more_sessions_than_descriptors_for_them(serve: Serve) -> None:
    server = await serve({"sessions_max": 100}, descriptors=1)
    async with Caller(server) as first:
        await first.read()
        async with Caller(server) as second:
            assert await second.read_all() == b"ERR 205 Maximum user count reached.\n"


async def test_fault_30_a_system_that_refuses_to_accept_is_asked_again(
    serve: Serve, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drink_frontend.sessions.server.ACCEPT_PAUSE_S", 0.01)
    server = await serve()
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.setblocking(False)
    monkeypatch.setattr("drink_frontend.sessions.server.listen", lambda *_, **__: door)
    with structlog.testing.capture_logs() as logged:
        server._listen(ListenerSettings(port=0, default_machine="d"))
        await until(lambda: any(entry["event"] == "session_not_accepted" for entry in logged))
    door.listen()
    async with Caller(server, 1) as caller:
        assert await caller.read() == b"OK Welcome to Big Drink\n"


def test_a_client_that_is_turned_away_may_have_gone() -> None:
    client, peer = socket.socketpair()
    peer.close()
    _turn_away(client, b"ERR 205\n")
    assert client.fileno() == -1


class TestDrain:
    async def test_idle_sessions_are_told_and_closed(self, serve: Serve) -> None:
        server = await serve()
        async with Caller(server) as caller:
            await caller.read()
            await server.drain(5)
            assert await caller.read_all() == b"ERR 350 Account server subsystem is not ready.\n"
        assert server.sessions == 0

    async def test_nobody_new_comes_in(self, serve: Serve) -> None:
        server = await serve()
        address = server.addresses[0]
        await server.drain(5)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*address)

    async def test_a_drop_under_way_may_finish(self, world: World, serve: Serve) -> None:
        world.holding = True
        server = await serve()
        async with Caller(server) as caller:
            await caller.login()
            caller.send(b"DROP 1\nSTAT\n")
            await world.placed.wait()
            draining = asyncio.ensure_future(server.drain(5))
            await asyncio.sleep(0.02)
            assert not draining.done()
            await world.settle("1".zfill(26), State.DISPENSED, Cause.BOARD_ACK)
            assert await caller.read_all() == (
                b"OK Credits remaining: 50\nERR 350 Account server subsystem is not ready.\n"
            )
            await draining

    async def test_fault_28_past_the_limit_its_buyer_is_told(
        self, world: World, serve: Serve
    ) -> None:
        world.holding = True
        server = await serve()
        async with Caller(server) as caller:
            await caller.login()
            caller.send(b"DROP 1\n")
            await world.placed.wait()
            await server.drain(0.02)
            said = b"ERR 103 Unknown Failure. Credits held, drop 00000000000000000000000001\n"
            assert await caller.read_all() == said
        assert world.drops["1".zfill(26)].state is State.RESERVED

    async def test_stopping_cuts_everybody_off(self, serve: Serve) -> None:
        server = await serve()
        async with Caller(server) as caller:
            await caller.read()
            await server.stop()
            await server.stop()
            assert await caller.read_all() == b""
        assert server.sessions == 0


async def test_a_drain_without_sessions_ends_at_once(world: World) -> None:
    settings = SessionSettings(listeners=(ListenerSettings(port=0),))
    server = SessionServer(settings, world.services(), descriptors=100)
    await server.start()
    async with asyncio.timeout(1):
        await server.drain(60)
    await server.stop()
