"""What names an identity."""

import pytest

from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.identities import check_identity_part


@pytest.mark.parametrize("value", ["ldap:house", "https://sso.example.org/realms/house", "x" * 255])
def test_visible_characters_name_a_source(value: str) -> None:
    assert check_identity_part(value, "source") == value


@pytest.mark.parametrize("value", ["", "a b", "a\n", "ä", "x" * 256, "\u202e"])
def test_anything_else_is_refused_with_its_field(value: str) -> None:
    with pytest.raises(FieldInvalidError) as refused:
        check_identity_part(value, "subject")
    assert refused.value.facts == {"field": "subject"}
