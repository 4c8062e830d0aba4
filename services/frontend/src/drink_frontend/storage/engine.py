"""What the storage asks of a database engine; all that is particular to one is behind this."""

from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import Protocol

from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.statements import Executor
from drink_frontend.storage.verify import DriverConnection


class Fault(Enum):
    """What a driver's error means."""

    UNAVAILABLE = auto()
    """The statement was not carried out, now; what was committed is sound."""
    UNDONE = auto()
    """The whole transaction was undone, by what may be over at once: it may be repeated."""
    IN_DOUBT = auto()
    """The connection was lost at the commit, and nobody could tell whether it was carried out."""
    BROKEN = auto()
    """What the database reads or writes can no longer be trusted in this process."""


class Connection(Protocol):
    """A connection to the database, used by one thread at a time."""

    @property
    def executor(self) -> Executor:
        """Runs statements on it."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def begin(self) -> None:
        """Opens a transaction: a writing one on a writer, a snapshot on a reader.

        A connection that was lost is made anew for it.
        """

    def announce(self, touched: ChangeSet) -> None:
        """Has other processes told what the transaction changed, once it is committed."""

    def commit(self) -> None:
        """Makes the transaction durable. The last thing before it is `announce`."""

    def rollback(self) -> None:
        """Undoes the transaction; ends a reader's snapshot."""

    def savepoint(self) -> None:
        """Marks where `undo` goes back to."""

    def release(self) -> None:
        """Keeps what was done since the savepoint."""

    def undo(self) -> None:
        """Undoes what was done since the savepoint, and removes it."""

    def limit(self, seconds: float) -> None:
        """Gives up what a reader runs `seconds` from now, with a Fault.UNAVAILABLE error."""

    def changed_elsewhere(self) -> bool:
        """Whether another process may have committed something since the last look. A writer's.

        Not where other processes are heard by other means.
        """

    def close(self) -> None:
        """Closes it."""


class Engine(Protocol):
    """One opened database."""

    @property
    def shared(self) -> bool:
        """Whether other frontends may serve on it at the same time."""

    def connect(self, *, read_only: bool) -> Connection:
        """A new connection."""

    def fault(self, error: BaseException) -> Fault | None:
        """What a driver's error means; None for one that is a program mistake."""

    def reading(self) -> AbstractContextManager[DriverConnection]:
        """A snapshot of all of it, for as long as it takes to look at everything."""

    def close(self) -> None:
        """Lets another process have it. All connections are closed."""
