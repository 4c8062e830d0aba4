"""Bytes of readers: lines, keys, and numbers of cards in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.reader.codec import (
    INPUT_EVENT,
    LINE_BYTES_MAX,
    NUMBER_MAX,
    Keys,
    Lines,
    card_number,
)
from tests.agent.reader.keyboard import typed


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"04A2B3C4", "04A2B3C4"),
        (b"\x0204A2B3C4", "04A2B3C4"),
        (b" 04:a2:b3:c4 ", "04:a2:b3:c4"),
        (b"04 A2 B3 C4", "04 A2 B3 C4"),
        (b"4006381333931", "4006381333931"),
        (b"member-17_b.", "member-17_b."),
        (b"", None),
        (b"\xff\xfe04A2", None),
        (b"NO CARD!", None),
        (b"04A2\x1b[3C4", None),
        (b"1" * NUMBER_MAX, "1" * NUMBER_MAX),
        (b"1" * (NUMBER_MAX + 1), None),
    ],
)
def test_a_line_is_a_number_or_none(line: bytes, number: str | None) -> None:
    assert card_number(line) == number


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"0077771716", "04A2B3C4"),
        (b"77771716", "04A2B3C4"),
        (b"1", "00000001"),
        (b"%d" % 0x04A2C42D7A1FF8, "04A2C42D7A1FF8"),
        (b"04A2B3C4", None),
        (b"9" * 40, None),
    ],
)
def test_decimal_numbers_are_sent_as_others_print_them(line: bytes, number: str | None) -> None:
    assert card_number(line, decimal=True) == number


@given(st.binary(max_size=600), st.integers(1, 50))
def test_lines_are_the_same_however_the_bytes_come(data: bytes, step: int) -> None:
    whole, parts, found = Lines().feed(data), Lines(), []
    for at in range(0, len(data), step):
        found += parts.feed(data[at : at + step])
    assert found == whole
    assert all(0 < len(line) <= LINE_BYTES_MAX for line in whole)


def test_a_line_that_is_too_long_is_left_out_whole() -> None:
    lines = Lines()
    assert lines.feed(b"x" * (LINE_BYTES_MAX + 1) + b"04A2B3C4\r\n04A2B3C5\r\n") == [b"04A2B3C5"]
    assert lines.feed(b"\r\n\n\x03") == []


def test_keys_type_what_a_reader_types() -> None:
    keys = Keys()
    assert keys.feed(typed("0123456789\n")) == b"0123456789\n"
    assert keys.feed(typed("abcXYZ-_:. \n")) == b"abcXYZ-_:. \n"
    # A key that no reader has makes the line no number.
    other = INPUT_EVENT.pack(0, 0, 1, 59, 1) + INPUT_EVENT.pack(0, 0, 1, 59, 0)
    assert card_number(keys.feed(typed("04A2") + other + typed("B3C4\n")).strip()) is None


@given(st.binary(max_size=300), st.integers(1, 60))
def test_events_are_the_same_however_they_are_cut(data: bytes, step: int) -> None:
    whole, parts = Keys().feed(data), Keys()
    found = b"".join(parts.feed(data[at : at + step]) for at in range(0, len(data), step))
    assert found == whole
