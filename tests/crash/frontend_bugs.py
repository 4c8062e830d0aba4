"""Bugs to plant into the frontend; each breaks a promise, if it does not say that it does not."""

from collections.abc import Iterable, Sequence
from sqlite3 import Connection
from typing import Any

from drink_frontend.domain.entities import AuditKind, AuditRecord
from drink_frontend.storage import sqlite_engine
from drink_frontend.storage.statements import Call, Executor
from drink_frontend.storage.tables import FACTS_MAX
from drink_frontend.storage.transaction import Transaction
from drink_frontend.storage.workers import Job
from drink_frontend.storage.writer import Writer
from tests.crash.kill_switch import replace


def do_not_sync() -> None:
    """Commits return before they are on the disk."""
    open_file = sqlite_engine.open_file

    def wrapped(*arguments: Any, **options: Any) -> Connection:
        connection = open_file(*arguments, **options)
        connection.execute("PRAGMA synchronous = NORMAL").close()
        return connection

    replace(sqlite_engine, "open_file", wrapped)


def commit_each_phase() -> None:
    """A turn is stored in several transactions."""
    exchange = Executor.exchange

    def wrapped(executor: Executor, calls: Iterable[Call]) -> Sequence[Any]:
        answers: list[Any] = []
        for statement, rows in calls:
            answers += exchange(executor, [(statement, rows)])
            if statement.changes:
                executor._cursor.execute("COMMIT")
                executor._cursor.execute("BEGIN IMMEDIATE")
        return answers

    replace(Executor, "exchange", wrapped)


def break_a_rule_beside_orders() -> None:
    """A unit of work that the database refuses is in the batch of each order, which is divided.

    This breaks no promise: nobody else is hurt.
    """
    carry_out = Writer.carry_out

    def bad(tx: Transaction) -> None:
        tx.audit.add(AuditRecord(AuditKind.NOTE, 0, "nobody", facts={"words": "x" * FACTS_MAX}))

    def wrapped(writer: Writer, jobs: Sequence[Job]) -> Any:
        if not any(job.needs is not None and job.needs.requests for job in jobs):
            return carry_out(writer, jobs)
        results, changes = carry_out(writer, [*jobs, Job(bad, jobs[0].future)])
        assert results[-1].error is not None
        return results[:-1], changes

    replace(Writer, "carry_out", wrapped)
