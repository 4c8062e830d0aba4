"""What the use cases need from the world, as protocols.

A unit of work is a plain function over a Transaction. It runs whole or not at all, alone, on the
storage's own thread, and may run more than once before it is committed; so it computes, reads and
writes through the Transaction and touches nothing else. `Storage.write` returns its value only
after the commit is durable.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from drink_frontend.domain.books import (
    AccountTable,
    AlarmTable,
    AuditTable,
    DropTable,
    FrontendTable,
    LedgerTable,
    MachineTable,
)
from drink_frontend.domain.entities import (
    Account,
    Drop,
    Reach,
)

T = TypeVar("T")


class Transaction(Protocol):
    """One unit of work's view of everything that is kept."""

    @property
    def accounts(self) -> AccountTable:
        """Accounts, credentials, tokens."""

    @property
    def ledger(self) -> LedgerTable:
        """Transfers."""

    @property
    def machines(self) -> MachineTable:
        """Machines and slots."""

    @property
    def drops(self) -> DropTable:
        """Drops."""

    @property
    def frontends(self) -> FrontendTable:
        """The frontends that serve."""

    @property
    def audit(self) -> AuditTable:
        """The audit log."""

    @property
    def alarms(self) -> AlarmTable:
        """Counted alarms."""

    def exercise(self) -> None:
        """Asks for everything that the service does with what is kept, without doing any of it."""


class Changed(Protocol):
    """What commits changed."""

    @property
    def machines(self) -> Collection[str]:
        """Names of machines, those of changed slots included."""

    @property
    def accounts(self) -> Mapping[str, Account | None]:
        """Accounts as they were committed, by name; None where only that is known."""

    @property
    def revoked(self) -> Collection[str]:
        """Accounts of which a token, password or iButton may be good no more."""


class Changes(Protocol):
    """Tells, after each commit, what it changed."""

    def drop(self, drop_id: str) -> "DropSubscription":
        """Wakes when the drop has changed."""

    def machine(self, name: str | None) -> "Subscription":
        """Wakes when the machine, or with None any machine, has changed."""

    def elsewhere(self) -> "ElsewhereSubscription":
        """Wakes when another process has changed anything, within a second or so."""

    def tell(self, told: Callable[[Changed | None], None]) -> None:
        """Has a plain function called with what commits changed; None: it may be anything.

        It hears of a commit of this process before anybody whom that commit answers, and of other
        processes' as `elsewhere` does.
        """


class Subscription(Protocol):
    """A wake-up that is set by every change since it was last awaited. A context manager."""

    def __enter__(self) -> Self:
        """Starts listening."""

    def __exit__(self, *error: object) -> None:
        """Stops listening."""

    async def changed(self) -> None:
        """Waits for a change; returns at once if one came since the last wait."""


class DropSubscription(Subscription, Protocol):
    """A wake-up that knows what this process has just committed."""

    @property
    def latest(self) -> Drop | None:
        """The drop as it stands, if its last change is a recent commit of this process.

        None: it has to be read.
        """


class ElsewhereSubscription(Protocol):
    """A wake-up by what other processes commit. A context manager."""

    def __enter__(self) -> Self:
        """Starts listening."""

    def __exit__(self, *error: object) -> None:
        """Stops listening."""

    async def changed(self) -> Collection[str] | None:
        """Waits for commits; names the machines that they changed. None: it may be anything."""


class Storage(Protocol):
    """Everything that is kept, durably."""

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Runs a unit of work and returns its value after its commit is durable.

        A cancelled caller changes nothing: the unit is carried out all the same.

        Raises:
            DrinkError: the unit raised it and was undone.
            StorageUnavailableError: the queue is full, or the commit failed.
            OutcomeUnknownError: nobody knows whether the commit failed.
        """

    async def read(self, query: Callable[[Transaction], T]) -> T:
        """Runs a query on the latest committed state; it must not write.

        Raises:
            StorageUnavailableError: the queue is full or the database does not answer.
        """

    @property
    def changes(self) -> Changes:
        """Tells what commits changed."""

    @property
    def shared(self) -> bool:
        """Whether other frontends may serve on the same database at the same time."""


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
    """The agents' links to this frontend, as far as the use cases care."""

    def wake(self, machine: str) -> None:
        """Says that the machine has a drop to dispatch."""

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
    """Time. What must be right rests on `monotonic`; `now_ms` is for people and schedules."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC; may jump."""

    def monotonic(self) -> float:
        """Seconds; never jumps."""


class Randomness(Protocol):
    """Ids and secrets."""

    def drop_id(self) -> str:
        """A new drop id: 26 characters of [0-9A-Z], in order of time within clock accuracy."""

    def id(self) -> str:
        """A new id for anything else."""

    def token(self) -> str:
        """A new secret with 256 random bits, in URL-safe characters."""


class PasswordHasher(Protocol):
    """Password hashes, computed where they block nobody."""

    async def hash(self, password: str) -> str:
        """A new hash.

        Raises:
            RateLimitedError: too many wait already.
        """

    async def verify(self, password_hash: str | None, password: str, lane: str = "") -> bool:
        """Whether the password fits; takes as long for None as for a real hash.

        Args:
            password_hash: Of the account; None if there is no such account.
            password: What was given.
            lane: Whose turn it is: lanes that wait get their turns one after the other.

        Raises:
            RateLimitedError: too many wait already.
        """
