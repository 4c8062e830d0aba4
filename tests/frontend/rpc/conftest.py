"""Fixtures of the tests of the gRPC edge."""

from collections.abc import AsyncIterator

import pytest

from tests.support.rpc_frontend import Frontend, running_frontend


@pytest.fixture
async def frontend() -> AsyncIterator[Frontend]:
    """A frontend on loopback with default settings."""
    async with running_frontend() as running:
        yield running
