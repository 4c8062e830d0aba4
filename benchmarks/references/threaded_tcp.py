"""The threaded TCP server: one thread per connection, `recv(1024)`, answer at once.

It is what a person would write first, and what the oldest tutorials show. It keeps no lines, no
users and no limits: whatever arrives in one piece is looked up and answered with the bytes that it
was given for it.

    python -m benchmarks.references.threaded_tcp GREETING COMMAND REPLY [COMMAND REPLY]...

Bytes are given in hexadecimal digits.
"""

import json
import socket
import sys
import threading

STACK_BYTES = 256 * 1024
"""Stack of a thread; the 8 MiB that it would have otherwise do not fit 5,000 times everywhere."""


def answer(connection: socket.socket, greeting: bytes, replies: dict[bytes, bytes]) -> None:
    """Serves one client until it goes."""
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(greeting)
        while command := connection.recv(1024):
            connection.sendall(replies[command])


def main(greeting: str, *pairs: str) -> None:
    """Serves on a free port, which it prints as the frontend does."""
    codes = [bytes.fromhex(each) for each in pairs]
    replies = dict(zip(codes[::2], codes[1::2], strict=True))
    threading.stack_size(STACK_BYTES)
    with socket.create_server(("127.0.0.1", 0), backlog=1_000) as door:
        port = door.getsockname()[1]
        print(json.dumps({"event": "serving", "session_ports": [port]}), flush=True)
        while True:
            connection, _ = door.accept()
            arguments = (connection, bytes.fromhex(greeting), replies)
            threading.Thread(target=answer, args=arguments, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
