"""Whether a frontend serves, and why not, as one JSON object: served beside the metrics, and asked.

What it says can be read from the metrics of the same port too, so that whoever may read those may
read this: no account, no drop, no path and no address of a database.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.house import House
from drink_frontend.metrics.settings import MetricsSettings

if TYPE_CHECKING:
    from drink_frontend.metrics.collect import Snapshot

# `drink-frontend health` loads this module every few seconds: nothing of prometheus_client here.

PATH = "/healthz"
"""Where the object is, on the port of the metrics."""

OFFLINE_MAX = 20
"""Most offline machines that are named."""

ANSWER_BYTES_MAX = 65_536
"""Largest answer that is read, with its head."""

SERVING, NOT_SERVING = "SERVING", "NOT_SERVING"


class NoDetailsError(Exception):
    """Nothing says why a frontend serves or not; the message tells the cause."""


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What is known of the database without asking it.

    Attributes:
        engine: `sqlite` or `postgresql`.
        schema_known: The schema revision that this program was made for.
        writer_broken: Whether nothing is written any more, until a new process starts.
    """

    engine: str
    schema_known: str
    writer_broken: bool = False


def report(snapshot: "Snapshot", database: DatabaseFacts, rpc_port: int) -> dict[str, Any]:
    """What a frontend says of itself.

    Args:
        snapshot: What was measured; `house` is None if the database does not answer.
        database: What is known of the database.
        rpc_port: The port of its gRPC, by which it is told from another frontend of the same host;
            0 while it does not listen yet.

    Returns:
        The object as docs/operations.md describes it, of values that JSON has.
    """
    house = snapshot.house
    revision = None if house is None else house.schema_revision
    reasons = list(_reasons(snapshot, database, starting=not rpc_port))
    return {
        "status": NOT_SERVING if reasons else SERVING,
        "reasons": reasons,
        "version": snapshot.version,
        "rpc_port": rpc_port,
        "draining": snapshot.draining,
        "database": {
            "engine": database.engine,
            "reachable": house is not None,
            "schema_revision": revision,
            "schema_known": database.schema_known,
            "schema_as_known": None if revision is None else revision == database.schema_known,
            "writer_broken": database.writer_broken,
        },
        "links": snapshot.links_total,
        "machines": None if house is None else _machines(house),
        "unknown_drops": None if house is None else _unknown(house, snapshot.now_ms),
        "certificates_end": {name: _time(end) for name, end in snapshot.certificates.items()},
    }


def _reasons(snapshot: "Snapshot", database: DatabaseFacts, *, starting: bool) -> Iterator[str]:
    """Why calls are not served; nothing if they are."""
    if database.writer_broken:
        yield "writer_broken"
    if snapshot.draining:
        yield "draining"
    elif starting:
        yield "starting"
    elif not snapshot.serving and not database.writer_broken:
        # The health service serves as soon as its probe of the database has succeeded.
        yield "database_refuses" if snapshot.house is not None else "database_unreachable"


def _machines(house: House) -> dict[str, Any]:
    used = [machine for machine in house.machines if machine.enabled]
    offline = [machine.name for machine in used if machine.reach is Reach.OFFLINE]
    return {
        "total": house.machines_total,
        "looked_at": len(house.machines),
        "enabled": len(used),
        "ready": sum(machine.reach is Reach.READY for machine in used),
        "offline": len(offline),
        "offline_names": offline[:OFFLINE_MAX],
    }


def _unknown(house: House, now_ms: int) -> dict[str, Any]:
    drops = house.drops.get(State.UNKNOWN)
    if drops is None:
        return {"count": 0, "oldest_seconds": None}
    # The host's clock may have been set since.
    return {"count": drops.count, "oldest_seconds": max(0, now_ms - drops.oldest_ms) // 1000}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def combined(
    serving: bool, details: Mapping[str, Any] | NoDetailsError, address: str
) -> dict[str, Any]:
    """What `drink-frontend health --json` prints.

    Args:
        serving: What the health service of gRPC answers, as buyers and agents would hear it.
        details: The frontend's report, or why there is none.
        address: Where the health service was asked.
    """
    status = SERVING if serving else NOT_SERVING
    if isinstance(details, NoDetailsError):
        reasons: Sequence[str] = () if serving else ("no_answer",)
        return {"status": status, "reasons": [*reasons], "rpc": address, "details": str(details)}
    reasons = details.get("reasons", ())
    if serving:
        reasons = ()
    elif not reasons:
        reasons = ("no_answer",)
    return {**details, "status": status, "reasons": [*reasons], "rpc": address, "details": None}


async def fetch(
    settings: MetricsSettings, rpc_port: int, timeout_s: float = 5.0
) -> Mapping[str, Any]:
    """The report of the frontend with these settings on this host.

    Args:
        settings: Where it serves its metrics.
        rpc_port: The port of its gRPC.
        timeout_s: Seconds in which it must answer.

    Raises:
        NoDetailsError: it has none: no port, no answer, or that of another frontend.
    """
    if settings.address is None:
        raise NoDetailsError("metrics.listen is empty")
    try:
        async with asyncio.timeout(timeout_s):
            answer = await _get(*settings.address)
    except (OSError, TimeoutError, EOFError) as error:
        said = str(error) or type(error).__name__
        raise NoDetailsError(f"no answer at metrics.listen, {settings.listen}: {said}") from None
    try:
        found = json.loads(answer.partition(b"\r\n\r\n")[2])
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise NoDetailsError(f"something else answers at metrics.listen, {settings.listen}")
    if found.get("rpc_port") not in (0, rpc_port):
        raise NoDetailsError(f"another frontend answers at metrics.listen, {settings.listen}")
    return found


async def _get(host: str, port: int) -> bytes:
    """The answer to a request for the report, with its head."""
    reader, writer = await asyncio.open_connection(_reachable(host), port)
    try:
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = bytearray()
        while part := await reader.read(ANSWER_BYTES_MAX):
            answer += part
            if len(answer) > ANSWER_BYTES_MAX:
                raise EOFError("the answer is too long")
        return bytes(answer)
    finally:
        writer.transport.abort()


def _reachable(host: str) -> str:
    """The address to connect to for one that is listened on."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
