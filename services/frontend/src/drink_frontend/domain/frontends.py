"""Frontend processes as plain values. Times are milliseconds since the epoch, UTC."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FrontendInstance:
    """A frontend process that serves on this database.

    Attributes:
        id: Id of the process, unique.
        name: Host and port, for people.
        version: Version of the program.
        started_ms: When it started.
        beats: Number of heartbeats that it has written; 0 before the first.
    """

    id: str
    name: str
    version: str
    started_ms: int
    beats: int = 0
