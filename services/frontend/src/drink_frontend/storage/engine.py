"""What differs between SQLite and PostgreSQL: connections, errors, and news of other processes."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol

from drink_frontend.storage.changes import NO_CHANGES, ChangeSet

if TYPE_CHECKING:
    # SQLAlchemy takes long to import, and commands need only the errors.
    from drink_frontend.storage.statements import Call, Executor

Query = Callable[[str], Iterable[Any]]
"""Runs a query without parameters and returns its rows."""


class StorageError(Exception):
    """The database cannot be opened or migrated; the message tells an operator what to do."""


class DatabaseLockedError(StorageError):
    """Another frontend has the database open."""


class SchemaError(StorageError):
    """This program cannot work with the database's schema."""


class EndedEarlyError(Exception):
    """A reader's snapshot has ended before its last query, which must be carried out again."""


class Fault(Enum):
    """What a driver's error means for the transaction in which it was raised."""

    UNAVAILABLE = auto()
    """The statement was not carried out; what was committed before is sound."""
    UNDONE = auto()
    """The whole transaction was undone, by something temporary: it may be repeated."""
    IN_DOUBT = auto()
    """The connection was lost at the commit, and its outcome could not be found out."""
    BROKEN = auto()
    """What the database reads or writes can no longer be trusted in this process."""


class DatabaseConnection(Protocol):
    """A connection to the database, used by one thread at a time."""

    @property
    def executor(self) -> "Executor":
        """Runs statements on this connection."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def begin(self, calls: "Sequence[Call]" = ()) -> Sequence[Any]:
        """Opens a transaction: a writing one on a writer, a snapshot on a reader.

        Connects again first if the connection was lost.

        Args:
            calls: Statements that load rows, in the same round trip.

        Returns:
            Their answers, as those of `Executor.exchange`.
        """

    def commit(self, changes: ChangeSet = NO_CHANGES) -> None:
        """Makes the transaction durable, and notifies other processes of its changes then."""

    def rollback(self) -> None:
        """Undoes the transaction; ends a reader's snapshot."""

    def announce(self, query: object, *, is_last: bool) -> None:
        """Says which query a reader runs next, so that the snapshot's end can travel with it.

        Its statements may raise an EndedEarlyError then.

        Args:
            query: Its kind; queries of one kind are likely to run as many statements.
            is_last: Whether no other query runs in this snapshot.
        """

    def limit(self, seconds: float) -> None:
        """Interrupts a reader's query after that time, with an error of Fault.UNAVAILABLE."""

    def changed_elsewhere(self) -> bool:
        """Whether another process may have committed since the last call. For writers.

        False where `Engine.listen` reports such commits.
        """

    def close(self) -> None:
        """Closes the connection."""


class Engine(Protocol):
    """One opened database."""

    @property
    def shared(self) -> bool:
        """Whether other frontends may serve on the database at the same time."""

    @property
    def batch_max(self) -> int:
        """Most units of work in one transaction."""

    @property
    def round_trips(self) -> Mapping[str, int]:
        """Round trips to a server so far, by `write` and `read`; empty without a server."""

    def connect(self, *, read_only: bool) -> DatabaseConnection:
        """A new connection, to be used until the end."""

    def fault(self, error: BaseException) -> Fault | None:
        """What a driver's error means; None for one that is a mistake of the program."""

    def reading(self) -> AbstractContextManager[Query]:
        """A snapshot of the whole database, without a time limit for its queries."""

    async def listen(
        self, heard: Callable[[ChangeSet | None], None], tried: asyncio.Event, /
    ) -> None:
        """Reports other processes' commits until cancelled, if `changed_elsewhere` does not.

        Args:
            heard: Called on the event loop with what a commit changed; None: it may be anything.
            tried: Set after the first attempt to listen.
        """

    def close(self) -> None:
        """Lets another process open the database. All connections are closed before."""
