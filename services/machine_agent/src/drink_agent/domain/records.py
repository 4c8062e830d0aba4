"""The facts the journal keeps about a drop, in the order they can be written.

ACCEPTED, then COMMANDED, then RESULT (once, or again with a higher revision when
late evidence arrives), then ACKED. `Entry` adds the number a fact has in its journal.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

from drink_agent.domain.evidence import Cause, Evidence, Outcome, Sensor


class InvalidRecordError(ValueError):
    """A stored record does not say what a record says."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The agent took a command; the board has not been touched for it."""

    KIND: ClassVar[str] = "accepted"

    drop: str
    """Id of the drop."""
    slot: int
    """The machine's slot, from 1."""
    ttl_ms: int
    """Milliseconds from receipt after which the motor may not be started."""
    received_ms: int
    """Receipt, in milliseconds since the host booted (CLOCK_BOOTTIME)."""
    boot: str
    """The kernel's boot id at receipt; with another one `received_ms` means nothing."""


@dataclass(frozen=True, slots=True)
class Commanded:
    """The motor command is about to be written; from here on the motor may have run."""

    KIND: ClassVar[str] = "commanded"

    drop: str
    """Id of the drop."""
    slot: int
    """The machine's slot, from 1."""
    sensor_before: Sensor
    """What the slot's sensor said last."""
    at_ms: int | None = None
    """When, in milliseconds since the host booted; None in a record of 0.1.0."""
    boot: str = ""
    """The kernel's boot id then; with another one `at_ms` means nothing."""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a drop and what it rests on."""

    KIND: ClassVar[str] = "result"

    drop: str
    """Id of the drop."""
    revision: int
    """1 for the first outcome, one more for each later one."""
    outcome: Outcome
    """What is known about the motor."""
    cause: Cause
    """Why."""
    evidence: Evidence
    """What passed between agent and board."""


@dataclass(frozen=True, slots=True)
class Acked:
    """The frontend holds this revision durably; it need not be reported again."""

    KIND: ClassVar[str] = "acked"

    drop: str
    """Id of the drop."""
    revision: int
    """The revision it took."""


Record = Accepted | Commanded | Result | Acked


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and its number in the journal."""

    sequence: int
    """Counts up from 1 over the life of the journal."""
    record: Record
    """What it says."""

    def to_dict(self) -> dict[str, object]:
        """Returns a JSON-able form that `from_dict` reads back."""
        record = self.record
        stored: dict[str, object] = {"n": self.sequence, "kind": record.KIND, "drop": record.drop}
        match record:
            case Accepted():
                stored |= {
                    "slot": record.slot,
                    "ttl_ms": record.ttl_ms,
                    "received_ms": record.received_ms,
                    "boot": record.boot,
                }
            case Commanded():
                stored |= {
                    "slot": record.slot,
                    "sensor_before": record.sensor_before.value,
                    "at_ms": record.at_ms,
                    "boot": record.boot,
                }
            case Result():
                stored |= {
                    "revision": record.revision,
                    "outcome": record.outcome.value,
                    "cause": record.cause.value,
                    "evidence": record.evidence.to_dict(),
                }
            case Acked():
                stored |= {"revision": record.revision}
        return stored

    @classmethod
    def from_dict(cls, stored: object) -> Self:
        """Reads what `to_dict` made.

        Raises:
            InvalidRecordError: It is not a record of this version.
        """
        if not isinstance(stored, dict):
            raise InvalidRecordError("a record is not an object")
        try:
            return cls(_number(stored, "n"), _record(stored))
        except (KeyError, ValueError, TypeError) as error:
            raise InvalidRecordError("a record has missing or wrong fields") from error


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
            return Result(
                drop,
                _number(stored, "revision"),
                Outcome(_text(stored, "outcome")),
                Cause(_text(stored, "cause")),
                Evidence.from_dict(evidence),
            )
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
