r"""The bytes of the journal: one frame per line, each written by one sync.

    frame   = length " " crc " " payload "\n"
    length  = payload bytes, 8 hexadecimal digits
    crc     = CRC-32 of the payload, 8 hexadecimal digits
    payload = ASCII JSON without control characters

The payload of the first frame is the header object; the payload of every other frame is a list of
entries. A frame has no NUL byte, and its only line feed is at its end. This distinguishes a torn
frame from a damaged one: a power cut either shortens the last write or leaves sectors of it
unwritten, which read as NUL. A power cut has no other effect, and a flipped bit has neither.
"""

import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from drink_agent.domain.records import Entry, InvalidRecordError

FORMAT = "drink-journal/1"
"""Name and version of this format."""

FRAME_BYTES_MAX = 1 << 20
"""Largest size of a frame; a sync of more entries is a fault of the program."""

SECTOR_BYTES = 512
"""Smallest unit that a disk writes completely or not at all."""

_encode_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode
_decode_json = json.JSONDecoder().raw_decode

_HEAD = re.compile(rb"([0-9a-f]{8}) ([0-9a-f]{8}) ")
_HEAD_ANYWHERE = re.compile(rb"(?=[0-9a-f]{8} [0-9a-f]{8} )")
_HEAD_BYTES = 18
_HEAD_SHAPE = b"x" * 8 + b" " + b"x" * 8 + b" "
_NUL = b"\0"


class BrokenFrameError(Exception):
    """Bytes that are neither a frame nor a frame torn by a power cut."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset
        """Position of the first such byte."""
        self.reason = reason
        """Description of the damage."""


@dataclass(frozen=True, slots=True)
class Header:
    """First frame of a journal."""

    journal_id: str
    """Id that is made with the journal and kept in compactions."""
    through: int = 0
    """Number of the last compacted entry; only entries up to it may be missing."""
    kept: int = 0
    """Number of entries up to `through` that the file has."""


@dataclass(frozen=True, slots=True)
class Contents:
    """All durable content of a journal."""

    header: Header
    """First frame of the journal."""
    entries: tuple[Entry, ...]
    """All entries, oldest first."""
    sound_bytes: int
    """Length in bytes of the intact frames."""
    torn_bytes: int
    """Length in bytes of the torn frame after them, usually 0."""
    last_frame_at: int = 0
    """Position of the last intact frame."""

    @property
    def last_sequence(self) -> int:
        """Number of the last entry that was ever written."""
        last = self.entries[-1].sequence if self.entries else 0
        return max(last, self.header.through)


def encode_frame(payload: object) -> bytes:
    """Returns the frame of a payload that JSON can encode."""
    text = _encode_json(payload).encode("ascii")
    frame = b"%08x %08x %s\n" % (len(text), binascii.crc32(text), text)
    assert len(frame) <= FRAME_BYTES_MAX
    return frame


def encode_header(header: Header) -> bytes:
    """Returns the first frame of a journal."""
    return encode_frame(
        {
            "format": FORMAT,
            "journal": header.journal_id,
            "through": header.through,
            "kept": header.kept,
        }
    )


def decode(data: bytes) -> Contents:
    """Decodes a whole journal.

    Raises:
        BrokenFrameError: It was damaged after it had been written, or has another format.
    """
    frames = _Frames(data)
    header: Header | None = None
    entries: list[Entry] = []
    for offset, payload in frames:
        if header is None:
            header = _header(payload, offset)
        else:
            last = entries[-1].sequence if entries else 0
            entries += _entries(payload, offset, last, header.through)
    if header is None:
        raise BrokenFrameError(0, "there is no header")
    if sum(entry.sequence <= header.through for entry in entries) != header.kept:
        raise BrokenFrameError(frames.sound_bytes, "compacted entries are missing")
    torn_bytes = len(data) - frames.sound_bytes
    return Contents(header, tuple(entries), frames.sound_bytes, torn_bytes, offset)


class _Frames:
    """Yields the intact frames with their positions, up to the end or a torn frame."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.sound_bytes = 0

    def __iter__(self) -> Iterator[tuple[int, object]]:
        while self.sound_bytes < len(self._data):
            offset = self.sound_bytes
            payload = _payload_at(self._data, offset)
            if payload is None:
                reason = damage_of_tail(self._data, offset)
                if reason or offset == 0:  # the first frame is never written in place
                    raise BrokenFrameError(offset, reason or "the header is torn")
                return
            self.sound_bytes += _HEAD_BYTES + len(payload) + 1
            try:
                yield offset, _json(payload)
            except ValueError as error:
                raise BrokenFrameError(offset, "a frame does not hold JSON") from error


