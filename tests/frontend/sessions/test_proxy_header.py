"""PROXY headers of both versions, whole, in pieces and wrong."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_frontend.sessions.proxy_header import (
    SIGNATURE,
    V1_BYTES_MAX,
    V2_BYTES_MAX,
    Forwarded,
    ProxyHeader,
    ProxyHeaderError,
    read_header,
)
from tests.fakes.proxy_headers import crc32c_tlv, tlv, v2

IPV4 = Forwarded(("203.0.113.7", 50_000), ("192.0.2.1", 4_242))
IPV6 = Forwarded(("2001:db8::7", 65_535), ("2001:db8::1", 1))
V1_IPV4 = b"PROXY TCP4 203.0.113.7 192.0.2.1 50000 4242\r\n"
V1_IPV6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 65535 1\r\n"
V1_LONGEST = (
    b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535".ljust(V1_BYTES_MAX - 2, b"f")
    + b"\r\n"
)
V2_IPV4 = v2(IPV4.source, IPV4.destination)
V2_IPV6 = v2(IPV6.source, IPV6.destination)
UNIX = b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")

WHOLE = [
    (V1_IPV4, IPV4),
    (V1_IPV6, IPV6),
    (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 0 0\r\n", None),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN 203.0.113.7 192.0.2.1 1 2\r\n", None),
    (V1_LONGEST, None),
    (V2_IPV4, IPV4),
    (V2_IPV6, IPV6),
    (v2(IPV4.source, IPV4.destination, tlv(0x01, b"h2") + tlv(0x04, bytes(40))), IPV4),
    (v2(IPV4.source, IPV4.destination, tlv(0xE0, b"")), IPV4),
    (crc32c_tlv(IPV4.source, IPV4.destination), IPV4),
    (crc32c_tlv(IPV6.source, IPV6.destination, after=tlv(0x05, b"id")), IPV6),
    (v2(raw=(0x21, 0x31, UNIX)), None),
    (v2(raw=(0x21, 0x31, UNIX + tlv(0x05, b"id"))), None),
    (v2(raw=(0x21, 0x00, b"")), None),
    (v2(raw=(0x21, 0x00, tlv(0x05, b"id"))), None),
    (v2(raw=(0x20, 0x00, b"")), None),
    (v2(raw=(0x20, 0x11, V2_IPV4[16:])), None),
    (v2(raw=(0x20, 0xFF, b"to be skipped")), None),
    (v2(IPV4.source, IPV4.destination, tlv(0x04, bytes(V2_BYTES_MAX - 31))), IPV4),
]


@pytest.mark.parametrize(("header", "forwarded"), WHOLE)
def test_a_whole_header_and_what_follows(header: bytes, forwarded: Forwarded | None) -> None:
    for rest in (b"", b"USER alice\n", V1_IPV4):
        read = read_header(header + rest)
        assert read is not None
        assert read.size == len(header)
        if forwarded is not None or not header.startswith(b"PROXY TCP6 ::ffff"):
            assert read == ProxyHeader(forwarded, len(header))


def test_an_ipv4_address_in_ipv6_form_is_an_address_of_ipv6() -> None:
    read = read_header(b"PROXY TCP6 ::ffff:203.0.113.7 ::1 0 0\r\n")

    assert read is not None
    assert read.forwarded == Forwarded(("::ffff:cb00:7107", 0), ("::1", 0))


@pytest.mark.parametrize(("header", "forwarded"), WHOLE)
def test_a_header_in_pieces_is_waited_for(header: bytes, forwarded: Forwarded | None) -> None:
    del forwarded
    for size in range(len(header)):
        assert read_header(header[:size]) is None


WRONG = [
    b"USER alice\n",
    b"\x16\x03\x01",
    b"\r\nUSER",
    b"PROXX",
    b"proxy TCP4 203.0.113.7 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 1\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2 \r\n",
    b"PROXY TCP4  203.0.113.7 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 1 65536\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 01 2\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 -1 2\r\n",
    b"PROXY TCP4 203.0.113.256 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 203.0.113.07 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
    b"PROXY TCP6 203.0.113.7 192.0.2.1 1 2\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    b"PROXY TCP5 203.0.113.7 192.0.2.1 1 2\r\n",
    b"PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n",
    b"PROXY UNKNOWNX\r\n",
    b"PROXY UNKNOWN \0\r\n",
    b"PROXY \r\n",
    b"PROXY UNKNOWN".ljust(V1_BYTES_MAX, b"x"),
    b"PROXY UNKNOWN " + b"x" * V1_BYTES_MAX + b"\r\n",
    SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
    SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
    v2(raw=(0x22, 0x11, bytes(12))),
    v2(raw=(0x21, 0x12, bytes(12))),
    v2(raw=(0x21, 0x41, bytes(12))),
    v2(raw=(0x21, 0x10, bytes(12))),
    v2(raw=(0x21, 0x11, bytes(11))),
    v2(raw=(0x21, 0x21, bytes(12))),
    v2(raw=(0x21, 0x31, bytes(36))),
    v2(raw=(0x21, 0x11, bytes(12) + b"\x05")),
    v2(raw=(0x21, 0x11, bytes(12) + b"\x05\x00\x02x")),
    v2(raw=(0x21, 0x11, bytes(12) + tlv(3, b"\0\0\0\0"))),
    v2(raw=(0x21, 0x11, bytes(12) + tlv(3, b""))),
    SIGNATURE + b"\x21\x11\xff\xff",
    SIGNATURE + b"\x21\x11" + struct.pack("!H", V2_BYTES_MAX - 15),
    SIGNATURE + b"\x20\x00\xff\xff",
]


@pytest.mark.parametrize("data", WRONG)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyHeaderError) as wrong:
        read_header(data)
    assert "203.0.113" not in str(wrong.value)


@pytest.mark.parametrize("bit", range(8))
def test_a_checksum_tells_a_flipped_bit_anywhere(bit: int) -> None:
    header = crc32c_tlv(IPV4.source, IPV4.destination)
    for index in range(16, 28):
        flipped = bytearray(header)
        flipped[index] ^= 1 << bit
        with pytest.raises(ProxyHeaderError, match="checksum"):
            read_header(bytes(flipped))


@given(st.binary(max_size=200), st.sampled_from([b"", SIGNATURE, b"PROXY ", SIGNATURE + b"\x21"]))
def test_any_bytes_are_a_header_or_are_not(data: bytes, begin: bytes) -> None:
    """Invariant 25: no bytes break the parser, and no header is longer than its limit."""
    try:
        header = read_header(begin + data)
    except ProxyHeaderError:
        return
    if header is None:
        assert len(begin + data) < V2_BYTES_MAX
        return
    assert header.size <= min(len(begin + data), V2_BYTES_MAX)
    if header.forwarded is not None:
        for address, port in (header.forwarded.source, header.forwarded.destination):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            socket.inet_pton(family, address)
            assert 0 <= port <= 65_535
