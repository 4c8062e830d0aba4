"""A name server that knows one name's IPv4 addresses, which a test can change."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

A, AAAA = 1, 28
_HEADER = struct.Struct("!6H")


class NameServer(asyncio.DatagramProtocol):
    """Answers every question for an IPv4 address with `addresses`, in their order (RFC 1035)."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0
        self.port = 0
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        number, *_ = _HEADER.unpack_from(data)
        end = data.index(b"\0", _HEADER.size) + 5
        question = data[_HEADER.size : end]
        kind, _ = struct.unpack("!2H", question[-4:])
        found = self.addresses if kind == A else ()
        self.asked += kind == A
        records = [
            struct.pack("!HHHIH4s", 0xC00C, A, 1, 0, 4, socket.inet_aton(each)) for each in found
        ]
        header = _HEADER.pack(number, 0x8580, 1, len(records), 0, 0)
        self._transport.sendto(header + question + b"".join(records), addr)


@asynccontextmanager
async def name_server(*addresses: str) -> AsyncIterator[NameServer]:
    """A name server on loopback."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(*addresses), ("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
