"""Pictures of items: their formats, by signature, and their limits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from drink_frontend.domain.errors import FieldInvalidError

PICTURE_BYTES_MAX = 1_048_576
"""Most bytes of a picture; 1,048,576. A photograph with sides of 1,000 pixels needs a third."""

PICTURE_SIDE_MAX = 4_096
"""Most pixels of a side: what every screen can show, and every decoder can take."""

PART_BYTES = 32_768
"""Bytes of a part in which a picture is stored and sent, half of the largest request."""

_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_JPEG = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers of JPEG that begin a frame (ISO 10918-1, table B.1)."""
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""The markers of JPEG that have no length."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known of a picture.

    Attributes:
        media_type: `image/png`, `image/jpeg` or `image/webp`.
        width: In pixels.
        height: In pixels.
        size: In bytes.
        etag: 32 hexadecimal digits, others for every other content.
    """

    media_type: str
    width: int
    height: int
    size: int
    etag: str


def parse_picture(content: bytes) -> Picture:
    """What a PNG, JPEG or WebP file says of itself in its header.

    Raises:
        FieldInvalidError: it is something else, broken or too large.
    """
    if len(content) > PICTURE_BYTES_MAX:
        raise FieldInvalidError("chunk", f"must be at most {PICTURE_BYTES_MAX} bytes in all")
    for media_type, sides in _FORMATS:
        found = sides(content)
        if found is None:
            continue
        if not all(1 <= side <= PICTURE_SIDE_MAX for side in found):
            raise FieldInvalidError(
                "chunk", f"must be a picture with sides of 1 to {PICTURE_SIDE_MAX} pixels"
            )
        etag = sha256(content).hexdigest()[:32]
        return Picture(media_type, *found, len(content), etag)
    raise FieldInvalidError("chunk", "must be a picture as PNG, JPEG or WebP, and nothing else")


def parts_of(content: bytes) -> Sequence[bytes]:
    """The content in parts of PART_BYTES, the last one shorter."""
    return [content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES)]


def _png(content: bytes) -> tuple[int, int] | None:
    if not content.startswith(_PNG) or len(content) < len(_PNG) + 8:
        return None
    return _big(content, 16, 4), _big(content, 20, 4)


def _jpeg(content: bytes) -> tuple[int, int] | None:
    if not content.startswith(_JPEG):
        return None
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in _FRAMES:
            return _big(content, at + 7, 2), _big(content, at + 5, 2)
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + max(2, _big(content, at + 2, 2))
    return None


def _webp(content: bytes) -> tuple[int, int] | None:
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < 30:
        return None
    match content[12:16]:
        case b"VP8X":
            return _little(content, 24, 3) + 1, _little(content, 27, 3) + 1
        case b"VP8L" if content[20] == 0x2F:
            bits = _little(content, 21, 4)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 " if content[23:26] == b"\x9d\x01\x2a":
            return _little(content, 26, 2) & 0x3FFF, _little(content, 28, 2) & 0x3FFF
    return None


def _big(content: bytes, at: int, size: int) -> int:
    return int.from_bytes(content[at : at + size], "big")


def _little(content: bytes, at: int, size: int) -> int:
    return int.from_bytes(content[at : at + size], "little")


_FORMATS: Sequence[tuple[str, Callable[[bytes], tuple[int, int] | None]]] = (
    ("image/png", _png),
    ("image/jpeg", _jpeg),
    ("image/webp", _webp),
)
