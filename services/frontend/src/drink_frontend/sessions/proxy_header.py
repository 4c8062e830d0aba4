"""The header with a proxied client's addresses: PROXY protocol, versions 1 and 2.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt specifies it. Whether its
sender may be believed is not decided here.
"""

import ipaddress
import re
from dataclasses import dataclass
from enum import IntEnum

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
"""Begins a header of version 2."""

V1_BYTES_MAX = 107
"""Bytes of the longest header of version 1, by the protocol."""

V2_BYTES_MAX = 4_096
"""Bytes of the longest header of version 2 that is accepted. Real ones have some 100, a few more
with the facts of the client's certificate; the protocol would allow 65,551."""

_V1_BEGIN = b"PROXY "
_V1 = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (\d{1,5}) (\d{1,5})")
_V1_UNKNOWN = re.compile(rb"PROXY UNKNOWN( [ -~]*)?")
_V2_FIXED = 16
_PORT_MAX = 65_535
_CRC32C_REFLECTED = 0x82F63B78


class ProxyHeaderError(Exception):
    """The bytes are no PROXY header; the message has the reason and none of the bytes."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Both endpoints of the connection that a proxy forwards.

    Attributes:
        source: IP address and port of the client.
        destination: IP address and port that the client connected to.
    """

    source: tuple[str, int]
    destination: tuple[str, int]


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A complete header.

    Attributes:
        forwarded: The endpoints; None if the proxy connects for itself or does not know them.
        size: Bytes of the header.
    """

    forwarded: Forwarded | None
    size: int


class _Command(IntEnum):
    LOCAL = 0
    PROXY = 1


class _Tlv(IntEnum):
    CRC32C = 3


_ADDRESS_BYTES = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}
"""Bytes of the addresses by family and transport: unspecified, and streams of IPv4, IPv6, Unix."""


def read_header(data: bytes) -> ProxyHeader | None:
    """The header at the beginning of the bytes; None if it is not complete yet.

    Raises:
        ProxyHeaderError: they do not begin with a header, whatever follows.
    """
    if data.startswith(SIGNATURE):
        return _read_v2(data)
    if data.startswith(_V1_BEGIN):
        return _read_v1(data)
    if SIGNATURE.startswith(data) or _V1_BEGIN.startswith(data):
        return None
    raise ProxyHeaderError("no PROXY header")


def _read_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, V1_BYTES_MAX)
    if end < 0:
        if len(data) >= V1_BYTES_MAX or b"\n" in data:
            raise ProxyHeaderError("a PROXY line without its end")
        return None
    line, size = data[:end], end + 2
    if _V1_UNKNOWN.fullmatch(line):
        return ProxyHeader(None, size)
    match = _V1.fullmatch(line)
    if match is None:
        raise ProxyHeaderError("a PROXY line that cannot be read")
    family, *addresses, source_port, destination_port = (part.decode() for part in match.groups())
    source, destination = (_v1_address(family, address) for address in addresses)
    return ProxyHeader(
        Forwarded((source, _v1_port(source_port)), (destination, _v1_port(destination_port))), size
    )


def _v1_address(family: str, address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        raise ProxyHeaderError("a PROXY line without an address") from None
    if parsed.version != int(family):
        raise ProxyHeaderError("a PROXY line with an address of another family")
    return str(parsed)


def _v1_port(port: str) -> int:
    number = int(port)
    if number > _PORT_MAX or str(number) != port:
        raise ProxyHeaderError("a PROXY line without a port")
    return number


def _read_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_FIXED:
        return None
    version, command = data[12] >> 4, data[12] & 0x0F
    size = _V2_FIXED + int.from_bytes(data[14:16], "big")
    if version != 2 or command > _Command.PROXY:
        raise ProxyHeaderError("a PROXY header of another version or with another command")
    if size > V2_BYTES_MAX:
        raise ProxyHeaderError("a PROXY header that is too long")
    if len(data) < size:
        return None
    if command == _Command.LOCAL:
        # The protocol requires that its addresses are ignored.
        return ProxyHeader(None, size)
    kind = data[13]
    address_bytes = _ADDRESS_BYTES.get(kind)
    if address_bytes is None or size < _V2_FIXED + address_bytes:
        raise ProxyHeaderError("a PROXY header without the addresses that it announces")
    _check_additions(data[:size], _V2_FIXED + address_bytes)
    return ProxyHeader(_v2_addresses(kind, data[_V2_FIXED:]), size)


def _v2_addresses(kind: int, data: bytes) -> Forwarded | None:
    length = {0x11: 4, 0x21: 16}.get(kind)
    if length is None:
        return None
    ports = data[2 * length : 2 * length + 4]
    return Forwarded(
        (str(ipaddress.ip_address(data[:length])), int.from_bytes(ports[:2], "big")),
        (str(ipaddress.ip_address(data[length : 2 * length])), int.from_bytes(ports[2:], "big")),
    )


def _check_additions(header: bytes, start: int) -> None:
    """Checks the TLVs behind the addresses: each has its length, and a checksum fits."""
    while start < len(header):
        if start + 3 > len(header):
            raise ProxyHeaderError("a PROXY header with half an addition")
        kind, end = header[start], start + 3 + int.from_bytes(header[start + 1 : start + 3], "big")
        if end > len(header):
            raise ProxyHeaderError("a PROXY header with half an addition")
        if kind == _Tlv.CRC32C:
            checksum = header[start + 3 : end]
            rest = header[: start + 3] + bytes(len(checksum)) + header[end:]
            if len(checksum) != 4 or int.from_bytes(checksum, "big") != _crc32c(rest):
                raise ProxyHeaderError("a PROXY header whose checksum does not fit")
        start = end


def _crc32c(data: bytes) -> int:
    """CRC-32C (RFC 4960, appendix B), bit by bit: a header is short and comes once."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_CRC32C_REFLECTED if crc & 1 else 0)
    return crc ^ 0xFFFF_FFFF
