"""The network's bad days, on command: a TCP proxy in front of one server.

Usage: python3 -m scripts.chaos LISTEN_PORT SERVER:PORT CONTROL_PORT

The control port takes one command a line and answers `ok`, or why not:

    cut [up|down]      reset the connections; with a way, only the end that it leads to
    stall [up|down]    pass nothing on any more, and close nothing
    flow               pass on again what was held up
    delay SECONDS      pass everything on so much later
    refuse, accept     take no new connections, and take them again
    connections        answers how many there are

A fault hits the connections there are; who dials again gets a sound one, unless it is refused.
"""

import math
import socketserver
import sys
from collections.abc import Callable, Mapping

from scripts.proxy import FaultProxy, Way

LINE_BYTES_MAX = 256
"""Longest command; the longest sensible one has 16 bytes."""

DELAY_MAX_S = 60.0
"""Longest delay; any link gives up before."""


def obey(proxy: FaultProxy, line: str) -> str:
    """Does what a line says and returns the answer."""
    command, *arguments = line.split() or [""]
    try:
        do = _COMMANDS[command]
    except KeyError:
        return f"unknown command; there are {', '.join(_COMMANDS)}"
    try:
        return do(proxy, *arguments)
    except (TypeError, ValueError) as error:
        return f"error: {error}"


def _cut(proxy: FaultProxy, way: str | None = None) -> str:
    proxy.cut(None if way is None else Way(way))
    return "ok"


def _stall(proxy: FaultProxy, *ways: str) -> str:
    proxy.stall(*map(Way, ways))
    return "ok"


def _flow(proxy: FaultProxy) -> str:
    proxy.flow()
    return "ok"


def _delay(proxy: FaultProxy, seconds: str) -> str:
    delay_s = float(seconds)
    if not (math.isfinite(delay_s) and 0 <= delay_s <= DELAY_MAX_S):
        raise ValueError(f"a delay is 0 to {DELAY_MAX_S:g} seconds")
    proxy.delay(delay_s)
    return "ok"


def _refuse(proxy: FaultProxy) -> str:
    proxy.refuse()
    return "ok"


def _accept(proxy: FaultProxy) -> str:
    proxy.accept()
    return "ok"


def _connections(proxy: FaultProxy) -> str:
    return str(proxy.connections)


_COMMANDS: Mapping[str, Callable[..., str]] = {
    "cut": _cut,
    "stall": _stall,
    "flow": _flow,
    "delay": _delay,
    "refuse": _refuse,
    "accept": _accept,
    "connections": _connections,
}


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def control(proxy: FaultProxy, host: str, port: int) -> socketserver.TCPServer:
    """A server that listens for commands; `serve_forever` takes them."""

    class Conversation(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline(LINE_BYTES_MAX):
                answer = obey(proxy, line.decode("ascii", "replace"))
                self.wfile.write(f"{answer}\n".encode())

    return _Server((host, port), Conversation)


def main() -> None:
    """Serves until it is ended."""
    listen, target, commands = sys.argv[1:]
    server, _, port = target.rpartition(":")
    # In a container: its network is the limit.
    everywhere = "0.0.0.0"  # noqa: S104
    with (
        FaultProxy(int(port), server=server, host=everywhere, listen_port=int(listen)) as proxy,
        control(proxy, everywhere, int(commands)) as serving,
    ):
        print(f"port {listen} leads to {target}; commands on port {commands}", flush=True)
        serving.serve_forever()


if __name__ == "__main__":
    main()
