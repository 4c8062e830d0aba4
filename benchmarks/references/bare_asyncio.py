"""The bare asyncio server: a Protocol that splits lines and answers each, on uvloop.

It looks each line up and writes the bytes that it was given for it: no users, no database, no
dialects, no limits, no task. It is the limit for sessions in this language.

    python -m benchmarks.references.bare_asyncio GREETING COMMAND REPLY [COMMAND REPLY]...

Bytes are given in hexadecimal digits.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop


class Echo(asyncio.Protocol):
    """One client.

    Args:
        greeting: Written first.
        replies: What to write for each line, line ends included.
    """

    _transport: asyncio.Transport

    def __init__(self, greeting: bytes, replies: dict[bytes, bytes]) -> None:
        self._greeting = greeting
        self._replies = replies
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets the client."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._greeting)

    def data_received(self, data: bytes) -> None:
        """Answers every line that is complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._transport.write(self._replies[line + b"\n"])


async def serve(greeting: bytes, replies: dict[bytes, bytes]) -> None:
    """Serves on a free port, which it prints as the frontend does."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Echo(greeting, replies), "127.0.0.1", 0, backlog=1_000
    )
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"event": "serving", "session_ports": [port]}), flush=True)
    await server.serve_forever()


def main(greeting: str, *pairs: str) -> None:
    """Serves what the command line says."""
    codes = [bytes.fromhex(each) for each in pairs]
    uvloop.run(serve(bytes.fromhex(greeting), dict(zip(codes[::2], codes[1::2], strict=True))))


if __name__ == "__main__":
    main(*sys.argv[1:])
