import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from drink_frontend.domain.drop import State
from drink_frontend.sessions.connection import Connection
from drink_frontend.sessions.dialects import DialectName
from drink_frontend.sessions.server import SessionServer, _turn_away
from drink_frontend.sessions.settings import FingerSettings, ListenerSettings, SessionSettings
from tests.support.session_servers import Serve
from tests.support.sessions import PATIENCE_S, Caller, World, deaf_client, until


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


def from_place(number: int) -> dict[str, Any]:
    """Has a client connect from another address of this host."""
    return {"local_addr": (f"127.0.1.{number}", 0)}


async def test_fault_8_past_the_limit_clients_are_told(serve: Serve) -> None:
    server = await serve({"sessions_max": 2})
    async with (
        Caller(server, **from_place(1)) as first,
        Caller(server, **from_place(2)) as second,
    ):
        await first.login()
        await second.login()
        async with Caller(server, **from_place(3)) as third:
            assert await third.read_all() == b"ERR 205 Maximum user count reached.\n"
        assert await first.ask(b"WHOAMI\n") == b"OK Username: user\n"
        assert await second.ask(b"WHOAMI\n") == b"OK Username: user\n"
    await until(lambda: server.sessions == 0)
    async with Caller(server) as next_one:
        assert await next_one.read() == b"OK Welcome to Big Drink\n"


async def test_fault_30_there_are_no_more_sessions_than_descriptors_for_them(serve: Serve) -> None:
    server = await serve({"sessions_max": 100}, descriptors=1)
    async with Caller(server) as first:
        await first.login()
        async with Caller(server) as second:
            assert await second.read_all() == b"ERR 205 Maximum user count reached.\n"


async def test_fault_66_strangers_make_way_for_newcomers_and_users_stay(serve: Serve) -> None:
    server = await serve({"sessions_max": 20})
    async with contextlib.AsyncExitStack() as stack:
        user = await stack.enter_async_context(Caller(server))
        await user.login()
        strangers = []
        for number in range(40):
            place = from_place(number % 3)
            strangers.append(await stack.enter_async_context(Caller(server, **place)))
            await strangers[-1].read()
        newcomer = await stack.enter_async_context(Caller(server, **from_place(9)))
        await newcomer.login()
        assert await newcomer.ask(b"DROP 1\n") == b"OK Credits remaining: 50\n"
        assert await user.ask(b"WHOAMI\n") == b"OK Username: user\n"
        assert server.sessions == 20
        for stranger in strangers[:22]:
            assert await stranger.read_all() == b"ERR 450 Timeout, disconnecting.\n"
        for stranger in strangers[-18:]:
            assert await stranger.ask(b"VERSION\n") == b"OK Drink 1.2.3\n"


async def test_fault_66_one_address_takes_only_its_own_places(serve: Serve) -> None:
    server = await serve({"sessions_max": 100, "sessions_per_address_max": 3})
    async with contextlib.AsyncExitStack() as stack:
        other = await stack.enter_async_context(Caller(server, **from_place(2)))
        await other.read()
        for _ in range(3):
            caller = await stack.enter_async_context(Caller(server, **from_place(1)))
            await caller.login()
        fourth = await stack.enter_async_context(Caller(server, **from_place(1)))
        assert await fourth.read_all() == b"ERR 205 Maximum user count reached.\n"
        assert await other.ask(b"VERSION\n") == b"OK Drink 1.2.3\n"


