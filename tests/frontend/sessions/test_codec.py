import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drink_frontend.sessions.codec import Event, Garbage, LineDecoder
from drink_frontend.sessions.telnet import IAC_MAX, TelnetFilter

LINE_MAX = 16

# Bytes that are likely to break a line reader, beside any others.
STREAMS = st.lists(
    st.one_of(
        st.sampled_from([b"\n", b"\r\n", b"\r", b"\0", b"STAT", b" ", b'"', b"\xff", b"x" * 17]),
        st.binary(max_size=LINE_MAX + 4),
    ),
    max_size=12,
).map(b"".join)


@pytest.fixture
def decoder() -> LineDecoder:
    return LineDecoder(LINE_MAX)


def events(pieces: list[bytes]) -> list[Event]:
    decoder = LineDecoder(LINE_MAX)
    taken = []
    for piece in pieces:
        decoder.feed(piece)
        while (event := decoder.next_event()) is not None:
            taken.append(event)
    return taken


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@given(STREAMS, st.lists(st.integers(min_value=0, max_value=1_000), max_size=8))
@example(b"a" * 17 + b"\r\n", [17])
@example(b"a" * 16 + b"\r\n", [16, 17])
@example(b"a" * 16 + b"\r\r\n", [17])
def test_fault_7_any_split_of_any_bytes_gives_the_same_lines(
    stream: bytes, places: list[int]
) -> None:
    whole = events([stream])
    assert events(cut(stream, places)) == whole
    assert events([bytes([byte]) for byte in stream]) == whole
    ends = re.findall(rb"\r\n|\r|\n", TelnetFilter().feed(stream))
    assert len(whole) == len(ends), "each line end ends exactly one line"


@given(STREAMS)
def test_lines_are_printable_and_short(stream: bytes) -> None:
    for event in events([stream]):
        if isinstance(event, str):
            assert event.isprintable()
            assert len(event.encode()) <= LINE_MAX


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=16)))
def test_honest_lines_come_out_as_they_went_in(texts: list[str]) -> None:
    assert events(["".join(f"{text}\r\n" for text in texts).encode()]) == texts


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"STAT\n", "STAT"),
        (b"STAT\r\n", "STAT"),
        (b"\n", ""),
        (b"\r\n", ""),
        ("Café\n".encode(), "Café"),
        (b"a" * 16 + b"\n", "a" * 16),
        (b"a" * 16 + b"\r\n", "a" * 16),
        (b"a" * 17 + b"\n", Garbage.TOO_LONG),
        (b"STAT\r", "STAT"),
        (b"STAT\r\0", "STAT"),
        (b"STAT\0\n", "STAT"),
        (b"ST\0AT\r\0\n", "STAT"),
        (b"\xff\xfd\x03STAT\xff\xf1\r\n", "STAT"),
        (b"\xff\xff\n", Garbage.NOT_TEXT),
        (b"ST\tAT\n", Garbage.NOT_TEXT),
        (b"Caf\xe9\n", Garbage.NOT_TEXT),
        ("\u202eSTAT\n".encode(), Garbage.NOT_TEXT),
    ],
)
def test_what_a_line_may_be(sent: bytes, expected: Event) -> None:
    assert events([sent]) == [expected]


@pytest.mark.parametrize(
    "sent",
    [b"STAT\rTEMP\r", b"STAT\r\0TEMP\r\0", b"STAT\r\nTEMP\r\n", b"STAT\nTEMP\r", b"STAT\r\0TEMP\n"],
)
def test_every_kind_of_line_end_ends_one_line_however_it_is_cut(sent: bytes) -> None:
    for place in range(len(sent) + 1):
        assert events([sent[:place], sent[place:]]) == ["STAT", "TEMP"]


@pytest.mark.parametrize("sent", [b"\xff\xfb\x1f", b"\0", b"\xff\xfa\x1f\0P\0\n\xff\xf0", b"\xff"])
def test_negotiation_alone_is_no_line(sent: bytes, decoder: LineDecoder) -> None:
    decoder.feed(sent)
    assert not decoder.partial
    decoder.silence()
    assert decoder.next_event() is None


