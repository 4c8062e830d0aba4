"""What a frontend says of itself, and how the command of its host gets it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.house import House, OpenDrops
from drink_frontend.metrics.collect import Snapshot
from drink_frontend.metrics.health import (
    ANSWER_BYTES_MAX,
    OFFLINE_MAX,
    DatabaseFacts,
    NoDetailsError,
    combined,
    fetch,
    report,
)
from drink_frontend.metrics.settings import MetricsSettings
from tests.support.entities import make_machine
from tests.support.ports import free_port

NOW = 1_800_000_000_000
PORT = 50_051
FACTS = DatabaseFacts("sqlite", "0025")


def house(offline: int = 1) -> House:
    machines = [
        make_machine("d", "D", [], reach=Reach.READY),
        make_machine("s", "S", [], enabled=False),
        *(make_machine(f"x{number:02}", "X", []) for number in range(offline)),
    ]
    drops = {State.UNKNOWN: OpenDrops(2, 110, NOW - 90_500)}
    return House(machines, len(machines) + 4, drops, "0025")


def test_a_frontend_that_serves_says_what_it_sees() -> None:
    snapshot = Snapshot(
        "1.2.3",
        NOW,
        links_total=1,
        house=house(),
        serving=True,
        certificates={"rpc": 1_800_000_000.0},
    )
    assert report(snapshot, FACTS, PORT) == {
        "status": "SERVING",
        "reasons": [],
        "version": "1.2.3",
        "rpc_port": PORT,
        "draining": False,
        "database": {
            "engine": "sqlite",
            "reachable": True,
            "schema_revision": "0025",
            "schema_known": "0025",
            "schema_as_known": True,
            "writer_broken": False,
        },
        "links": 1,
        "machines": {
            "total": 7,
            "looked_at": 3,
            "enabled": 2,
            "ready": 1,
            "offline": 1,
            "offline_names": ["x00"],
        },
        "unknown_drops": {"count": 2, "oldest_seconds": 90},
        "certificates_end": {"rpc": "2027-01-15T08:00:00+00:00"},
    }


def test_only_so_many_offline_machines_are_named() -> None:
    found = report(Snapshot("1", NOW, house=house(OFFLINE_MAX + 5), serving=True), FACTS, PORT)
    assert found["machines"]["offline"] == OFFLINE_MAX + 5
    assert len(found["machines"]["offline_names"]) == OFFLINE_MAX


def test_a_newer_schema_and_a_clock_that_was_set_back_are_told() -> None:
    facts = DatabaseFacts("postgresql", "0024")
    found = report(Snapshot("1", NOW - 200_000, house=house(), serving=True), facts, PORT)
    assert found["database"]["schema_as_known"] is False
    assert found["unknown_drops"]["oldest_seconds"] == 0
    none = report(Snapshot("1", NOW, house=House([], 0, {}, "0025")), facts, PORT)
    assert none["unknown_drops"] == {"count": 0, "oldest_seconds": None}


@pytest.mark.parametrize(
    ("snapshot", "facts", "port", "reasons"),
    [
        (Snapshot("1", NOW), FACTS, PORT, ["database_unreachable"]),
        (Snapshot("1", NOW, house=house()), FACTS, PORT, ["database_refuses"]),
        (Snapshot("1", NOW, house=house()), FACTS, 0, ["starting"]),
        (Snapshot("1", NOW, house=house(), draining=True), FACTS, PORT, ["draining"]),
        (
            Snapshot("1", NOW, draining=True),
            DatabaseFacts("sqlite", "0025", writer_broken=True),
            PORT,
            ["writer_broken", "draining"],
        ),
        (
            Snapshot("1", NOW, house=house(), serving=True),
            DatabaseFacts("sqlite", "0025", writer_broken=True),
            PORT,
            ["writer_broken"],
        ),
    ],
)
def test_a_frontend_that_does_not_serve_says_why(
    snapshot: Snapshot, facts: DatabaseFacts, port: int, reasons: list[str]
) -> None:
    found = report(snapshot, facts, port)
    assert (found["status"], found["reasons"]) == ("NOT_SERVING", reasons)
    assert found["database"]["reachable"] is (snapshot.house is not None)


def test_the_answer_of_grpc_decides() -> None:
    details = {"status": "SERVING", "reasons": [], "version": "1"}
    refused = combined(False, details, "h:1")
    assert (refused["status"], refused["reasons"]) == ("NOT_SERVING", ["no_answer"])
    draining = {"status": "NOT_SERVING", "reasons": ["draining"]}
    assert combined(False, draining, "h:1")["reasons"] == ["draining"]
    # It has become able to serve since its report was made.
    assert combined(True, draining, "h:1")["reasons"] == []
    assert combined(True, NoDetailsError("no port"), "h:1") == {
        "status": "SERVING",
        "reasons": [],
        "rpc": "h:1",
        "details": "no port",
    }
    assert combined(False, NoDetailsError("no port"), "h:1")["reasons"] == ["no_answer"]


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[MetricsSettings]:
    """Settings of a port that answers each request with these bytes."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        # The command asks a frontend that listens everywhere at the loopback address.
        yield MetricsSettings(listen=f"0.0.0.0:{server.sockets[0].getsockname()[1]}")


def http(found: Any) -> bytes:
    return b"HTTP/1.1 503 Service Unavailable\r\nX: y\r\n\r\n" + json.dumps(found).encode()


@pytest.mark.parametrize("port", [0, PORT])
async def test_the_report_is_fetched_whatever_the_status(port: int) -> None:
    async with answering(http({"rpc_port": port})) as settings:
        assert await fetch(settings, PORT) == {"rpc_port": port}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http({"rpc_port": 1}), "another frontend answers"),
        (http([1]), "something else answers"),
        (b"SSH-2.0\r\n", "something else answers"),
        (b"HTTP/1.1 200 OK\r\n\r\n\xff", "something else answers"),
        (b"", "something else answers"),
        (b"x" * (ANSWER_BYTES_MAX + 1), "too long"),
    ],
)
async def test_what_is_no_report_of_this_frontend_is_none(answer: bytes, said: str) -> None:
    async with answering(answer) as settings:
        with pytest.raises(NoDetailsError, match=said):
            await fetch(settings, PORT)


async def test_a_port_that_is_silent_or_not_there_is_told() -> None:
    with pytest.raises(NoDetailsError, match=r"metrics\.listen is empty"):
        await fetch(MetricsSettings(listen=""), PORT)
    with pytest.raises(NoDetailsError, match="no answer at"):
        await fetch(MetricsSettings(listen=f"127.0.0.1:{free_port()}"), PORT)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        listen = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NoDetailsError, match="TimeoutError"):
            await fetch(MetricsSettings(listen=listen), PORT, timeout_s=0.05)
