from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from drink_web import images
from drink_web.errors import PageError
from drink_web.images import shrink

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def file(kind: str, size: tuple[int, int] = (300, 200), mode: str = "RGB", **how: Any) -> bytes:
    """A picture of one colour."""
    written = BytesIO()
    Image.new(mode, size, "red" if mode == "RGB" else (9, 9, 9, 9)).save(written, kind, **how)
    return written.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_picture_is_made_small_and_keeps_its_shape(kind: str) -> None:
    with Image.open(BytesIO(await shrink(file(kind, (900, 600)), 300))) as image:
        assert image.format == "WEBP"
        assert image.size == (300, 200)


async def test_a_small_picture_stays_as_large_as_it_is() -> None:
    with Image.open(BytesIO(await shrink(file("PNG", (30, 20)), 300))) as image:
        assert image.size == (30, 20)


async def test_what_a_camera_adds_is_left_out_and_the_picture_is_turned() -> None:
    facts = Image.Exif()
    facts[0x0112] = 6  # turned by a quarter
    facts[0x010E] = "at home"
    made = await shrink(file("JPEG", (300, 200), exif=facts.tobytes()), 300)
    assert b"at home" not in made
    with Image.open(BytesIO(made)) as image:
        assert image.size == (200, 300)
        assert not image.getexif()


async def test_what_is_transparent_stays_so() -> None:
    with Image.open(BytesIO(await shrink(file("PNG", mode="RGBA"), 300))) as image:
        assert image.mode == "RGBA"


@pytest.mark.parametrize(
    "content",
    [b"", SVG, b"GIF89a" + bytes(100), b"%PDF-1.7", file("GIF"), file("BMP"), file("PNG")[:60]],
)
async def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(PageError) as caught:
        await shrink(content, 300)
    assert (caught.value.status, caught.value.text) == (415, "picture_kind")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_broken_file_is_refused_and_nothing_else_happens(kind: str) -> None:
    whole = file(kind, (64, 64))
    for at in range(0, len(whole), 7):
        broken = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        try:
            await shrink(broken, 64)
        except PageError as error:
            assert error.status in (413, 415)  # noqa: PT017 - some changes do no harm


async def test_too_many_pixels_are_refused_before_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "PIXELS_MAX", 59_999)
    with pytest.raises(PageError) as caught:
        await shrink(file("PNG"), 300)
    assert (caught.value.status, caught.value.text) == (413, "picture_pixels")
