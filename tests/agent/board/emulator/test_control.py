"""The requests of the control socket, and invalid requests, which change nothing."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drink_agent.board.emulator.control import control_socket
from drink_agent.board.emulator.hosts import PtyHost
from tests.support.board_emulated import quick

LIMIT_S = 20.0


class Client:
    """One connection to a control socket, and the board behind it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: PtyHost
    ) -> None:
        self.host = host
        self._reader = reader
        self._writer = writer

    async def ask(self, **request: Any) -> dict[str, Any]:
        return await self.ask_raw(json.dumps(request).encode() + b"\n")

    async def ask_raw(self, line: bytes) -> dict[str, Any]:
        self._writer.write(line)
        async with asyncio.timeout(LIMIT_S):
            answer = json.loads(await self._reader.readline())
        assert isinstance(answer, dict)
        return answer


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    path = tmp_path / "control"
    async with (
        PtyHost(quick(name="d"), tmp_path / "board") as host,
        control_socket(path, {"d": host}),
    ):
        reader, writer = await asyncio.open_unix_connection(path)
        yield Client(reader, writer, host)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    assert not path.exists()


async def test_counts(client: Client) -> None:
    answer = await client.ask(do="counts")
    assert answer == {
        "board": "d",
        "items": {},
        "cans": {"1": 5, "2": 1, "3": 0},
        "dispensed": {},
        "motor_runs": 0,
        "connected": True,
        "motor_running": False,
        "lines_read": 0,
        "protocol_violations": 0,
        "violations": [],
    }
    assert await client.ask(do="counts", board="d") == answer


async def test_a_fault_is_armed_and_cleared(client: Client) -> None:
    await client.ask(do="fault", fault="refuse", slot=1, times=2)
    client.host.apply(client.host.board.receive(b"31\n", client.host.now))
    await client.ask(do="clear")
    client.host.apply(client.host.board.receive(b"31\n", client.host.now))
    answer = await client.ask(do="wait", dispensed=1)
    assert (answer["motor_runs"], answer["cans"]["1"]) == (1, 4)
    [run] = (await client.ask(do="runs"))["runs"]
    assert run["slot"] == 1
    assert run["time"] > 1_700_000_000


@pytest.mark.parametrize(
    ("request_", "key", "value"),
    [
        ({"do": "refill", "slot": 3, "cans": 7}, "cans", {"1": 5, "2": 1, "3": 7}),
        ({"do": "disconnect", "seconds": 60}, "connected", False),
        ({"do": "sensor", "slot": 1, "stocked": False}, "connected", True),
        ({"do": "sensor", "slot": 1, "stocked": None}, "connected", True),
        ({"do": "temperature", "fahrenheit": 40}, "connected", True),
        ({"do": "temperature", "fahrenheit": None}, "connected", True),
        ({"do": "cut", "cut": "apart"}, "connected", True),
        ({"do": "say", "text": "\xff4\n"}, "connected", True),
        ({"do": "wait", "lines_read": 0, "connected": True}, "connected", True),
    ],
)
async def test_requests_are_answered_with_the_counts(
    client: Client, request_: dict[str, Any], key: str, value: object
) -> None:
    assert (await client.ask(**request_))[key] == value


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"\n", "no JSON"),
        (b"[]\n", "a request is an object"),
        (b'{"do": "dance"}\n', "KeyError: 'dance'"),
        (b"{}\n", "KeyError: 'do'"),
        (b'{"do": "counts", "board": "x"}\n', "KeyError: 'x'"),
        (b'{"do": "fault", "fault": "flood", "slot": 1}\n', "ValueError"),
        (b'{"do": "fault", "fault": "jam", "slot": 1, "times": 0}\n', "times must be"),
        (b'{"do": "fault", "fault": "jam", "slot": "x"}\n', "ValueError"),
        (b'{"do": "refill", "slot": 0, "cans": 1}\n', "slots count from 1"),
        (b'{"do": "refill", "slot": 1, "cans": 1e999}\n', "OverflowError"),
        (b'{"do": "sensor", "slot": 1, "stocked": "no"}\n', "stocked must be"),
        (b'{"do": "disconnect", "seconds": NaN}\n', "seconds must be"),
        (b'{"do": "temperature", "fahrenheit": Infinity}\n', "a temperature is a number"),
        (b"[" * 10_000 + b"\n", "no JSON"),
        (b'{"do": "wait", "motor_runs": 1, "seconds": 0.01}\n', "not so within the time"),
    ],
)
async def test_bad_requests_are_refused_and_the_next_is_served(
    client: Client, line: bytes, error: str
) -> None:
    before = await client.ask(do="counts")
    assert error in (await client.ask_raw(line))["error"]
    assert await client.ask(do="counts") == before
