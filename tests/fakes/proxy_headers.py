"""Headers of version 2 of the PROXY protocol, as proxies make them."""

import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

Address = tuple[str, int]

_POLYNOMIAL = 0x1EDC6F41


def tlv(kind: int, value: bytes) -> bytes:
    """One addition."""
    return struct.pack("!BH", kind, len(value)) + value


def v2(
    source: Address = ("203.0.113.7", 50_000),
    destination: Address = ("192.0.2.1", 4_242),
    additions: bytes = b"",
    *,
    raw: tuple[int, int, bytes] | None = None,
) -> bytes:
    """A header; `raw` gives its version with the command, its family, and all behind them."""
    if raw is not None:
        command, family, body = raw
    else:
        command, body = 0x21, _ends(source, destination) + additions
        family = 0x21 if ":" in source[0] else 0x11
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def crc32c_tlv(source: Address, destination: Address, *, after: bytes = b"") -> bytes:
    """A header with its checksum, before other additions."""
    blank = v2(source, destination, tlv(3, bytes(4)) + after)
    at = len(v2(source, destination)) + 3
    return blank[:at] + struct.pack("!I", _crc32c(blank)) + blank[at + 4 :]


def _ends(source: Address, destination: Address) -> bytes:
    family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
    addresses = b"".join(socket.inet_pton(family, end[0]) for end in (source, destination))
    return addresses + struct.pack("!HH", source[1], destination[1])


def _crc32c(data: bytes) -> int:
    """By the definition, most significant bit first, unlike the program's."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= int(f"{byte:08b}"[::-1], 2) << 24
        for _ in range(8):
            crc = ((crc << 1) ^ (_POLYNOMIAL if crc >> 31 else 0)) & 0xFFFF_FFFF
    return int(f"{crc ^ 0xFFFF_FFFF:032b}"[::-1], 2)


assert _crc32c(b"123456789") == 0xE306_9283, "the checksum of the catalogues"