class TestEndless:
    def test_a_line_is_endless_past_its_most_bytes(self) -> None:
        decoder = LineDecoder(LINE_MAX, 1_000)
        decoder.feed(b"x" * 1_000)
        assert not decoder.endless
        decoder.feed(b"x")
        assert decoder.endless

    def test_so_are_bytes_that_are_in_no_line(self) -> None:
        for junk in (b"\0", b"\xff\xf1"):
            decoder = LineDecoder(LINE_MAX, 1_000)
            for _ in range(1_001):
                decoder.feed(junk)
            assert decoder.endless
        decoder = LineDecoder(LINE_MAX, 1_000_000)
        decoder.feed(b"\xff\xf1" * (IAC_MAX + 1))
        assert decoder.endless

    def test_a_line_end_or_silence_begins_anew(self) -> None:
        decoder = LineDecoder(LINE_MAX, 1_000)
        for _ in range(10):
            decoder.feed(b"x" * 500 + b"\n")
            decoder.feed(b"x" * 500)
            decoder.silence()
        assert not decoder.endless


class TestBegun:
    """What arrives may say that the line before it has ended."""

    def test_the_line_before_it_is_ended(self) -> None:
        asked = []

        def ends_line(line: bytes, more: bytes) -> bool:
            asked.append((line, more))
            return more.startswith(b"PASS")

        decoder = LineDecoder(LINE_MAX, ends_line=ends_line)
        decoder.feed(b"STAT\nUSER b")
        decoder.feed(b"ob")
        decoder.feed(b"PASS x\r\n")
        taken = [decoder.next_event() for _ in range(4)]
        assert taken == ["STAT", "USER bob", "PASS x", None]
        assert asked == [(b"USER b", b"ob"), (b"USER bob", b"PASS x\n")]


def test_fault_7_a_megabyte_without_a_line_end_takes_no_memory(decoder: LineDecoder) -> None:
    for _ in range(1_024):
        decoder.feed(b"x" * 1_024)
        assert decoder.next_event() is None
        assert decoder.backlog == 0
    decoder.feed(b"\nSTAT\n")
    assert decoder.next_event() is Garbage.TOO_LONG
    assert decoder.next_event() == "STAT"
    assert decoder.next_event() is None


def test_backlog_counts_what_waits(decoder: LineDecoder) -> None:
    decoder.feed(b"STAT\nTE")
    assert (decoder.backlog, decoder.partial) == (7, True)
    decoder.next_event()
    assert (decoder.backlog, decoder.partial) == (2, True)
    decoder.feed(b"MP\n")
    assert not decoder.partial
    decoder.next_event()
    assert (decoder.backlog, decoder.partial) == (0, False)


class TestSilence:
    def test_ends_the_line_that_has_begun(self, decoder: LineDecoder) -> None:
        decoder.feed(b"WHOAMI\nSTAT")
        decoder.silence()
        assert decoder.next_event() == "WHOAMI"
        assert decoder.next_event() == "STAT"

    def test_without_a_line_is_nothing(self, decoder: LineDecoder) -> None:
        decoder.silence()
        decoder.feed(b"STAT\n")
        decoder.next_event()
        decoder.silence()
        assert decoder.next_event() is None

    def test_ends_a_line_that_is_too_long(self, decoder: LineDecoder) -> None:
        decoder.feed(b"x" * 100)
        assert decoder.next_event() is None
        decoder.silence()
        assert decoder.next_event() is Garbage.TOO_LONG

    @pytest.mark.parametrize("late", [[b"\n"], [b"\r\n"], [b"\r", b"\n"]])
    def test_a_late_line_end_is_no_empty_line(self, late: list[bytes]) -> None:
        decoder = LineDecoder(LINE_MAX)
        decoder.feed(b"STAT")
        decoder.silence()
        assert decoder.next_event() == "STAT"
        for piece in late:
            decoder.feed(piece)
        assert decoder.next_event() is None
        decoder.feed(b"\n")
        assert decoder.next_event() == ""

    def test_a_late_line_end_may_come_with_the_next_line(self, decoder: LineDecoder) -> None:
        decoder.feed(b"STAT")
        decoder.silence()
        decoder.feed(b"\r\nTEMP\n")
        assert [decoder.next_event(), decoder.next_event()] == ["STAT", "TEMP"]
