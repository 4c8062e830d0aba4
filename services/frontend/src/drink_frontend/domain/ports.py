"""Interfaces of the use cases to links, clock, randomness and password hashes."""

from dataclasses import dataclass
from typing import Protocol

from drink_frontend.domain.entities import Drop, Reach


@dataclass(frozen=True, slots=True)
class Held:
    """A link of this frontend.

    Attributes:
        epoch: Its number; None while it is being opened, when the newest may be its.
        reach: How far a command gets on it.
    """

    epoch: int | None
    reach: Reach


class Links(Protocol):
    """The agents' links to this frontend, as the use cases use them."""

    def wake(self, machine: str) -> None:
        """Reports that the machine has a drop to dispatch."""

    def command(self, drop: Drop) -> None:
        """Sends the command of a drop whose dispatch was committed, if its link is still here."""

    def doubt(self, machine: str, epoch: int) -> None:
        """Says that a drop may be dispatched on that link whose command is not sent: ends it.

        At its next Hello the agent says what it did not receive.
        """

    def held(self, machine: str) -> Held | None:
        """The machine's link here, if there is one or one is being opened."""

    def supersede(self, machine: str, epoch: int) -> None:
        """Ends the machine's link here if it is older than `epoch`."""

    def release(self) -> int:
        """Ends every link, so that the agents look for another frontend; returns how many."""


class Clock(Protocol):
    """Time. Limits and time-outs use `monotonic`; `now_ms` is for people and schedules."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC; may jump."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""


class Randomness(Protocol):
    """Ids and secrets."""

    def drop_id(self) -> str:
        """A new drop id: 26 characters of [0-9A-Z] that sort by time, as exactly as the clock."""

    def id(self) -> str:
        """A new id of anything but a drop."""

    def token(self) -> str:
        """A new secret with 256 random bits, in URL-safe characters."""


class PasswordHasher(Protocol):
    """Password hashes, computed without blocking the event loop."""

    async def hash(self, password: str) -> str:
        """A new hash.

        Raises:
            RateLimitedError: too many hashes are waiting.
        """

    async def verify(
        self, password_hash: str | None, password: str, lane: tuple[str, str] = ("", "")
    ) -> bool:
        """Whether the password is right; takes as long for None as for a real hash.

        Args:
            password_hash: Hash of the account; None if there is no such account.
            password: The password that was given.
            lane: Group of this call: waiting groups are served in turn, one hash each.

        Raises:
            RateLimitedError: too many hashes are waiting.
        """
