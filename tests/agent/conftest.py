"""What the agent's tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.frontend import FakeLink
from tests.fakes.sysfs import Sysfs
from tests.support.machine import Rig, machine_in


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with machine_in(tmp_path) as rig:
        yield rig


@pytest.fixture
async def link(rig: Rig) -> FakeLink:
    """The link of the rig's agent, which has just started."""
    return await rig.started()


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    """A folder of USB adapters, as the kernel shows them."""
    return Sysfs(tmp_path / "sys")
