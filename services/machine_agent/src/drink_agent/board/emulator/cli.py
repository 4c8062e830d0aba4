"""The `tini-emulator` command."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.control import ask, control_socket, execute
from drink_agent.board.emulator.hosts import DialHost, Host, ListenHost, PtyHost
from drink_agent.board.emulator.schedule import Cut
from drink_agent.board.emulator.spec import BoardSpec, Dialect

_DESCRIPTION: Final = """\
Emulates tini-boards: the bytes of the real firmware or of the Ruby simulator, with a count of cans
and motor runs of their own, and faults on command.

Prints "READY <board> <url>" for each board once it can be reached; the URL is the one for the
agent's configuration. Ends cleanly on SIGTERM and SIGINT.
"""

_EPILOG: Final = """\
A --config file has one [[board]] table for each board with the same keys as the options (dashes
as underscores) and a name. A --script file has one JSON request a line, as the control socket
takes them, plus {"do": "sleep", "seconds": 1}.

--control SOCKET --ask '{"do": "counts"}' sends a request to an emulator that runs, prints the
answer, and exits with 1 if there is none or it is an error.
"""


@dataclass(frozen=True, slots=True)
class _Place:
    """The connection of a board: exactly one of pty, dial and listen."""

    pty: Path | None
    dial: tuple[str, int] | None
    listen: tuple[str, int] | None
    redial_s: float


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.ask is not None:
        if options.control is None:
            parser.error("--ask needs --control")
        return _ask(options.control, options.ask)
    try:
        boards = _boards(options)
        script = _read_script(options.script)
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(str(error))
    try:
        asyncio.run(_run(boards, options.control, script))
    except OSError as error:
        print(f"tini-emulator: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tini-emulator",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--pty", metavar="LINK", help="pseudo terminal, found through this link")
    where.add_argument("--dial", metavar="HOST:PORT", help="dial an agent that listens")
    where.add_argument("--listen", metavar="HOST:PORT", help="wait for an agent that dials")
    where.add_argument("--config", type=Path, metavar="FILE", help="several boards, as TOML")
    where.add_argument("--ask", metavar="JSON", help="ask a running emulator, at --control")
    parser.add_argument("--name", help="what the control socket calls the board")
    parser.add_argument("--slots", metavar="1=Coke:10,2=...", help="what is in the slots")
    parser.add_argument("--cans", metavar="1:10,2:0", help="the same without names")
    parser.add_argument("--dialect", choices=[dialect.value for dialect in Dialect])
    parser.add_argument("--cut", choices=[cut.value for cut in Cut], help="how it writes")
    parser.add_argument("--password", help="what it logs in with")
    parser.add_argument("--motor-seconds", type=float, help="from a command to its answer (3.5)")
    parser.add_argument("--report-seconds", type=float, help="between temperatures (60)")
    parser.add_argument("--redial-seconds", type=float, help="--dial: between attempts (1)")
    parser.add_argument("--temperature", type=float, help="Fahrenheit (38.3)")
    parser.add_argument("--refuse-rate", type=float, help="share of commands refused (0)")
    parser.add_argument("--deaf-seconds", type=float, help="deaf for so long every 30 s (0)")
    parser.add_argument("--seed", type=int, help="for all that happens by chance (0)")
    parser.add_argument("--state", metavar="FILE", help="keeps the counts over a restart")
    parser.add_argument("--control", type=Path, metavar="SOCKET", help="takes requests, as JSON")
    parser.add_argument("--script", type=Path, metavar="FILE", help="requests to begin with")
    return parser


def _ask(control: Path, line: str) -> int:
    try:
        answer = ask(control, line)
    except (OSError, ValueError) as error:
        print(f"tini-emulator: {control}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer))
    return 1 if "error" in answer else 0


def _boards(options: argparse.Namespace) -> list[tuple[BoardSpec, _Place]]:
    given = {key: value for key, value in vars(options).items() if value is not None}
    for key in ("control", "script"):
        given.pop(key, None)
    config = given.pop("config", None)
    tables = tomllib.loads(config.read_text())["board"] if config else [given]
    boards = [_board(table) for table in tables]
    names = [spec.name for spec, _ in boards]
    if len(set(names)) != len(names):
        raise ValueError("each board needs a name of its own")
    return boards


_SPEC_KEYS: Final = {
    "name": "name",
    "password": "password",
    "motor_seconds": "motor_s",
    "report_seconds": "report_s",
    "temperature": "temperature",
    "refuse_rate": "refuse_rate",
    "deaf_seconds": "deaf_s",
    "seed": "seed",
}


def _board(table: Mapping[str, Any]) -> tuple[BoardSpec, _Place]:
    """Returns the board of a table of options.

    Raises:
        ValueError: An option is unknown or invalid.
    """
    left = dict(table)
    place = _Place(
        pty=Path(left.pop("pty")) if "pty" in left else None,
        dial=_address(left.pop("dial")) if "dial" in left else None,
        listen=_address(left.pop("listen")) if "listen" in left else None,
        redial_s=float(left.pop("redial_seconds", 1.0)),
    )
    if [place.pty, place.dial, place.listen].count(None) != 2:
        raise ValueError("each board needs one of pty, dial and listen")
    spec: dict[str, Any] = {_SPEC_KEYS[key]: left.pop(key) for key in _SPEC_KEYS if key in left}
    if "slots" in left:
        spec["items"], spec["cans"] = _slots(left.pop("slots"))
    if "cans" in left:
        spec["cans"] = _cans(left.pop("cans"))
    if "dialect" in left:
        spec["dialect"] = Dialect(left.pop("dialect"))
    if spec.get("dialect") is Dialect.RUBY:
        spec = {"cut": Cut.LINES, "motor_s": 0.0, "password": "herpin_my_derp"} | spec
    if "cut" in left:
        spec["cut"] = Cut(left.pop("cut"))
    if "state" in left:
        spec["state_file"] = Path(left.pop("state"))
    if left:
        raise ValueError(f"unknown option: {', '.join(sorted(left))}")
    return BoardSpec(**spec), place


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _cans(text: str) -> dict[int, int]:
    pairs = [pair.partition(":") for pair in text.split(",")]
    if not all(slot.isdecimal() and count.isdecimal() for slot, _, count in pairs):
        raise ValueError(f"{text!r} is not SLOT:CANS,SLOT:CANS")
    cans = {int(slot): int(count) for slot, _, count in pairs}
    if min(cans) < 1:
        raise ValueError("slots count from 1")
    return cans


def _slots(text: str) -> tuple[dict[int, str], dict[int, int]]:
    items: dict[int, str] = {}
    counts: list[str] = []
    for entry in text.split(","):
        slot, _, rest = entry.partition("=")
        item, _, count = rest.rpartition(":")
        items[int(slot)] = item
        counts.append(f"{slot}:{count}")
    return items, _cans(",".join(counts))


def _read_script(path: Path | None) -> list[dict[str, Any]]:
    if path is None:
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def _host(spec: BoardSpec, place: _Place) -> Host:
    board = EmulatedBoard(spec)
    if place.pty is not None:
        return PtyHost(board, place.pty)
    if place.dial is not None:
        return DialHost(board, *place.dial, redial_s=place.redial_s)
    assert place.listen is not None
    return ListenHost(board, *place.listen)


async def _run(
    boards: Sequence[tuple[BoardSpec, _Place]],
    control: Path | None,
    script: Sequence[Mapping[str, Any]],
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    hosts = {spec.name: _host(spec, place) for spec, place in boards}
    async with contextlib.AsyncExitStack() as stack:
        for host in hosts.values():
            await stack.enter_async_context(host)
        if control is not None:
            await stack.enter_async_context(control_socket(control, hosts))
        for name, host in hosts.items():
            print(f"READY {name} {host.where}", flush=True)
        scripted = asyncio.create_task(_follow(hosts, script))
        await stop.wait()
        scripted.cancel()


async def _follow(hosts: Mapping[str, Host], script: Sequence[Mapping[str, Any]]) -> None:
    for request in script:
        if request.get("do") == "sleep":
            await asyncio.sleep(float(request.get("seconds", 1)))
            continue
        answer = await execute(hosts, request)
        if "error" in answer:
            print(f"tini-emulator: {request}: {answer['error']}", file=sys.stderr)
