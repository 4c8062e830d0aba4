"""A short siege of real processes; `make siege` runs every attack, longer, and measures rates."""

from collections.abc import Iterator

import pytest

from tests.siege.attacks import Needs
from tests.siege.confine import confined
from tests.siege.run import SHORT, Ground, Options, chosen, standing
from tests.siege.table import as_text

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def ground(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Ground]:
    """A system that sells, its frontend under compose's limits."""
    seed = pytestconfig.option.hypothesis_seed
    options = Options((), SHORT, int(seed or 0), pin=False)
    folder = tmp_path_factory.mktemp("siege") / "system"
    with confined() as limits, standing(folder, limits, Needs.PLAIN, options) as ground:
        yield ground
        assert list(ground.audit()) == []


def hold(ground: Ground, name: str) -> None:
    """Passes if an attack breaks no promise but those of rates and times."""
    [(attack, origin)] = chosen([name])
    row = ground.fight(attack, origin)
    print(as_text(row))
    assert row.broken(timed=False) == []


@pytest.mark.parametrize(
    "name",
    [
        "stalled-calls@same",
        "idle-and-stalled@others",
        "odd-metadata@others",
        "reset-connections@others",
    ],
)
def test_fault_66_strangers_do_not_keep_a_house_from_selling(ground: Ground, name: str) -> None:
    """Invariant 25: whatever they send, memory stays bounded and everybody is served."""
    hold(ground, name)


def test_fault_67_a_buyer_who_does_not_read_costs_others_nothing(ground: Ground) -> None:
    hold(ground, "unread-lists")


def test_fault_68_a_machines_token_that_floods_costs_others_nothing(ground: Ground) -> None:
    hold(ground, "contradictions")


def test_a_flood_of_session_commands_keeps_nobody_from_buying(ground: Ground) -> None:
    hold(ground, "session-commands@others")
