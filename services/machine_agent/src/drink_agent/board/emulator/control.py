"""Controls running emulated boards by JSON lines on a UNIX socket.

Each request is one line with an object: `do` and, if there are several boards, `board`. Each is
answered by one line, which is `{"error": ...}` if the request failed.

- `counts`: returns cans, dispensed, motor_runs, protocol_violations, connected and more.
- `runs`: returns the last motor starts with their times.
- `fault`: `fault` (see `Fault`), `slot`, `times` (1), `seconds` (0): arms the slot's next commands.
- `clear`: removes all faults.
- `refill`: `slot`, `cans`: sets the number of cans.
- `sensor`: `slot`, `stocked` (true, false, or null for the true reading).
- `temperature`: `fahrenheit`, or null for no thermometer.
- `cut`: `cut` (see `Cut`): how the board's bytes are cut into writes.
- `say`: `text`: sends any bytes, given as Latin-1.
- `disconnect`: `seconds` (1), `silently` (false): interrupts the connection.
- `wait`: `seconds` (10) and any of `motor_runs`, `dispensed`, `lines_read` (minimum) and
  `connected`: waits for these values and returns `counts`.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Final

from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.hosts import Host
from drink_agent.board.emulator.schedule import Cut
from drink_agent.board.emulator.spec import ArmedFault, Fault

_MAX_LINE_BYTES: Final = 65536
"""Longest request in bytes; usual ones have up to 200."""

_MAX_SECONDS: Final = 86_400
"""Longest duration in a request, in seconds."""

_MAX_TIMES: Final = 1000
"""Most repetitions of a fault that can be armed at once."""

_ANSWER_LIMIT_S: Final = 60.0
"""Longest wait of `ask` in seconds; `wait` requests may take long."""


async def execute(hosts: Mapping[str, Host], request: Mapping[str, Any]) -> dict[str, Any]:
    """Executes a request and returns the answer."""
    try:
        host = _find(hosts, request)
        return await _ACTIONS[request["do"]](host, request)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _find(hosts: Mapping[str, Host], request: Mapping[str, Any]) -> Host:
    if "board" not in request and len(hosts) == 1:
        return next(iter(hosts.values()))
    return hosts[request["board"]]


def _seconds(request: Mapping[str, Any], default: float) -> float:
    seconds = float(request.get("seconds", default))
    if not 0 <= seconds <= _MAX_SECONDS:
        raise ValueError(f"seconds must be 0 to {_MAX_SECONDS}")
    return seconds


async def _counts(host: Host, _request: Mapping[str, Any]) -> dict[str, Any]:
    return host.board.to_dict()


async def _runs(host: Host, _request: Mapping[str, Any]) -> dict[str, Any]:
    return {"runs": list(host.board.counts.runs)}


async def _fault(host: Host, request: Mapping[str, Any]) -> dict[str, Any]:
    fault = ArmedFault(Fault(request["fault"]), _seconds(request, 0))
    times = int(request.get("times", 1))
    if not 1 <= times <= _MAX_TIMES:
        raise ValueError(f"times must be 1 to {_MAX_TIMES}")
    host.board.arm(fault, int(request["slot"]), times)
    return host.board.to_dict()


async def _clear(host: Host, _request: Mapping[str, Any]) -> dict[str, Any]:
    host.board.disarm()
    return host.board.to_dict()


async def _refill(host: Host, request: Mapping[str, Any]) -> dict[str, Any]:
    slot, cans = int(request["slot"]), int(request["cans"])
    if slot < 1 or cans < 0:
        raise ValueError("slots count from 1 and cans from 0")
    host.apply(host.board.refill(slot, cans, host.now))
    return host.board.to_dict()


async def _sensor(host: Host, request: Mapping[str, Any]) -> dict[str, Any]:
    stocked = request["stocked"]
    if stocked not in (True, False, None):
        raise ValueError("stocked must be true, false or null")
    host.apply(host.board.override_sensor(int(request["slot"]), stocked, host.now))
    return host.board.to_dict()


async def _temperature(host: Host, request: Mapping[str, Any]) -> dict[str, Any]:
    degrees = request["fahrenheit"]
    degrees = None if degrees is None else float(degrees)
    if degrees is not None and not isfinite(degrees):
        raise ValueError("a temperature is a number")
    host.apply(host.board.set_temperature(degrees, host.now))
    return host.board.to_dict()


async def _cut(host: Host, request: Mapping[str, Any]) -> dict[str, Any]:
    host.board.set_cut(Cut(request["cut"]))
    return host.board.to_dict()


async def _say(host: Host, request: Mapping[str, Any]) -> dict[str, Any]:
    host.apply(host.board.send(str(request["text"]).encode("latin-1"), host.now))
    return host.board.to_dict()


async def _disconnect(host: Host, request: Mapping[str, Any]) -> dict[str, Any]:
    host.lose(_seconds(request, 1), silently=bool(request.get("silently", False)))
    return host.board.to_dict()


async def _wait(host: Host, request: Mapping[str, Any]) -> dict[str, Any]:
    def so(board: EmulatedBoard) -> bool:
        dispensed = sum(board.counts.dispensed.values())
        return (
            board.counts.motor_runs >= request.get("motor_runs", 0)
            and dispensed >= request.get("dispensed", 0)
            and board.lines_read >= request.get("lines_read", 0)
            and board.connected is request.get("connected", board.connected)
        )

    if not await host.wait_until(so, _seconds(request, 10)):
        raise ValueError("not so within the time")
    return host.board.to_dict()


_ACTIONS: Final = {
    "counts": _counts,
    "runs": _runs,
    "fault": _fault,
    "clear": _clear,
    "refill": _refill,
    "sensor": _sensor,
    "temperature": _temperature,
    "cut": _cut,
    "say": _say,
    "disconnect": _disconnect,
    "wait": _wait,
}


@contextlib.asynccontextmanager
async def control_socket(path: Path, hosts: Mapping[str, Host]) -> AsyncIterator[None]:
    """Answers requests on a UNIX socket inside the context.

    Raises:
        OSError: The socket cannot be created.
    """
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.add(task)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await answer(hosts, line)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):  # the client is gone, or a line has no end
            pass
        except asyncio.CancelledError:  # asyncio of 3.11 logs a handler that ends cancelled
            pass
        finally:
            writer.close()
            conversations.discard(task)

    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108
    server = await asyncio.start_unix_server(converse, path, limit=_MAX_LINE_BYTES)
    try:
        yield
    finally:
        server.close()
        for task in conversations:
            task.cancel()
        await asyncio.gather(*conversations)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108


async def answer(hosts: Mapping[str, Host], line: bytes) -> dict[str, Any]:
    """Executes the request in a line and returns the answer."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {"error": f"no JSON: {error}"}
    if not isinstance(request, dict):
        return {"error": "a request is an object"}
    return await execute(hosts, request)


def ask(path: Path, line: str) -> dict[str, Any]:
    """Sends one request to a running emulator and returns its answer.

    Raises:
        OSError: No emulator answers at `path` in time.
        ValueError: The emulator closed the connection without an answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.settimeout(_ANSWER_LIMIT_S)
        control.connect(str(path))
        with control.makefile("rwb") as lines:
            lines.write(line.encode() + b"\n")
            lines.flush()
            told: dict[str, Any] = json.loads(lines.readline(_MAX_LINE_BYTES))
    return told
