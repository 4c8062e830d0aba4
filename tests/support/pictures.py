"""The smallest pictures of each format, with as many bytes as wanted."""

import struct
import zlib


def png(width: int = 2, height: int = 3, size: int = 0) -> bytes:
    """A PNG file without its pixels, filled up to `size` bytes by a chunk of text."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)
    end = _chunk(b"IDAT", zlib.compress(b"\0")) + _chunk(b"IEND", b"")
    missing = size - len(start) - len(end)
    return start + (_chunk(b"tEXt", b"x" * (missing - 12)) if missing > 12 else b"") + end


def _chunk(kind: bytes, content: bytes) -> bytes:
    sum_ = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + sum_


def jpeg(width: int = 2, height: int = 3, before: bytes = b"") -> bytes:
    """The header of a JPEG file, with segments before its frame."""
    application = b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0"
    frame = b"\xff\xc2\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\0"
    return b"\xff\xd8" + application + before + frame + b"\xff\xd9"


def webp(kind: bytes, width: int = 2, height: int = 3) -> bytes:
    """The header of a WebP file: lossy, lossless or extended."""
    match kind:
        case b"VP8 ":
            body = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
        case b"VP8L":
            body = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(5)
        case _:
            sides = [(side - 1).to_bytes(3, "little") for side in (width, height)]
            body = bytes(4) + b"".join(sides)
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
