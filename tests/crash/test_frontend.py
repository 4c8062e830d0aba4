"""The frontend dies at each step that leaves something on disk, link or wire."""

import pytest

from tests.crash.conftest import MakeHouse
from tests.crash.trial import DISPENSED, Trial


def commit(step: str) -> tuple[str, ...]:
    """The points around a commit."""
    return (
        f"before-commit-{step}",
        f"during-commit-{step}",
        f"before-sync-{step}",
        f"after-commit-{step}",
    )


def around(what: str) -> tuple[str, str]:
    """The points before and after something."""
    return f"before-{what}", f"after-{what}"


BUYING = (
    *commit("reserved"),
    *commit("dispatched"),
    *around("send-dispense"),
    *commit("dispensed"),
    *around("send-resultack"),
    *around("reply-drop"),
)


@pytest.mark.parametrize("point", BUYING)
def test_fault_24_frontend_killed_while_a_can_is_bought(point: str, make_house: MakeHouse) -> None:
    with Trial(make_house(), frontend=(point,)) as trial:
        drop = trial.buy().drop
        trial.until_all_have_died()
        trial.check(drop.name, DISPENSED)
