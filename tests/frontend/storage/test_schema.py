"""Which schemas a program can live with."""

import pytest

from drink_frontend.storage.errors import SchemaError
from drink_frontend.storage.schema import check_revision, is_compatible
from drink_frontend.storage.tables import SCHEMA_REVISION


def test_its_own_schema_is_taken_without_a_question() -> None:
    check_revision("drink.db", SCHEMA_REVISION, lambda: pytest.fail("asked"))


@pytest.mark.parametrize(
    ("revision", "oldest", "message"),
    [
        (None, None, "drink.db has no schema; .*: migrate makes it"),
        ("0000", "0000", "drink.db has the older schema revision 0000; .*: migrate brings"),
        ("9999", "9999", "drink.db has the newer schema revision 9999; .* a newer one"),
        ("9999", None, "drink.db has the newer schema revision 9999"),
    ],
)
def test_fault_39_what_it_cannot_live_with_is_refused(
    revision: str | None, oldest: str | None, message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        check_revision("drink.db", revision, lambda: oldest)


@pytest.mark.parametrize("oldest", ["0000", SCHEMA_REVISION])
def test_fault_39_a_newer_schema_that_only_adds_is_taken(oldest: str) -> None:
    check_revision("drink.db", "9999", lambda: oldest)
    assert is_compatible("9999", lambda: oldest)