async def connects(
    server: SessionServer, place: dict[str, Any], limit_s: float = PATIENCE_S
) -> bool:
    """Whether a place may connect; the system repeats an attempt that is ignored after 1 s."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s), Caller(server, **place) as caller:
            return bool(await caller.read())
    return False


async def test_fault_66_a_place_that_connects_too_often_is_ignored_for_a_while(
    serve: Serve,
) -> None:
    server = await serve({"opening": {"burst": 3, "per_s": 0.1}})
    async with Caller(server, **from_place(1)) as first, Caller(server, **from_place(1)) as second:
        await first.read()
        await second.read()
        assert await connects(server, from_place(1))
        assert not await connects(server, from_place(1), 0.5)
        assert await connects(server, from_place(2))
        assert await first.ask(b"VERSION\n") == b"OK Drink 1.2.3\n"


async def test_fault_66_a_place_whose_sessions_make_way_is_ignored_sooner(serve: Serve) -> None:
    settings = {"sessions_per_address_max": 1, "opening": {"crowded_cost": 1_024, "per_s": 0.1}}
    server = await serve(settings)
    async with Caller(server, **from_place(1)) as first:
        await first.read()
        assert await connects(server, from_place(1))
        assert not await connects(server, from_place(1), 0.5)
        assert await connects(server, from_place(2))


async def test_sessions_with_a_login_do_not_count_as_new_ones(serve: Serve) -> None:
    server = await serve({"opening": {"burst": 2, "per_s": 0.1}})
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            caller = await stack.enter_async_context(Caller(server, **from_place(1)))
            await caller.login()


async def logs_in(server: SessionServer) -> bool:
    """Whether a new client may log in; it is turned away while all others are busy."""
    async with Caller(server) as caller:
        if await caller.read() == b"ERR 205 Maximum user count reached.\n":
            return False
        await caller.ask(b"USER user\n")
        return b"OK" in await caller.ask(b"PASS pw\n")


async def test_fault_66_a_stranger_that_reads_nothing_makes_way_too(serve: Serve) -> None:
    server = await serve({"sessions_max": 1, "unread_bytes_max": 4_096})
    async with deaf_client(server):
        (member,) = await until_one(server)
        await until(lambda: member._writable is not None)
        # While the system still takes some of the replies, the session is busy for moments.
        while not await logs_in(server):
            await until(lambda: not member.busy)


async def test_many_sessions_without_a_login_are_logged_once_a_minute(serve: Serve) -> None:
    server = await serve({"strangers_report_min": 2})
    with structlog.testing.capture_logs() as logged:
        async with contextlib.AsyncExitStack() as stack:
            member = await stack.enter_async_context(Caller(server))
            await member.login()
            await member.ask(b"WHOAMI\n")
            for _ in range(4):
                stranger = await stack.enter_async_context(Caller(server))
                await stranger.read()
    (line,) = [line for line in logged if line["event"] == "sessions_without_login"]
    assert (line["sessions"], line["most_from"]) == (2, "127.0.0.1")


async def until_one(server: SessionServer) -> list[Connection]:
    """The only connection of a server, once it is there."""
    await until(lambda: server.sessions == 1)
    return [member for member in server._tracker if isinstance(member, Connection)]


async def test_idle_clients_of_every_listener_are_probed_by_the_system(serve: Serve) -> None:
    server = await serve(
        {"keepalive_idle_s": 7, "keepalive_interval_s": 5, "keepalive_probes": 2},
        dialect=DialectName.DRINKJS,
    )
    async with Caller(server) as caller:
        await caller.read()
        (member,) = await until_one(server)
        own = member._transport.get_extra_info("socket")
        assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [own.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [7, 5, 2]


@contextlib.contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Lets this process open no further file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


async def test_fault_30_a_system_that_refuses_to_accept_is_asked_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drink_frontend.sessions.server.ACCEPT_PAUSE_S", 0.01)
    server = await serve()
    loop = asyncio.get_running_loop()
    with socket.socket() as client, structlog.testing.capture_logs() as logged:
        client.setblocking(False)
        with no_descriptors_left():
            await loop.sock_connect(client, server.addresses[0])
            await until(lambda: any(line["event"] == "session_not_accepted" for line in logged))
        async with asyncio.timeout(PATIENCE_S):
            assert await loop.sock_recv(client, 100) == b"OK Welcome to Big Drink\n"


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

    async def test_who_is_just_coming_in_is_ended_as_well(self, serve: Serve) -> None:
        for rounds in range(12):
            server = await serve()
            with socket.socket() as client:
                client.setblocking(False)
                await asyncio.get_running_loop().sock_connect(client, server.addresses[0])
                for _ in range(rounds):
                    await asyncio.sleep(0)
                async with asyncio.timeout(PATIENCE_S):
                    await server.drain(60)
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
            await world.settle()
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
            said = (await caller.read_all()).decode()
            assert said == f"ERR 103 Unknown Failure. Credits held, drop {world.drops[0].id}\n"
        assert world.drops[0].state is State.RESERVED

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
    async with asyncio.timeout(PATIENCE_S):
        await server.drain(60)
    await server.stop()
