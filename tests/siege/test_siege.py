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
    """A house that sells, its frontend under compose's limits."""
    seed = pytestconfig.option.hypothesis_seed
    options = Options((), SHORT, int(seed or 0), pin=False)
    folder = tmp_path_factory.mktemp("siege") / "house"
    with confined() as limits, standing(folder, limits, Needs.PLAIN, options) as ground:
        yield ground
        assert list(ground.audit()) == []


@pytest.mark.parametrize("name", ["garbage", "priority-frames", "slow-lines"])
def test_strangers_do_not_keep_a_house_from_selling(ground: Ground, name: str) -> None:
    """Invariant 25: whatever they send, memory stays bounded and everybody is served."""
    [(attack, origin)] = chosen([f"{name}@others"])
    row = ground.fight(attack, origin)
    print(as_text(row))
    assert set(row.broken(timed=False)) <= {"silent in the log"}
