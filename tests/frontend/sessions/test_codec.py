import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drink_frontend.sessions.codec import Event, Garbage, Line, LineDecoder

LINE_MAX = 16

# Bytes that are likely to break a line reader, beside any others.
STREAMS = st.lists(
    st.one_of(
        st.sampled_from([b"\n", b"\r\n", b"\r", b"\0", b"STAT", b" ", b'"', b"\xff", b"x" * 17]),
        st.binary(max_size=LINE_MAX + 4),
    ),
    max_size=12,
).map(b"".join)


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
    assert len(whole) == stream.count(b"\n"), "each line end ends exactly one line"


@given(STREAMS)
def test_lines_are_printable_and_short(stream: bytes) -> None:
    for event in events([stream]):
        if isinstance(event, Line):
            assert event.text.isprintable()
            assert len(event.text.encode()) <= LINE_MAX


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=16)))
def test_honest_lines_come_out_as_they_went_in(texts: list[str]) -> None:
    assert events(["".join(f"{text}\r\n" for text in texts).encode()]) == [
        Line(text) for text in texts
    ]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"STAT\n", Line("STAT")),
        (b"STAT\r\n", Line("STAT")),
        (b"\n", Line("")),
        (b"\r\n", Line("")),
        ("Café\n".encode(), Line("Café")),
        (b"a" * 16 + b"\n", Line("a" * 16)),
        (b"a" * 16 + b"\r\n", Line("a" * 16)),
        (b"a" * 17 + b"\n", Garbage.TOO_LONG),
        (b"STAT\r\r\n", Garbage.NOT_TEXT),
        (b"ST\rAT\n", Garbage.NOT_TEXT),
        (b"STAT\0\n", Garbage.NOT_TEXT),
        (b"ST\tAT\n", Garbage.NOT_TEXT),
        (b"Caf\xe9\n", Garbage.NOT_TEXT),
        ("\u202eSTAT\n".encode(), Garbage.NOT_TEXT),
    ],
)
def test_what_a_line_may_be(sent: bytes, expected: Event) -> None:
    assert events([sent]) == [expected]


def test_fault_7_a_megabyte_without_a_line_end_takes_no_memory() -> None:
    decoder = LineDecoder(LINE_MAX)
    for _ in range(1_024):
        decoder.feed(b"x" * 1_024)
        assert decoder.next_event() is None
        assert decoder.backlog == 0
    decoder.feed(b"\nSTAT\n")
    assert decoder.next_event() is Garbage.TOO_LONG
    assert decoder.next_event() == Line("STAT")
    assert decoder.next_event() is None


def test_backlog_counts_what_waits() -> None:
    decoder = LineDecoder(LINE_MAX)
    decoder.feed(b"STAT\nTE")
    assert (decoder.backlog, decoder.partial) == (7, True)
    decoder.next_event()
    assert (decoder.backlog, decoder.partial) == (2, True)
    decoder.feed(b"MP\n")
    assert not decoder.partial
    decoder.next_event()
    assert (decoder.backlog, decoder.partial) == (0, False)


class TestSilence:
    def test_ends_the_line_that_has_begun(self) -> None:
        decoder = LineDecoder(LINE_MAX)
        decoder.feed(b"WHOAMI\nSTAT")
        decoder.silence()
        assert decoder.next_event() == Line("WHOAMI")
        assert decoder.next_event() == Line("STAT")

    def test_without_a_line_is_nothing(self) -> None:
        decoder = LineDecoder(LINE_MAX)
        decoder.silence()
        decoder.feed(b"STAT\n")
        decoder.next_event()
        decoder.silence()
        assert decoder.next_event() is None

    def test_ends_a_line_that_is_too_long(self) -> None:
        decoder = LineDecoder(LINE_MAX)
        decoder.feed(b"x" * 100)
        assert decoder.next_event() is None
        decoder.silence()
        assert decoder.next_event() is Garbage.TOO_LONG

    @pytest.mark.parametrize("late", [[b"\n"], [b"\r\n"], [b"\r", b"\n"]])
    def test_a_late_line_end_is_no_empty_line(self, late: list[bytes]) -> None:
        decoder = LineDecoder(LINE_MAX)
        decoder.feed(b"STAT")
        decoder.silence()
        assert decoder.next_event() == Line("STAT")
        for piece in late:
            decoder.feed(piece)
        assert decoder.next_event() is None
        decoder.feed(b"\n")
        assert decoder.next_event() == Line("")

    def test_a_late_line_end_may_come_with_the_next_line(self) -> None:
        decoder = LineDecoder(LINE_MAX)
        decoder.feed(b"STAT")
        decoder.silence()
        decoder.feed(b"\r\nTEMP\n")
        assert [decoder.next_event(), decoder.next_event()] == [Line("STAT"), Line("TEMP")]
