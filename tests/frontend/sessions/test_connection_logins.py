"""A connection that waits for its login, and one whose login is no longer good."""

import asyncio

import pytest

from drink_frontend.domain.errors import CredentialsInvalidError
from drink_frontend.usecases.settings import LoginSettings
from tests.support.session_servers import Serve
from tests.support.sessions import PATIENCE_S, Caller, World, until


async def guess(world: World) -> None:
    """Uses up the attempts that cost no waiting; the next login waits until the clock moves."""
    for _ in range(LoginSettings().failures_free):
        with pytest.raises(CredentialsInvalidError):
            await world.bench.accounts.login_password("user", "wrong", "127.0.0.1")
    world.clock.is_held = True


async def test_fault_62_a_client_that_hangs_up_waits_for_no_turn(
    world: World, serve: Serve
) -> None:
    """Its place in the line of logins is free for the next at once."""
    await guess(world)
    async with Caller(await serve()) as caller:
        await caller.read()
        caller.send(b"USER user\nPASS pw\n")
        assert await caller.read() == b"OK Password required.\n"
        await until(lambda: world.clock.waits != [])
        caller.reset()
        await until(lambda: world.clock.waits == [])


async def test_a_server_that_stops_waits_for_no_logins_turn(world: World, serve: Serve) -> None:
    await guess(world)
    server = await serve()
    async with Caller(server) as caller:
        await caller.read()
        caller.send(b"USER user\nPASS pw\n")
        assert await caller.read() == b"OK Password required.\n"
        await until(lambda: world.clock.waits != [])
        async with asyncio.timeout(PATIENCE_S):
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
        await world.close_account("user")

        assert await caller.read_all() == b"ERR 204 You need to login.\n"
        assert await other.ask(b"WHOAMI\n") == b"OK Username: user2\n"
    await until(lambda: world.permits_held == [])


async def test_fault_70_a_session_that_waits_for_its_drop_ends_and_the_drop_goes_on(
    world: World, serve: Serve
) -> None:
    world.holding = True
    async with Caller(await serve()) as caller:
        await caller.login()
        caller.send(b"DROP 1\n")
        async with asyncio.timeout(PATIENCE_S):
            await world.placed.wait()
        await until(lambda: world.calls["outcome"] == 1)
        await world.close_account("user")

        (drop,) = world.drops
        assert drop.id.encode() in await caller.read_all()
    assert not drop.state.answered


async def test_who_has_logged_out_holds_no_permit(world: World, serve: Serve) -> None:
    async with Caller(await serve()) as caller:
        await caller.login()
        assert world.permits_held == ["user"]
        await caller.ask(b"USER user2\n")
        assert world.permits_held == []
        await caller.ask(b"PASS pw\n")
        assert world.permits_held == ["user2"]
    await until(lambda: world.permits_held == [])
