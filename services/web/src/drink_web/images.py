"""Makes pictures that people upload small and plain, whatever they are."""

import asyncio
from io import BytesIO

from PIL import Image, ImageOps

from drink_web.errors import PageError

FORMATS = ("JPEG", "PNG", "WEBP")
"""What is read; of several images in one file the first."""

MEDIA_TYPE = "image/webp"
"""What is written."""

PIXELS_MAX = 16_777_216
"""Most pixels of an uploaded picture: 4,096 on each side, and what telephones make."""

_one_at_a_time = asyncio.Semaphore(1)
"""A decoded picture takes up to 64 MB."""


async def shrink(content: bytes, side_max: int) -> bytes:
    """A picture, decoded and encoded again as WebP without anything but its pixels.

    Turned as its camera was held. Places, names and previews that cameras add are left out.

    Args:
        content: A file of one of `FORMATS`.
        side_max: Pixels of the longer side; a smaller picture stays as large as it is.

    Raises:
        PageError: it is something else, broken, or has too many pixels.
    """
    async with _one_at_a_time:
        return await asyncio.to_thread(_shrink, content, side_max)


def _shrink(content: bytes, side_max: int) -> bytes:
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            _check_pixels(image)
            # A JPEG is decoded at a fraction of its size, where that is large enough.
            image.draft("RGB", (side_max, side_max))
            turned = ImageOps.exif_transpose(image)
            turned.thumbnail((side_max, side_max))
            plain = turned.convert("RGBA" if turned.has_transparency_data else "RGB")
    except PageError:
        raise
    except Exception:
        # Pillow raises whatever a broken file leads it to.
        raise PageError(415, "picture_kind") from None
    written = BytesIO()
    plain.save(written, "WEBP", quality=82, method=4)
    return written.getvalue()


def _check_pixels(image: Image.Image) -> None:
    if image.width * image.height > PIXELS_MAX:
        raise PageError(413, "picture_pixels")
