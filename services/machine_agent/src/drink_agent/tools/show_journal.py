"""Tells the last drops of a journal and what their outcomes rest on."""

from collections.abc import Iterator, Sequence

from drink_agent.domain.evidence import Direction, Evidence, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Record, Result
from drink_agent.journal.format import Contents

_ARROWS = {Direction.SENT: ">", Direction.RECEIVED: "<"}


def lines_of(contents: Contents, drops: int) -> Iterator[str]:
    """Yields lines for a person, the newest drop last.

    Args:
        contents: Of the journal.
        drops: How many drops to tell.
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
        yield from _drop(drop, entries)


def _drop(drop: str, entries: Sequence[Entry]) -> Iterator[str]:
    yield f"drop {drop}"
    for entry in entries:
        yield f"  {entry.sequence:>8} {_record(entry.record)}"
        if isinstance(entry.record, Result):
            yield from _evidence(entry.record.evidence)


def _record(record: Record) -> str:
    match record:
        case Accepted():
            return f"accepted for slot {record.slot}, to be started within {record.ttl_ms} ms"
        case Commanded():
            return f"commanded in slot {record.slot}, sensor {record.sensor_before}"
        case Result():
            return f"{record.outcome}, {record.cause}, revision {record.revision}"
        case Acked():
            return f"revision {record.revision} acknowledged"


def _evidence(evidence: Evidence) -> Iterator[str]:
    for line in evidence.lines:
        yield f"           {line.offset_ms:>+7} ms {_ARROWS[line.direction]} {line.text}"
    if {evidence.sensor_before, evidence.sensor_after} != {Sensor.UNSPECIFIED}:
        yield f"           sensor {evidence.sensor_before}, then {evidence.sensor_after}"
    if evidence.contradiction:
        yield f"           contradicted: {evidence.contradiction}"
