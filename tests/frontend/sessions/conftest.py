import asyncio
from collections.abc import Callable

import uvloop

from tests.support.session_servers import serve, template, world

__all__ = ["serve", "template", "world"]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the frontend runs on: its transports differ from asyncio's own."""
    return {"uvloop": uvloop.new_event_loop}
