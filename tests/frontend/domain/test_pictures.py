"""Pictures by their first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.pictures import (
    PART_BYTES,
    PICTURE_BYTES_MAX,
    PICTURE_SIDE_MAX,
    parse_picture,
    parts_of,
)
from tests.support.pictures import jpeg, png, webp

FILL = b"\xff\xfe\x00\x04ab\xff\xff\xdb\x00\x43" + bytes(65) + b"\xff\xd0"
"""A comment, a fill byte before a table, and a marker without a length."""

WEBPS = (b"VP8 ", b"VP8L", b"VP8X")


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (png(40, 30), "image/png"),
        (jpeg(40, 30), "image/jpeg"),
        (jpeg(40, 30, FILL), "image/jpeg"),
        *((webp(kind, 40, 30), "image/webp") for kind in WEBPS),
    ],
)
def test_the_header_says_format_and_sides(content: bytes, media_type: str) -> None:
    picture = parse_picture(content)
    assert (picture.media_type, picture.width, picture.height) == (media_type, 40, 30)
    assert picture.size == len(content)
    assert len(picture.etag) == 32
    assert parse_picture(content + b"x").etag != picture.etag


def test_the_largest_picture_is_taken() -> None:
    largest = png(PICTURE_SIDE_MAX, PICTURE_SIDE_MAX, PICTURE_BYTES_MAX)
    assert len(largest) == PICTURE_BYTES_MAX
    picture = parse_picture(largest)
    assert (picture.width, picture.height) == (PICTURE_SIDE_MAX, PICTURE_SIDE_MAX)
    parts = parts_of(largest)
    assert b"".join(parts) == largest
    assert {len(part) for part in parts} == {PART_BYTES}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>',
        b"<?xml version='1.0'?><svg/>",
        b"<html>" + png(),
        b"GIF89a" + bytes(40),
        b"BM" + bytes(60),
        png(0, 1),
        png(1, 0),
        png(PICTURE_SIDE_MAX + 1, 1),
        png(2**32 - 1, 2**32 - 1),
        png()[:20],
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIDAT" + bytes(20),
        jpeg(0, 1),
        jpeg(1, 65_535),
        jpeg()[:22],
        b"\xff\xd8\xff\xe0\x00\x00" * 9,
        b"\xff\xd8\xff" + b"\xff" * 100,
        b"\xff\xd8\xff\xd9" + bytes(50),
        *(webp(kind)[:24] for kind in WEBPS),
        webp(b"VP8 ", 0, 1),
        webp(b"VP8X", PICTURE_SIDE_MAX + 1, 1),
        webp(b"VP8L").replace(b"\x2f", b"\x2e"),
        b"RIFF" + bytes(4) + b"WAVE" + bytes(40),
        png(size=PICTURE_BYTES_MAX + 1),
    ],
)
def test_all_else_is_refused(content: bytes) -> None:
    with pytest.raises(FieldInvalidError) as error:
        parse_picture(content)
    assert error.value.facts == {"field": "chunk"}


@given(
    st.sampled_from([png()[:16], jpeg()[:4], b"RIFF1234WEBPVP8 ", b"RIFF1234WEBPVP8L", b""]),
    st.binary(max_size=200),
)
def test_any_bytes_are_a_picture_or_refused(start: bytes, rest: bytes) -> None:
    try:
        picture = parse_picture(start + rest)
    except FieldInvalidError:
        return
    assert 1 <= picture.width <= PICTURE_SIDE_MAX
    assert 1 <= picture.height <= PICTURE_SIDE_MAX
