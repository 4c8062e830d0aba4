"""Upgrade from the previous release's images: what was sold stays, and selling goes on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drink.v1.drop_service_pb2 import Drop
from scripts.demo.plan import ALICE
from tests.system.compose_system import POSTGRES, SQLITE, ComposeSystem, Profile
from tests.system.engine import AGENT_IMAGE, FRONTEND_IMAGE, previous_images


@pytest.fixture(params=[SQLITE, POSTGRES], ids=lambda profile: profile.names[0])
def old_system(
    request: pytest.FixtureRequest, open_system: Callable[[Profile], ComposeSystem], tmp_path: Path
) -> Iterator[ComposeSystem]:
    """A running system of the previous release."""
    with open_system(request.param) as system:
        frontend, agent = previous_images(tmp_path / "release")
        system.variables |= {"FRONTEND_IMAGE": frontend, "AGENT_IMAGE": agent}
        system.up()
        yield system
        system.audit()
        system.verify()


def sells(system: ComposeSystem) -> Drop:
    """Buys a can."""
    alice = system.client(ALICE)
    drop = alice.drop("d/1")
    alice.close()
    assert drop.state == Drop.STATE_DISPENSED
    return drop


def test_frontend_first_then_agents(old_system: ComposeSystem) -> None:
    system = old_system
    before = sells(system)

    system.variables["FRONTEND_IMAGE"] = FRONTEND_IMAGE
    frontends = system.profile.frontends
    # On either engine a migration that they cannot live with waits for all of them to stop.
    system.docker("stop", *frontends)
    system.up(*frontends)
    assert system.image(frontends[0]) == FRONTEND_IMAGE
    sells(system)

    system.variables["AGENT_IMAGE"] = AGENT_IMAGE
    system.up()
    assert system.image(system.profile.agent("d")) == AGENT_IMAGE
    after = sells(system)

    alice = system.client(ALICE)
    assert {before.name, after.name} <= {drop.name for drop in alice.recent()}
    assert alice.get(before.name).state == Drop.STATE_DISPENSED
    alice.close()
