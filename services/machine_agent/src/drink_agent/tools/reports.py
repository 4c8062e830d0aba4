"""The output of the commands `status` and `show-journal`."""

import errno
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from drink_agent.domain.evidence import Direction, Evidence, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Record, Result
from drink_agent.journal.format import Contents

_ARROWS = {Direction.SENT: ">", Direction.RECEIVED: "<"}

ANSWER_LIMIT_S = 5.0
"""Longest wait for the agent's answer in seconds; an agent that needs longer hangs."""

ANSWER_BYTES_MAX = 1 << 20
"""Largest size of an answer in bytes."""


class NoAnswerError(Exception):
    """The agent does not run or does not answer."""


def read_status(path: Path) -> dict[str, object]:
    """Returns the status of the running agent.

    Args:
        path: Path of the agent's status socket.

    Raises:
        NoAnswerError: No agent answers there within `ANSWER_LIMIT_S`.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_LIMIT_S)
            connection.connect(str(path))
            with connection.makefile("rb") as answer:
                status = json.loads(answer.read(ANSWER_BYTES_MAX))
    except OSError as error:
        raise NoAnswerError(f"no agent answers at {path}: {_reason(error)}") from error
    except ValueError as error:
        raise NoAnswerError(f"what answers at {path} is no agent") from error
    if not isinstance(status, dict):
        raise NoAnswerError(f"what answers at {path} is no agent")
    return status


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ECONNREFUSED:
            return "it does not run, or has another journal.path"
        case errno.EACCES | errno.EPERM:
            return "this user may not ask it; ask as root, or as the service's user"
        case None:
            return f"it has not answered within {ANSWER_LIMIT_S:g} s"
        case _:
            return str(error.strerror)


def is_ready(status: Mapping[str, object]) -> bool:
    """Returns whether a drop could be dispensed now, because link and board are up."""
    match status:
        case {"link": {"up": True}, "board": {"ready": True}, "stopping": False}:
            return True
        case _:
            return False


def status_lines(status: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Yields the status as lines of the form `key: value`."""
    for key, value in status.items():
        if isinstance(value, dict):
            yield from status_lines(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}: {'-' if value is None else value}"


def journal_lines(contents: Contents, drops: int) -> Iterator[str]:
    """Yields the last drops of a journal with their entries and evidence, the newest drop last.

    Args:
        contents: Content of the journal.
        drops: Number of drops.
    """
    by_drop: dict[str, list[Entry]] = {}
    for entry in contents.entries:
        entries = by_drop.pop(entry.record.drop, [])
        by_drop[entry.record.drop] = [*entries, entry]
    header = contents.header
    yield f"journal {header.journal_id}, {contents.last_sequence} entries written"
    if header.through:
        yield f"compacted up to entry {header.through}, {header.kept} of them kept"
    if contents.torn_bytes:
        yield f"{contents.torn_bytes} bytes of a write at its end are not complete (yet)"
    for drop, entries in list(by_drop.items())[-drops:] if drops > 0 else ():
        yield from _drop_lines(drop, entries)


def _drop_lines(drop: str, entries: Sequence[Entry]) -> Iterator[str]:
    yield f"drop {drop}"
    for entry in entries:
        yield f"  {entry.sequence:>8} {_record_text(entry.record)}"
        if isinstance(entry.record, Result):
            yield from _evidence_lines(entry.record.evidence)


def _record_text(record: Record) -> str:
    match record:
        case Accepted():
            return f"accepted for slot {record.slot}, to be started within {record.ttl_ms} ms"
        case Commanded():
            return f"commanded in slot {record.slot}, sensor {record.sensor_before}"
        case Result():
            return f"{record.outcome}, {record.cause}, revision {record.revision}"
        case Acked():
            return f"revision {record.revision} acknowledged"


def _evidence_lines(evidence: Evidence) -> Iterator[str]:
    for line in evidence.lines:
        yield f"           {line.offset_ms:>+7} ms {_ARROWS[line.direction]} {line.text}"
    if {evidence.sensor_before, evidence.sensor_after} != {Sensor.UNSPECIFIED}:
        yield f"           sensor {evidence.sensor_before}, then {evidence.sensor_after}"
    if evidence.contradiction:
        yield f"           contradicted: {evidence.contradiction}"
