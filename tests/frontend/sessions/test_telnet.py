import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_frontend.sessions.telnet import IAC_MAX, SUB_BYTES_MAX, TelnetFilter

IAC, SE, SB, WILL, WONT, DO, DONT = (bytes([code]) for code in (255, 240, 250, 251, 252, 253, 254))

STREAMS = st.lists(
    st.one_of(
        st.sampled_from([IAC, SB, SE, WILL, DONT, b"\0", b"\r", b"\n", b"STAT", b"\xf1", b"\xec"]),
        st.binary(max_size=6),
    ),
    max_size=20,
).map(b"".join)


def kept(*pieces: bytes) -> bytes:
    telnet = TelnetFilter()
    return b"".join(telnet.feed(piece) for piece in pieces)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"STAT\r\n", b"STAT\r\n"),
        (b"ST\0AT\r\0", b"STAT\r"),
        (IAC + WILL + b"\x1f" + b"STAT\n", b"STAT\n"),
        (IAC + WONT + b"\n" + b"STAT\n", b"STAT\n"),
        (IAC + DO + b"\r" + IAC + DONT + IAC + b"STAT\n", b"STAT\n"),
        (IAC + SB + b"\x1f\x00\x50\x00\x0a" + IAC + SE + b"STAT\n", b"STAT\n"),
        (IAC + SB + b"\x1f" + IAC + IAC + b"\n" + IAC + SE + b"STAT\n", b"STAT\n"),
        (b"ST" + IAC + b"\xf1" + b"AT" + IAC + b"\xf2\n", b"STAT\n"),
        (b"caf" + IAC + IAC + b"\n", b"caf\xff\n"),
        # A subnegotiation without its end, before another command.
        (IAC + SB + b"\x18abc" + IAC + WILL + b"\x01" + b"STAT\n", b"STAT\n"),
        # The system took out the urgent byte after an interrupt.
        (IAC + b"\xf4" + IAC + b"STAT\n", b"STAT\n"),
    ],
)
def test_what_is_dropped(sent: bytes, expected: bytes) -> None:
    assert kept(sent) == expected
    assert kept(*(bytes([byte]) for byte in sent)) == expected


@given(STREAMS, st.lists(st.integers(min_value=0, max_value=200), max_size=8))
def test_any_split_of_any_bytes_keeps_the_same(stream: bytes, places: list[int]) -> None:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    assert kept(*pieces) == kept(stream)


@given(st.binary(max_size=200).map(lambda data: data.replace(IAC, b"").replace(b"\0", b"")))
def test_what_is_no_telnet_passes(data: bytes) -> None:
    assert kept(data) == data


def test_fault_7_a_subnegotiation_without_end_holds_back_no_more_than_its_most() -> None:
    telnet = TelnetFilter()
    telnet.feed(IAC + SB)
    passed = b"".join(telnet.feed(b"x" * 100) for _ in range(100))
    assert 10_000 - SUB_BYTES_MAX - 200 < len(passed) <= 10_000
    assert telnet.feed(b"\nSTAT\n").endswith(b"\nSTAT\n")


def test_fault_7_the_beginning_of_a_sequence_is_short() -> None:
    telnet = TelnetFilter()
    for _ in range(1_000):
        telnet.feed(IAC + SB + IAC * 7)
        assert len(telnet._begun) <= SUB_BYTES_MAX + 8


def test_fault_7_a_flood_of_sequences_is_not_looked_at() -> None:
    telnet = TelnetFilter()
    assert telnet.feed((IAC + b"\xf1") * IAC_MAX + b"STAT\n") == b"STAT\n"
    assert not telnet.flooded
    assert telnet.feed((IAC + b"\xf1") * (IAC_MAX + 1) + b"STAT\n") == b""
    assert telnet.flooded
