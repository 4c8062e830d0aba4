"""Session servers over use cases of their own, as fixtures: a conftest imports what it needs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from drink_frontend.sessions.server import SessionServer
from drink_frontend.sessions.settings import ListenerSettings, SessionSettings
from tests.support.sessions import World, furnish, open_world

Serve = Callable[..., Awaitable[SessionServer]]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database that every world begins with."""
    return asyncio.run(furnish(tmp_path_factory.mktemp("world")))


@pytest.fixture
async def world(template: Path, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, template) as world:
        yield world


@pytest.fixture
async def serve(world: World) -> AsyncIterator[Serve]:
    """Starts a server with one listener of the given settings; stops it after the test."""
    servers = []

    async def start(
        limits: dict[str, Any] | None = None, descriptors: int = 100_000, **listener: Any
    ) -> SessionServer:
        door = ListenerSettings.model_validate({"port": 0, "default_machine": "d"} | listener)
        settings = SessionSettings.model_validate({"listeners": (door,)} | (limits or {}))
        services = world.services(may_stop=settings.shutdown_command)
        server = SessionServer(settings, services, descriptors=descriptors)
        servers.append(server)
        await server.start()
        return server

    yield start
    for server in servers:
        await server.stop()
