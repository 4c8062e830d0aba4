"""What is done to a database at times, and when it was done last. Times are milliseconds."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Task(StrEnum):
    """What is done."""

    BOOKS = "BOOKS"
    """The books were checked."""
    BACKUP = "BACKUP"
    """A backup was made."""


@dataclass(frozen=True, slots=True)
class Done:
    """When something was done last.

    Attributes:
        task: What.
        done_ms: When.
        problems: What it found to be wrong; 0 for nothing.
        facts: Details. JSON values; no secrets.
    """

    task: Task
    done_ms: int
    problems: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
