import binascii
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.domain.evidence import Cause, Evidence, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Result
from drink_agent.journal.format import (
    FRAME_BYTES_MAX,
    SECTOR_BYTES,
    BrokenFrameError,
    Header,
    decode,
    encode_frame,
    encode_header,
)


def frame_of(entries: Sequence[Entry]) -> bytes:
    return encode_frame([entry.to_dict() for entry in entries])


HEADER = encode_header(Header("1b4e28ba-2fa1-11d2-883f-0016d3cca427"))
FIRST = (
    Entry(1, Accepted("a", 3, 10_000, 123_456, "boot")),
    Entry(2, Commanded("a", 3, Sensor.STOCKED)),
)
SECOND = (Entry(3, Result("a", 1, Cause.BOARD_ACK, Evidence(contradiction="@ @"))),)
FRAMES = [HEADER, frame_of(FIRST), frame_of(SECOND)]
SOUND = b"".join(FRAMES)
LAST_START = len(SOUND) - len(FRAMES[-1])


def test_encoded_entries_are_decoded_alike() -> None:
    contents = decode(SOUND)
    assert contents.entries == (*FIRST, *SECOND)
    assert contents.header.journal_id == "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    assert (contents.sound_bytes, contents.torn_bytes) == (len(SOUND), 0)
    assert contents.last_sequence == 3


def test_the_file_is_text_without_nul_bytes() -> None:
    assert SOUND.isascii()
    assert b"\0" not in SOUND
    assert SOUND.count(b"\n") == len(FRAMES)


@pytest.mark.parametrize("kept", range(1, len(FRAMES[-1])))
def test_fault_33_a_short_tail_is_torn_at_every_length(kept: int) -> None:
    """Invariant 20: a record torn by a power cut is recognised."""
    contents = decode(SOUND[: LAST_START + kept])
    assert contents.entries == FIRST
    assert (contents.sound_bytes, contents.torn_bytes) == (LAST_START, kept)


@pytest.mark.parametrize("kept", range(len(FRAMES[-1])))
def test_fault_33_a_tail_that_ends_in_nul_bytes_is_torn_at_every_length(kept: int) -> None:
    missing = len(FRAMES[-1]) - kept
    contents = decode(SOUND[: LAST_START + kept] + b"\0" * missing)
    assert contents.entries == FIRST
    assert contents.torn_bytes == len(FRAMES[-1])


def test_fault_33_any_unwritten_sectors_of_the_last_frame_are_torn() -> None:
    long = Evidence(contradiction="x" * 2000)
    tail = frame_of([Entry(3, Result("a", 1, Cause.BOARD_LOST, long))])
    data = HEADER + FRAMES[1] + tail
    start = len(data) - len(tail)
    edges = [start, *range(start - start % SECTOR_BYTES + SECTOR_BYTES, len(data), SECTOR_BYTES)]
    for begin, end in zip(edges, [*edges[1:], len(data)], strict=True):
        torn = data[:begin] + b"\0" * (end - begin) + data[end:]
        assert decode(torn).entries == FIRST


def test_fault_34_every_flipped_bit_is_damage() -> None:
    """Invariant 20: damage is never mistaken for a torn record, and so never removed."""
    for position in range(len(SOUND)):
        for bit in range(8):
            flipped = bytearray(SOUND)
            flipped[position] ^= 1 << bit
            with pytest.raises(BrokenFrameError):
                decode(bytes(flipped))


@pytest.mark.parametrize("position", range(len(HEADER), LAST_START))
def test_fault_34_bytes_lost_inside_are_damage(position: int) -> None:
    with pytest.raises(BrokenFrameError) as caught:
        decode(SOUND[:position] + SOUND[position + 1 :])
    assert len(HEADER) <= caught.value.offset <= position


def test_a_zeroed_frame_that_others_follow_is_damage() -> None:
    zeroed = HEADER + b"\0" * len(FRAMES[1]) + FRAMES[2]
    with pytest.raises(BrokenFrameError, match="a sound frame follows"):
        decode(zeroed)


def test_a_missing_frame_is_damage() -> None:
    with pytest.raises(BrokenFrameError, match="entry 3 comes after entry 0"):
        decode(HEADER + FRAMES[2])


def test_a_repeated_frame_is_damage() -> None:
    with pytest.raises(BrokenFrameError, match="entry 1 comes after entry 2"):
        decode(HEADER + FRAMES[1] + FRAMES[1])


def test_too_many_bytes_for_one_frame_are_damage() -> None:
    with pytest.raises(BrokenFrameError, match="more bytes than one frame"):
        decode(SOUND + b"\0" * (FRAME_BYTES_MAX + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        HEADER[:10],
        b"SQLite format 3\0" + b"x" * 1000,
        FRAMES[1],
        encode_frame({"format": "drink-journal/2", "journal": "x", "through": 0, "kept": 0}),
        encode_frame(["a"]),
        HEADER + encode_frame({"n": 1}),
        HEADER + encode_frame([{"n": 1}]),
    ],
)
def test_a_file_of_another_format_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenFrameError):
        decode(data)


def test_compacted_entries_may_have_gaps_but_none_may_be_missing() -> None:
    ack = Entry(9, Acked("a", 1))
    kept = [Entry(7, SECOND[0].record), ack]
    header = encode_header(Header("j", through=12, kept=2))
    contents = decode(header + frame_of(kept) + frame_of([Entry(13, FIRST[0].record)]))
    assert [entry.sequence for entry in contents.entries] == [7, 9, 13]
    assert decode(header + frame_of(kept)).last_sequence == 12
    with pytest.raises(BrokenFrameError, match="compacted entries are missing"):
        decode(header + frame_of(kept[:1]))
    with pytest.raises(BrokenFrameError, match="entry 14 comes after entry 9"):
        decode(header + frame_of(kept) + frame_of([Entry(14, FIRST[0].record)]))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_appended_bytes_never_decode_to_new_entries(junk: bytes, more: bytes) -> None:
    for data in (junk + more, HEADER + junk + more, SOUND + junk):
        try:
            contents = decode(data)
        except BrokenFrameError:
            continue
        assert data.startswith(HEADER)
        assert contents.entries in ((), (*FIRST, *SECOND))


@pytest.mark.parametrize("payload", [b"[] ", b" []", b"[][]", b"", b"[", '["é"]'.encode()])
def test_a_frame_that_holds_anything_but_one_value_is_damaged(payload: bytes) -> None:
    frame = b"%08x %08x %s\n" % (len(payload), binascii.crc32(payload), payload)
    with pytest.raises(BrokenFrameError) as raised:
        decode(HEADER + frame)
    assert raised.value.offset == len(HEADER)
