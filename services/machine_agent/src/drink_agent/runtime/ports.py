"""What the agent's loop needs from its board and its link."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from drink_agent.board.port import BoardEvent, StatusChanged
from drink_agent.domain.events import BoardStatus, Event
from drink_agent.domain.evidence import Cause, Sensor
from drink_agent.domain.records import Entry, Result
from drink_agent.link.convert import Hello

Survivors = Callable[[Sequence[Entry]], list[Entry]]
"""Picks the entries that a journal still needs."""


class BoardPort(Protocol):
    """One machine's board; reports by the callback it was made with."""

    @property
    def status(self) -> StatusChanged:
        """What the board says of itself now."""

    @property
    def problem(self) -> str | None:
        """Why the board does not answer, for a person; None while it does."""

    async def run(self) -> None:
        """Keeps the board connected until cancelled, then releases it."""

    def recall(self, drop_id: str, slot: int, before: Sensor, cause: Cause, age_s: float) -> None:
        """Learns, before all else, of an earlier run's last command that may still be answered."""

    def dispense(self, drop_id: str, slot: int) -> None:
        """Runs a slot's motor once; exactly one outcome is reported later."""


class LinkPort(Protocol):
    """The link to the frontend; reports by the callback it was made with."""

    @property
    def is_up(self) -> bool:
        """Whether the frontend took the link."""

    def describe(self) -> Mapping[str, object]:
        """How the link is, JSON-able, for a person: `up`, and why not."""

    @property
    def beat_at(self) -> float | None:
        """When the next heartbeat is due; None without a link."""

    def beat(self, journal_sequence: int) -> None:
        """Sends a heartbeat."""

    def report(self, sequence: int, result: Result) -> None:
        """Sends a durable result, if there is a link."""

    def report_not_received(self, drop: str) -> None:
        """Sends that the journal does not know a drop, if there is a link."""

    def report_status(self, status: BoardStatus) -> None:
        """Sends what the board says, if there is a link."""

    async def run(self) -> None:
        """Keeps a link until closed."""

    async def close(self) -> None:
        """Says goodbye and ends `run`."""


class JournalPort(Protocol):
    """The journal as the loop uses it; `sync` and `compact` may block on the disk."""

    journal_id: str
    last_sequence: int
    durable_sequence: int
    size_bytes: int
    compacted_bytes: int
    torn_bytes: int

    @property
    def dirty(self) -> bool:
        """Whether something was appended that is not durable."""

    def append(self, entry: Entry) -> None:
        """Adds an entry."""

    def sync(self) -> None:
        """Makes everything appended durable."""

    def compact(self, survivors: Survivors) -> bool:
        """Rewrites the file with the entries that are still needed."""

    def close(self) -> None:
        """Releases the file."""


MakeBoard = Callable[[Callable[[BoardEvent], None]], BoardPort]
"""Makes the board from the callback for its events."""
MakeLink = Callable[[Callable[[], Hello], Callable[[Event], Awaitable[None]]], LinkPort]
"""Makes the link from the agent's hello and the callback for its events."""
