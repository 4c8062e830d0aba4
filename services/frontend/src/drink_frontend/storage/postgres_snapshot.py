"""Runs the queries of a reader on PostgreSQL, each in one snapshot, in few round trips.

A snapshot begins with its first statement and ends with its last one, in the same round trips. A
single statement needs no transaction: it sees one moment by itself. Which statement is the last is
not known beforehand, since queries are functions. It is foreseen: a kind of query runs as many
statements as it ever ran before on this connection. Where it runs fewer, the end travels alone.
Where it runs more, the snapshot has ended too early, and the query is carried out again in another.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from drink_frontend.storage.engine import EndedEarlyError
from drink_frontend.storage.postgres_executor import ExchangingExecutor
from drink_frontend.storage.statements import Call

SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
"""Begins a reader's transaction."""


class Ask(Protocol):
    """Runs statements in one round trip."""

    def __call__(
        self, calls: Sequence[Call], before: Sequence[str], after: Sequence[str], *, is_first: bool
    ) -> Sequence[Any]:
        """Returns the answers, as those of `Executor.exchange`.

        Args:
            calls: The statements.
            before: Statements without parameters that are run before them.
            after: The same, behind them.
            is_first: Whether nothing was asked before in the snapshot, so that they may be repeated
                on another connection.
        """


class SnapshotExecutor(ExchangingExecutor):
    """Runs the statements of one snapshot after the other.

    Args:
        ask: Runs statements on the connection.
    """

    __slots__ = ("_ask", "_ended", "_ends_at", "_is_first", "_most", "_query", "_steps")

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._most: dict[object, int] = {}
        self.begin()

    def begin(self) -> None:
        """Begins a snapshot, with the next statement."""
        self._is_first, self._ended = True, False
        self._query: object = None
        self._steps = self._ends_at = 0

    def announce(self, query: object, *, is_last: bool) -> None:
        """Says which query runs next.

        Args:
            query: Its kind; queries of one kind are likely to run as many statements.
            is_last: Whether no other query runs in this snapshot.
        """
        self._query, self._steps = query, 0
        self._ends_at = self._most.get(query, 0) if is_last else 0

    def exchange(self, calls: Iterable[Call]) -> Sequence[Any]:
        """Runs statements, in order and in one round trip.

        Raises:
            EndedEarlyError: the snapshot has ended with the statements before these.
        """
        if self._ended:
            raise EndedEarlyError
        waiting = list(calls)
        self._steps += 1
        ends = self._steps == self._ends_at
        is_whole = ends and self._is_first and len(waiting) == 1
        answers = self._ask(
            waiting,
            (SNAPSHOT,) if self._is_first and not is_whole else (),
            ("COMMIT",) if ends and not is_whole else (),
            is_first=self._is_first,
        )
        self._is_first, self._ended = False, ends
        if self._query is not None:
            self._most[self._query] = max(self._most.get(self._query, 0), self._steps)
        return answers
