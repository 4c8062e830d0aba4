"""Rows about sessions: commands per second, and what idle ones cost."""

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import Side, alternate, cost, pinned
from benchmarks.sizes import Sizes
from benchmarks.systems import IBUTTON, Frontend, session_reference
from benchmarks.table import Goal, Row
from benchmarks.typists import Asked, Typists, connect, read_line, replies, typists

FEW = 100
"""Sessions that ask for all they can."""

LOGIN = f"IBUTTON {IBUTTON}\n".encode()
COMMANDS = {"STAT of a 10-slot machine": b"STAT\n", "GETBALANCE": b"GETBALANCE\n"}

NEW_ONES = 51
"""New sessions beside the idle ones, of which the median counts."""

FIRST_SHARE = 10
"""One in so many idle sessions is open before the memory is read for the first time."""

ALL_FROM_HERE = """
idle_limit_s = 86400
sessions_per_address_max = 16_384
opening.pause_max_s = 0
"""
"""Settings for ten thousand idle sessions of one address; by default it may have half of all, and
not open so many at once."""

SERVER_CORE, CLIENT_CORE = 0, 1
"""Cores of the two ends, the same for ours and the references."""


async def commands(folder: Path, sizes: Sizes) -> list[Row]:
    """Commands per second against the bare asyncio server, from few sessions and from many."""
    rows: list[Row] = []
    for count in (FEW, sizes.many_sessions):
        rows += _rows(count, await _measure(folder, count, sizes))
    return rows


async def idle(folder: Path, sizes: Sizes) -> list[Row]:
    """Memory of idle sessions, and how long a new one beside them waits."""
    frontend = _frontend(folder)
    try:
        # What the first ones take, the heap may have had to give from before.
        first = sizes.idle_sessions // FIRST_SHARE
        rest = sizes.idle_sessions - first
        with typists(frontend.session_port, first):
            before = cost(frontend.process.pid).memory_kib
            with typists(frontend.session_port, rest):
                each_kib = (cost(frontend.process.pid).memory_kib - before) / rest
                greeted_ms, answered_ms = _new_ones(frontend.session_port)
    finally:
        frontend.process.kill()
    beside = f"a new session beside {sizes.idle_sessions:,} idle ones"
    return [
        Row(
            f"open idle sessions, {sizes.idle_sessions:,}: memory each",
            each_kib,
            "KiB",
            goal=Goal.AT_MOST,
            limit=8,
        ),
        Row(f"{beside}: greeting", greeted_ms, "ms", goal=Goal.AT_MOST, limit=10),
        Row(
            f"{beside}: answer to its first command, once greeted and settled",
            answered_ms,
            "ms",
            goal=Goal.AT_MOST,
            limit=10,
        ),
    ]


def _new_ones(port: int) -> tuple[float, float]:
    """Milliseconds from dialling to the greeting, and from the first command to its answer."""
    greeted, answered = [], []
    for _ in range(NEW_ONES):
        started = time.perf_counter()
        with connect(port) as connection:
            read_line(connection)
            greeted.append((time.perf_counter() - started) * 1000)
            # Commands within the greeting's lead wait for its end, on purpose.
            time.sleep(0.03)
            started = time.perf_counter()
            connection.send(LOGIN)
            read_line(connection)
            answered.append((time.perf_counter() - started) * 1000)
    return statistics.median(greeted), statistics.median(answered)


def _frontend(folder: Path) -> Frontend:
    frontend = Frontend(folder / "sessions", {"sessions": ALL_FROM_HERE})
    frontend.install()
    with pinned(SERVER_CORE):
        frontend.start()
    return frontend


async def _measure(folder: Path, count: int, sizes: Sizes) -> dict[str, dict[str, float]]:
    frontend = _frontend(folder)
    with ExitStack() as undo:
        undo.callback(frontend.process.kill)
        greeting, said = replies(frontend.session_port, LOGIN, list(COMMANDS.values()))
        with pinned(SERVER_CORE):
            port, pid = undo.enter_context(session_reference(folder, greeting, said))
        undo.enter_context(pinned(CLIENT_CORE))
        sides = {}
        for name, (at, server) in {
            "ours": (frontend.session_port, frontend.process.pid),
            "reference": (port, pid),
        }.items():
            crowd = undo.enter_context(typists(at, count))
            crowd.once(LOGIN, len(said[LOGIN]))
            sides[name] = _side(crowd, server, said, sizes.commands_s)
        return await alternate(sides, sizes.rounds)


def _side(crowd: Typists, server: int, said: Mapping[bytes, bytes], seconds: float) -> Side:
    async def side() -> Mapping[str, float]:
        numbers = {}
        for what, command in COMMANDS.items():
            before = cost(server).cpu_s
            asked: Asked = crowd.ask(command, len(said[command]), seconds)
            numbers[f"{what} per_second"] = asked.per_second
            numbers[f"{what} server_us"] = (cost(server).cpu_s - before) / asked.commands * 1e6
            numbers[f"{what} client_us"] = asked.client_cpu_s / asked.commands * 1e6
        return numbers

    return side


def _rows(count: int, measured: Mapping[str, Mapping[str, float]]) -> Iterator[Row]:
    ours, reference = measured["ours"], measured["reference"]
    for what in COMMANDS:
        note = (
            f"CPU of a command: server {ours[f'{what} server_us']:.0f} µs against"
            f" {reference[f'{what} server_us']:.0f}, client {ours[f'{what} client_us']:.0f} against"
            f" {reference[f'{what} client_us']:.0f}"
        )
        yield Row(
            f"session commands per second, {count:,} sessions, {what}",
            ours[f"{what} per_second"],
            "/s",
            reference[f"{what} per_second"],
            "bare asyncio server",
            Goal.AT_LEAST,
            0.4,
            note,
            limited_by="the CPU of the one core that a server has, in the note",
        )
