"""Upgrade from the previous release's images: what was sold stays, and selling goes on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drink.v1.drop_service_pb2 import Drop
from scripts.demo.house import ALICE
from tests.system.engine import AGENT_IMAGE, FRONTEND_IMAGE, previous_images
from tests.system.house import POSTGRES, SQLITE, House, Profile


@pytest.fixture(params=[SQLITE, POSTGRES], ids=lambda profile: profile.names[0])
def old_house(
    request: pytest.FixtureRequest, open_house: Callable[[Profile], House], tmp_path: Path
) -> Iterator[House]:
    """A running house of the previous release."""
    with open_house(request.param) as house:
        frontend, agent = previous_images(tmp_path / "release")
        house.variables |= {"FRONTEND_IMAGE": frontend, "AGENT_IMAGE": agent}
        house.up()
        yield house
        house.audit()
        house.verify()


def sells(house: House) -> Drop:
    """Buys a can."""
    alice = house.client(ALICE)
    drop = alice.drop("d/1")
    alice.close()
    assert drop.state == Drop.STATE_DISPENSED
    return drop


def test_frontend_first_then_agents(old_house: House) -> None:
    house = old_house
    before = sells(house)

    house.variables["FRONTEND_IMAGE"] = FRONTEND_IMAGE
    frontends = house.profile.frontends
    if house.profile.names == SQLITE.names:
        # Its file is one frontend's alone, and a migration needs it.
        house.docker("stop", *frontends)
    house.up(*frontends)
    assert house.image(frontends[0]) == FRONTEND_IMAGE
    sells(house)

    house.variables["AGENT_IMAGE"] = AGENT_IMAGE
    house.up()
    assert house.image(house.profile.agent("d")) == AGENT_IMAGE
    after = sells(house)

    alice = house.client(ALICE)
    assert {before.name, after.name} <= {drop.name for drop in alice.recent()}
    assert alice.get(before.name).state == Drop.STATE_DISPENSED
    alice.close()
