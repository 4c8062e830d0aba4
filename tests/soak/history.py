"""Requests, answers and faults with their times; kept in memory and as JSON lines."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


def now_ms() -> int:
    """The host's wall clock, which the services and boards in this run use too."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Attempt:
    """One try of a request.

    Attributes:
        what: `drop`, `cancel`, `transfer` or `refund`.
        account: Who asked.
        request_id: The request; empty in a session.
        target: A slot such as `d/1`, a drop, or who was to get credits.
        credits: That were to be sent or given back.
        delay_s: Of a drop; tells two requests with one id apart.
        start_ms: When it was asked.
        end_ms: When it was answered, or given up.
        drop: The drop that the answer names.
        state: The drop's state in the answer; `SENT` for a transfer, `REFUNDED` for a refund,
            `HELD` for a drop that is made and has no known outcome; empty if there was no answer.
        refusal: Why it was refused; empty if it was not, or if nobody knows.
    """

    what: str
    account: str
    request_id: str
    target: str
    start_ms: int
    end_ms: int
    credits: int = 0
    delay_s: int = 0
    drop: str = ""
    state: str = ""
    refusal: str = ""

    @property
    def lost(self) -> bool:
        """Whether there was no answer."""
        return not (self.state or self.refusal)


@dataclass(frozen=True)
class Reading:
    """What an account was said to have; None for what was not said."""

    account: str
    start_ms: int
    end_ms: int
    available: int
    held: int | None = None


@dataclass(frozen=True)
class Fault:
    """Something that was broken.

    Attributes:
        kind: What was done.
        machine: To whom; empty for the frontend and the buyers' network.
        slot: Of a fault that waits for the slot's next command; 0 for others.
        start_ms: When it began.
        end_ms: When it was mended.
        facts: How, for people.
    """

    kind: str
    machine: str
    start_ms: int
    end_ms: int
    slot: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


class History:
    """What has happened in this run; used by many threads.

    Args:
        path: Where each event is written as it happens.
    """

    def __init__(self, path: Path) -> None:
        self.attempts: list[Attempt] = []
        self.readings: list[Reading] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._file = path.open("w", encoding="utf-8")

    def add(self, event: Attempt | Reading | Fault) -> None:
        """Keeps one more event."""
        with self._lock:
            match event:
                case Attempt():
                    self.attempts.append(event)
                case Reading():
                    self.readings.append(event)
                case Fault():
                    self.faults.append(event)
            json.dump({"event": type(event).__name__, **asdict(event)}, self._file)
            self._file.write("\n")

    def close(self) -> None:
        """Ends the file."""
        with self._lock:
            self._file.close()
