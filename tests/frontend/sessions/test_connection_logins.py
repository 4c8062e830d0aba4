"""A connection that waits for its login, and one whose login is no longer good."""

import asyncio
from typing import Literal

import pytest

from tests.fakes.sessions import Caller, until
from tests.fakes.usecases import World
from tests.frontend.sessions.conftest import Serve


async def test_fault_62_a_client_that_hangs_up_waits_for_no_turn(
    world: World, serve: Serve
) -> None:
    """Its place in the line of logins is free for the next at once."""
    waiting = asyncio.Event()

    class Turns(asyncio.Event):
        async def wait(self) -> Literal[True]:
            waiting.set()
            try:
                return await super().wait()
            finally:
                waiting.clear()

    world.turns = Turns()
    async with Caller(await serve()) as caller:
        await caller.read()
        caller.send(b"USER user\nPASS pw\n")
        assert await caller.read() == b"OK Password required.\n"
        async with asyncio.timeout(5):
            await waiting.wait()
        caller.reset()
        await until(lambda: not waiting.is_set())


async def test_a_server_that_stops_waits_for_no_logins_turn(world: World, serve: Serve) -> None:
    world.turns.clear()
    server = await serve()
    async with Caller(server) as caller:
        await caller.read()
        caller.send(b"USER user\nPASS pw\n")
        assert await caller.read() == b"OK Password required.\n"
        await until(lambda: world.calls["login_password"] == 1)
        async with asyncio.timeout(5):
            await server.drain(0.05)
        assert await caller.read() == b"ERR 350 Account server subsystem is not ready.\n"


@pytest.mark.parametrize("login", [b"USER user\nPASS pw\n", b"IBUTTON 1234567890ABCDEF\n"])
async def test_fault_70_a_session_ends_with_its_login(
    world: World, serve: Serve, login: bytes
) -> None:
    server = await serve()
    async with Caller(server) as caller, Caller(server) as other:
        for each, words in ((caller, login), (other, b"USER user2\nPASS pw\n")):
            await each.read()
            each.send(words)
            for _ in range(words.count(b"\n")):
                assert (await each.read()).startswith(b"OK")
        world.permits.revoke("user")

        assert await caller.read_all() == b"ERR 204 You need to login.\n"
        assert await other.ask(b"WHOAMI\n") == b"OK Username: user2\n"
    await until(lambda: world.permits.held_by == [])


async def test_fault_70_a_session_that_waits_for_its_drop_ends_and_the_drop_goes_on(
    world: World, serve: Serve
) -> None:
    world.holding = True
    async with Caller(await serve()) as caller:
        await caller.login()
        caller.send(b"DROP 1\n")
        async with asyncio.timeout(5):
            await world.placed.wait()
        await until(lambda: world.calls["outcome"] == 1)
        world.permits.revoke("user")

        (drop,) = world.drops.values()
        assert drop.id.encode() in await caller.read_all()
    assert not drop.state.answered


async def test_who_has_logged_out_holds_no_permit(world: World, serve: Serve) -> None:
    async with Caller(await serve()) as caller:
        await caller.login()
        assert [permit.account for permit in world.permits.held_by] == ["user"]
        await caller.ask(b"USER user2\n")
        assert world.permits.held_by == []
        await caller.ask(b"PASS pw\n")
        assert [permit.account for permit in world.permits.held_by] == ["user2"]
    await until(lambda: world.permits.held_by == [])
