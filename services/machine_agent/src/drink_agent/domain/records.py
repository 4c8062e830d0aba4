"""The journal's records about a drop, in the order in which they are written.

ACCEPTED, then COMMANDED, then RESULT (once, or again with a higher revision when late evidence
arrives), then ACKED. `Entry` adds the record's number in the journal.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from drink_agent.domain.evidence import Cause, Evidence, Line, Outcome, Sensor


class InvalidRecordError(ValueError):
    """A stored record has missing or wrong fields."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The agent has accepted a command; nothing was written to the board for it."""

    KIND: ClassVar[str] = "accepted"

    drop: str
    """Id of the drop."""
    slot: int
    """The machine's slot, from 1."""
    ttl_ms: int
    """Milliseconds after receipt during which the motor may be started."""
    received_ms: int
    """Time of receipt, in milliseconds since the host booted (CLOCK_BOOTTIME)."""
    boot: str
    """The kernel's boot id at receipt; `received_ms` has no meaning under another boot id."""


@dataclass(frozen=True, slots=True)
class Commanded:
    """The motor command is about to be written; from here on, the motor may have run."""

    KIND: ClassVar[str] = "commanded"

    drop: str
    """Id of the drop."""
    slot: int
    """The machine's slot, from 1."""
    sensor_before: Sensor
    """The last reading of the slot's sensor."""
    at_ms: int | None = None
    """Time, in milliseconds since the host booted; None in a record of 0.1.0."""
    boot: str = ""
    """The kernel's boot id at that time; `at_ms` has no meaning under another boot id."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a drop."""

    KIND: ClassVar[str] = "result"

    drop: str
    """Id of the drop."""
    revision: int
    """1 for the first result, one more for each later one."""
    cause: Cause
    """The reason for the outcome, `cause.outcome`."""
    evidence: Evidence
    """The lines and readings that prove it."""

    @property
    def outcome(self) -> Outcome:
        """The outcome."""
        return self.cause.outcome


@dataclass(frozen=True, slots=True)
class Acked:
    """The frontend has stored this revision durably; it is not reported again."""

    KIND: ClassVar[str] = "acked"

    drop: str
    """Id of the drop."""
    revision: int
    """The revision that it stored."""


Record = Accepted | Commanded | Result | Acked


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and its number in the journal."""

    sequence: int
    """Counts up from 1 over the lifetime of the journal."""
    record: Record
    """The record."""

    def to_dict(self) -> dict[str, object]:
        """Returns the entry in a JSON-able form."""
        record = self.record
        stored: dict[str, object] = {"n": self.sequence, "kind": record.KIND, **_fields(record)}
        if isinstance(record, Result):
            lines = [_fields(line) for line in record.evidence.lines]
            evidence = {**_fields(record.evidence), "lines": lines}
            stored |= {"outcome": record.outcome, "evidence": evidence}
        return stored

    @classmethod
    def from_dict(cls, stored: object) -> Self:
        """Reads what `to_dict` returned.

        Raises:
            InvalidRecordError: It is not a record of this version.
        """
        if not isinstance(stored, dict):
            raise InvalidRecordError("a record is not an object")
        try:
            return cls(_number(stored, "n"), _record(stored))
        except (KeyError, ValueError, TypeError) as error:
            raise InvalidRecordError("a record has missing or wrong fields") from error


def _fields(value: Record | Evidence | Line) -> dict[str, object]:
    # dataclasses.asdict would take ten times as long, and a compaction writes many entries.
    return {name: getattr(value, name) for name in value.__slots__}


def _record(stored: dict[str, object]) -> Record:
    drop = _text(stored, "drop")
    match stored["kind"]:
        case Accepted.KIND:
            return Accepted(
                drop,
                _number(stored, "slot"),
                _number(stored, "ttl_ms"),
                _number(stored, "received_ms"),
                _text(stored, "boot"),
            )
        case Commanded.KIND:
            return Commanded(
                drop,
                _number(stored, "slot"),
                Sensor(_text(stored, "sensor_before")),
                None if stored.get("at_ms") is None else _number(stored, "at_ms"),
                _text(stored, "boot") if "boot" in stored else "",
            )
        case Result.KIND:
            evidence = stored["evidence"]
            if not isinstance(evidence, dict):
                raise TypeError("evidence")
            cause = Cause(_text(stored, "cause"))
            if Outcome(_text(stored, "outcome")) is not cause.outcome:
                raise ValueError("outcome")
            return Result(drop, _number(stored, "revision"), cause, Evidence.from_dict(evidence))
        case Acked.KIND:
            return Acked(drop, _number(stored, "revision"))
        case _:
            raise ValueError("kind")


def _number(stored: dict[str, object], key: str) -> int:
    value = stored[key]
    if type(value) is not int:  # a bool is an int too
        raise TypeError(key)
    return value


def _text(stored: dict[str, object], key: str) -> str:
    value = stored[key]
    if not isinstance(value, str):
        raise TypeError(key)
    return value
