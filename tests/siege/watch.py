"""What the frontend costs and says while it is besieged: memory, descriptors, disk, log lines."""

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from scripts.processes import Process
from tests.siege.siege_system import HONEST, HONEST_MACHINES

SAMPLE_S = 0.1
"""Seconds between two looks at the frontend's memory and descriptors."""


@dataclass(frozen=True)
class Sample:
    """The frontend at one moment.

    Attributes:
        at: Monotonic seconds.
        pid: Its process.
        memory_kib: KiB of memory of its own that it holds.
        files: Files that it has open.
    """

    at: float
    pid: int
    memory_kib: int
    files: int


class Watch(threading.Thread):
    """Looks at the frontend again and again; a context manager that stops.

    Args:
        frontend: The process, started or not.

    Attributes:
        samples: What was seen.
    """

    def __init__(self, frontend: Process) -> None:
        super().__init__(name="watch", daemon=True)
        self.samples: list[Sample] = []
        self._frontend = frontend
        self._enough = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self.join()

    def run(self) -> None:
        """Looks until it is enough."""
        while not self._enough.wait(SAMPLE_S):
            # It may end at any moment.
            with contextlib.suppress(OSError, KeyError):
                pid = self._frontend.pid
                files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                self.samples.append(Sample(time.monotonic(), pid, own_memory_kib(pid), files))

    def between(self, start: float, end: float) -> list[Sample]:
        """What was seen then."""
        return [sample for sample in list(self.samples) if start <= sample.at <= end]


def own_memory_kib(pid: int) -> int:
    """KiB of memory that a process does not share with the files that it comes from."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return sum(int(fields[name].split()[0]) for name in ("RssAnon", "RssShmem"))


HONEST_EVENTS = {"drop_reserved", "drop_reported"}
"""What is logged of every drop."""

SETTLED = {"MOVED", "REPEATED"}
"""Verdicts on what honest agents report."""

LONGEST_EXAMPLE = 300
"""Characters of a log line that are shown to people."""


@dataclass
class Logged:
    """What the frontend has logged in some time.

    Attributes:
        size: Bytes in all.
        lines: Lines in all.
        attack: Lines that are not about honest drops, by event.
        raw: Lines that are not JSON, of which there must be none.
        secret: Lines that tell a secret.
        mistakes: Lines about mistakes of the program.
    """

    size: int = 0
    lines: int = 0
    attack: Counter[str] = field(default_factory=Counter)
    raw: list[str] = field(default_factory=list)
    secret: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    def add(self, line: str, secrets: Iterable[str]) -> None:
        """Counts one line."""
        self.lines += 1
        example = line.strip()[:LONGEST_EXAMPLE]
        if any(secret in line for secret in secrets):
            self.secret.append(example)
        try:
            facts = json.loads(line)
        except ValueError:
            facts = None
        if not isinstance(facts, dict):
            self.raw.append(example)
            self.attack["(no JSON)"] += 1
            return
        if "exception" in facts or facts.get("level") == "critical":
            self.mistakes.append(example)
        if not about_honest_drops(facts):
            self.attack[str(facts.get("event", ""))[:60]] += 1


def about_honest_drops(facts: dict[str, Any]) -> bool:
    """Whether a line says no more than that a drop of an honest buyer goes well."""
    if facts.get("event") not in HONEST_EVENTS:
        return False
    if facts["event"] == "drop_reported":
        return facts.get("machine") in HONEST_MACHINES and facts.get("verdict") in SETTLED
    return facts.get("account") in HONEST


def read_log(log: Path, start: int, end: int, secrets: Iterable[str]) -> Logged:
    """What stands in a log between two positions.

    Args:
        log: The file.
        start: First byte.
        end: The byte after the last one.
        secrets: What no line may tell.
    """
    logged = Logged(size=end - start)
    with log.open("rb") as file:
        file.seek(start)
        for line in file.read(end - start).splitlines():
            logged.add(line.decode(errors="replace"), secrets)
    return logged