def _payload_at(data: bytes, offset: int) -> bytes | None:
    head = _HEAD.match(data, offset, offset + _HEAD_BYTES)
    if head is None:
        return None
    start = offset + _HEAD_BYTES
    end = start + int(head[1], 16)
    payload = data[start:end]
    sound = data[end : end + 1] == b"\n" and binascii.crc32(payload) == int(head[2], 16)
    return payload if sound else None


def _json(payload: bytes) -> object:
    """Decodes the JSON of one frame; surrounding white space is an error.

    Raises:
        ValueError: It is not ASCII, not JSON, or more than one value.
    """
    text = payload.decode("ascii")
    value, end = _decode_json(text)
    if end != len(text):
        raise ValueError("something follows the value")
    return value


def damage_of_tail(data: bytes, offset: int) -> str:
    """Determines whether the bytes from `offset`, where no intact frame begins, are a torn frame.

    Returns:
        The evidence of damage; empty if they are a torn frame.
    """
    tail = data[offset:]
    if len(tail) > FRAME_BYTES_MAX:
        return "more bytes than one frame has do not form one"
    if _sound_frame_after(tail):
        return "a sound frame follows bytes that form none"
    if _NUL in tail:
        torn = _ends_unwritten(tail) or _has_unwritten_sectors(data, offset)
        return "" if torn else "NUL bytes inside a frame"
    if b"\n" in tail:
        return "a complete frame does not match its checksum"
    return "" if _is_frame_start(tail) else "the beginning of no frame"


def _sound_frame_after(tail: bytes) -> bool:
    starts = (found.start() for found in _HEAD_ANYWHERE.finditer(tail))
    return any(_payload_at(tail, start) is not None for start in starts)


def _ends_unwritten(tail: bytes) -> bool:
    return _NUL not in tail.rstrip(_NUL)


def _has_unwritten_sectors(data: bytes, offset: int) -> bool:
    edges = [offset, *range(offset - offset % SECTOR_BYTES + SECTOR_BYTES, len(data), SECTOR_BYTES)]
    pieces = [data[start:end] for start, end in zip(edges, [*edges[1:], len(data)], strict=True)]
    return all(_NUL not in piece or not piece.strip(_NUL) for piece in pieces)


def _is_frame_start(tail: bytes) -> bool:
    for byte, shape in zip(tail, _HEAD_SHAPE, strict=False):
        if (byte not in b"0123456789abcdef") if shape == ord("x") else (byte != ord(" ")):
            return False
    if len(tail) < _HEAD_BYTES:
        return True
    return _HEAD_BYTES + int(tail[:8], 16) + 1 > len(tail)


def _header(payload: object, offset: int) -> Header:
    match payload:
        case {
            "format": str(name),
            "journal": str(journal_id),
            "through": int(through),
            "kept": int(kept),
        } if name == FORMAT:
            return Header(journal_id, through, kept)
        case _:
            raise BrokenFrameError(offset, "the file is no journal of this format and version")


def _entries(payload: object, offset: int, last: int, through: int) -> Iterator[Entry]:
    if not isinstance(payload, list):
        raise BrokenFrameError(offset, "a frame holds no entries")
    for stored in payload:
        try:
            entry = Entry.from_dict(stored)
        except InvalidRecordError as error:
            raise BrokenFrameError(offset, str(error)) from error
        if entry.sequence <= last or (entry.sequence > max(last, through) + 1):
            raise BrokenFrameError(offset, f"entry {entry.sequence} comes after entry {last}")
        last = entry.sequence
        yield entry
