"""What may come from outside, at and over each bound."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_frontend.domain import limits
from drink_frontend.domain.errors import FieldInvalidError

Check = Callable[[str], str]


def check_text(value: str) -> str:
    return limits.check_text(value, "why")


def check_display_name(value: str) -> str:
    shown = limits.check_display_name(f" {value}" if len(value) < 200 else value)
    assert shown is not None
    return shown


UNSEEN = [
    *"\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e",
    *"\u2060\u2061\u2066\u2067\u2068\u2069\u206a\ufeff\ufff9\U000e0041\U0001d173\x1b\x85",
    *"\u034f\u115f\u1160\u17b4\u180b\u180e\u2800\u3164\uffa0\ufe0f\U000e0100\ue000\ud800",
]
"""What people do not see, and what turns the order of the letters around."""

TAKEN: list[tuple[Check, list[str]]] = [
    (limits.check_account, ["a", "_", "Ann.B-c_9", "9", "a" * 32]),
    (limits.check_machine, ["d", "ld", "3-d", "a" * 32]),
    (limits.check_request_id, ["1", "a.b:c-d_E", "a" * 64]),
    (
        limits.check_item,
        ["Coke", "Dr. Pepper 0,5 l", "Ä", "x" * 64, "可樂", "كولا", "A\u0308", "☕"],
    ),
    (check_text, ["", "second floor", "x" * 200]),
    (check_display_name, ["", "Ann of the lounge", "x" * 200]),
    (limits.check_password, ["x", "correct-horse", "päss", "x" * limits.PASSWORD_MAX]),
    (limits.check_password, ['"', '"a', 'a"', 'a"b', '"a"b"', '"a"b', "\U0001f964" * 100]),
]

REFUSED: list[tuple[Check, list[str]]] = [
    (limits.check_account, ["", "-a", ".a", "a b", "a/b", "ä", "a\n", "a\x00", "a" * 33]),
    (limits.check_machine, ["", "-d", "D", "d_1", "d\n", "a" * 33]),
    (limits.check_request_id, ["", "a b", "a/b", "é", "a\n", "a" * 65]),
    (limits.check_item, ["", " Coke", "Coke ", "Co\tke", 'a"b', "a\x7f", "a\x85b", "x" * 65]),
    (check_text, ["a\nb", "a\x00", "a\x9f", "x" * 201]),
    (check_display_name, ["a\nb", "a\x00", "a\x9f", "x" * 201, "\n", *UNSEEN]),
    (limits.check_item, [f"Co{unseen}ke" for unseen in UNSEEN]),
    (limits.check_item, [f"{unseen}Coke" for unseen in UNSEEN]),
    (check_text, [f"the {unseen}lounge" for unseen in UNSEEN]),
    (limits.check_account, [f"al{unseen}ice" for unseen in UNSEEN]),
    (limits.check_machine, [f"d{unseen}" for unseen in UNSEEN]),
    (limits.check_password, ["", "a b", "a\n", "a\x00", "x" * (limits.PASSWORD_MAX + 1)]),
    (limits.check_password, ['""', '"a"', '"correct-horse"', "\U0001f964" * 101, "\ud800"]),
    (limits.check_ibutton, ["", "0" * 15, "0" * 17, "000000000000000G", "0" * 16 + "\n"]),
]


def each(cases: list[tuple[Check, list[str]]]) -> list[tuple[Check, str]]:
    return [(check, value) for check, values in cases for value in values]


@pytest.mark.parametrize(("check", "value"), each(TAKEN))
def test_sound_values_are_taken_as_they_are(check: Check, value: str) -> None:
    assert check(value) == value


@pytest.mark.parametrize(("check", "value"), each(REFUSED))
def test_unsound_values_are_refused_by_field(check: Check, value: str) -> None:
    with pytest.raises(FieldInvalidError) as refused:
        check(value)
    assert refused.value.facts["field"]


def test_an_ibutton_is_one_number_in_either_case() -> None:
    assert limits.check_ibutton("00aAbBcCdDeEfF99") == "00AABBCCDDEEFF99"


@pytest.mark.parametrize("number", [1, limits.SLOT_MAX])
def test_slots_within_the_bounds(number: int) -> None:
    assert limits.check_slot(number) == number


@pytest.mark.parametrize("number", [-1, 0, limits.SLOT_MAX + 1, 2**63])
def test_slots_out_of_the_bounds(number: int) -> None:
    with pytest.raises(FieldInvalidError, match="slot: must be 1 to 99"):
        limits.check_slot(number)


@pytest.mark.parametrize(
    "check", [limits.check_account, limits.check_machine, limits.check_request_id]
)
@given(value=st.text(max_size=70))
def test_names_are_plain_and_short_whatever_comes(check: Check, value: str) -> None:
    try:
        name = check(value)
    except FieldInvalidError:
        return
    assert name.isascii()
    assert name.isprintable()
    assert 1 <= len(name) <= 64
    assert not set(name) & set(" /\"'\\")


@pytest.mark.parametrize("value", ["ann", "Ann_1.x-y", "x" * 32, "~0123456789", "~ABCDEFGHJK"])
def test_a_name_or_an_id_refers_to_an_account(value: str) -> None:
    assert limits.check_account_reference(value) == value


@pytest.mark.parametrize(
    "value", ["", "~", "~012345678", "~01234567890", "~abcdefghij", "~ABCDEFGHI\n", "a~b", "x" * 33]
)
def test_nothing_else_refers_to_an_account(value: str) -> None:
    with pytest.raises(FieldInvalidError) as refused:
        limits.check_account_reference(value, "name")
    assert refused.value.facts == {"field": "name"}
