"""The network's bad days, on command: a TCP proxy in front of servers.

Usage: python3 -m scripts.chaos CONTROL_PORT LISTEN_PORT=SERVER:PORT ...

The control port takes one command a line, for all proxies, and answers `ok`, or why not:

    cut [up|down]      reset the connections; with a way, only the end that it leads to
    stall [up|down]    pass nothing on any more, and close nothing
    flow               pass on again what was held up
    delay SECONDS      pass everything on so much later
    refuse, accept     take no new connections, and take them again
    connections        answers how many there are

A fault hits the connections there are; who dials again gets a sound one, unless it is refused.
"""

import contextlib
import math
import socketserver
import sys
from collections.abc import Callable, Mapping, Sequence

from scripts.proxy import FaultProxy, Way

LINE_BYTES_MAX = 256
"""Longest command; the longest sensible one has 16 bytes."""

DELAY_MAX_S = 60.0
"""Longest delay; any link gives up before."""


def obey(proxies: Sequence[FaultProxy], line: str) -> str:
    """Does what a line says and returns the answer."""
    command, *arguments = line.split() or [""]
    if command == "connections":
        return str(sum(proxy.connections for proxy in proxies))
    if command not in _COMMANDS:
        return f"error: unknown command; there are {', '.join(_COMMANDS)}, connections"
    try:
        for proxy in proxies:
            _COMMANDS[command](proxy, *arguments)
    except (TypeError, ValueError) as error:
        return f"error: {error}"
    return "ok"


def _cut(proxy: FaultProxy, way: str | None = None) -> None:
    proxy.cut(None if way is None else Way(way))


def _stall(proxy: FaultProxy, *ways: str) -> None:
    proxy.stall(*map(Way, ways))


def _delay(proxy: FaultProxy, seconds: str) -> None:
    delay_s = float(seconds)
    if not (math.isfinite(delay_s) and 0 <= delay_s <= DELAY_MAX_S):
        raise ValueError(f"a delay is 0 to {DELAY_MAX_S:g} seconds")
    proxy.delay(delay_s)


_COMMANDS: Mapping[str, Callable[..., None]] = {
    "cut": _cut,
    "stall": _stall,
    "flow": FaultProxy.flow,
    "delay": _delay,
    "refuse": FaultProxy.refuse,
    "accept": FaultProxy.accept,
}


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def control(proxies: Sequence[FaultProxy], host: str, port: int) -> socketserver.TCPServer:
    """A server that listens for commands; `serve_forever` takes them."""

    class Conversation(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline(LINE_BYTES_MAX):
                answer = obey(proxies, line.decode("ascii", "replace"))
                self.wfile.write(f"{answer}\n".encode())

    return _Server((host, port), Conversation)


def main() -> None:
    """Serves until it is ended."""
    commands, *routes = sys.argv[1:]
    # In a container: its network is the limit.
    everywhere = "0.0.0.0"  # noqa: S104
    with contextlib.ExitStack() as stack:
        proxies = []
        for route in routes:
            listen, _, target = route.partition("=")
            server, _, port = target.rpartition(":")
            proxy = FaultProxy(int(port), server=server, host=everywhere, listen_port=int(listen))
            proxies.append(stack.enter_context(proxy))
        serving = stack.enter_context(control(proxies, everywhere, int(commands)))
        print(f"{' '.join(routes)}; commands on port {commands}", flush=True)
        serving.serve_forever()


if __name__ == "__main__":
    main()
