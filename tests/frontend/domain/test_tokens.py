"""What follows from the values of bearer tokens."""

from dataclasses import replace

import pytest

from drink_frontend.domain.entities import Account
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.domain.tokens import Bearer, Scope, day_of
from tests.support.books import token

DAY_MS = 86_400_000
ANN = Account("~0000000001", "ann", AccountKind.USER, False, False, None, 0, 0)


@pytest.mark.parametrize(("ms", "day"), [(0, 0), (DAY_MS - 1, 0), (DAY_MS, DAY_MS)])
def test_a_day_begins_at_midnight(ms: int, day: int) -> None:
    assert day_of(ms) == day


@pytest.mark.parametrize(("used_ms", "before"), [(None, True), (0, True), (DAY_MS, False)])
def test_a_use_is_counted_once_a_day(used_ms: int | None, before: bool) -> None:
    assert Bearer(ANN, Scope.ALL, used_ms).is_used_before(DAY_MS + 5) is before


def test_an_id_is_a_part_of_the_digest_which_is_not_shown() -> None:
    issued = token("0123456789abcdef-and-more")
    assert issued.id == "0123456789abcdef"
    assert issued.digest not in repr(issued)
    assert replace(issued, digest="f" * 64).id == "f" * 16
