"""The kill points of the frontend: each step that leaves something on disk, link or wire.

Nothing of the frontend is changed; its real methods and SQLite's own writes are wrapped.

| point | is |
| --- | --- |
| `after-load-U` | what a unit of work U has named is loaded, `order` or `result` |
| `after-decide-S` | a step S of a turn is decided, and nothing of it stored |
| `after-insert-T-S`, `after-update-T-S` | one phase of a turn with S is stored, in table T |
| `divided-S` | a batch with a step S was refused by the database and is undone |
| `before-commit-S`, `after-commit-S` | around the commit of a step S, each `STEPS` has one |
| `during-commit-S`, `before-sync-S` | half a page of the commit written; written and not synced |
| `during-checkpoint`, `before-sync-checkpoint`, `after-sync-checkpoint` | in the copying of \
SQLite's journal into the database |
| `before-send-M`, `after-send-M` | around a message to an agent |
| `before-reply-R`, `after-reply-R` | around the answer to a client's call, or a session's line |
"""

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

import drink_frontend.cli  # noqa: F401 - what the fork_server imports ahead
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind, Drop
from drink_frontend.domain.ledger import Transfer, TransferKind
from drink_frontend.links.link import Link
from drink_frontend.links.messages import Envelope
from drink_frontend.rpc.account_service import AccountService
from drink_frontend.rpc.drop_service import DropService
from drink_frontend.rpc.machine_service import MachineService
from drink_frontend.sessions.connection import Connection
from drink_frontend.sessions.session import Answer
from drink_frontend.storage.audit import AuditTable
from drink_frontend.storage.changes import NO_CHANGES, ChangeSet
from drink_frontend.storage.drops import DropTable
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.ledger import LedgerTable
from drink_frontend.storage.machines import MachineTable
from drink_frontend.storage.refunds import RefundTable
from drink_frontend.storage.sqlite_engine import SqliteConnection
from drink_frontend.storage.statements import Call, Executor
from drink_frontend.storage.statistics import StatisticsTable
from drink_frontend.storage.stock import StockTable
from drink_frontend.storage.workers import Job
from drink_frontend.storage.writer import Writer, _DivideError
from tests.crash.kill_switch import KillSwitch, replace
from tests.crash.sqlite_disk import SqliteDisk

STEPS: dict[tuple[State, State], str] = {
    (State.SCHEDULED, State.RESERVED): "released",
    (State.RESERVED, State.DISPATCHED): "dispatched",
    (State.DISPATCHED, State.RESERVED): "returned",
    (State.DISPATCHED, State.DISPENSED): "dispensed",
    (State.DISPATCHED, State.NOT_DISPENSED): "not-dispensed",
    (State.DISPATCHED, State.UNKNOWN): "unknown",
    (State.UNKNOWN, State.UNKNOWN): "still-unknown",
    (State.UNKNOWN, State.DISPENSED): "resolved",
    (State.UNKNOWN, State.NOT_DISPENSED): "resolved",
}
"""What a drop's step is called; one that ends before its dispatch is `cancelled` or `withdrawn`."""

TURNS = ("reserved", "dispensed")
"""The steps in whose turns each step inside the turn is a point: what one drop takes."""

PHASE = re.compile(r"(?:\A|\) )(INSERT|UPDATE)(?: INTO)? (\w+)")
"""A statement that stores a phase, and its table."""

TORN_WRITE = 2
"""Which of a commit's writes is cut in half: the first one's page, after that one's header."""


DROPPED = b"OK Credits remaining"
"""How a session is answered whose drop was dispensed."""


RECORDED = {AuditKind.ACCOUNT_CHANGED: "account", AuditKind.DROP_REPORTED: "reported"}
"""Steps of commits that a record tells of best."""


def install(kill_switch: KillSwitch) -> None:
    """Wraps the frontend of this process."""
    _Commits(kill_switch).wrap()
    _wrap_link(kill_switch)
    _wrap_calls(kill_switch)
    _wrap_sessions(kill_switch)


class _Commits:
    """Names each commit by the steps in it, down to the bytes that it writes."""

    def __init__(self, kill_switch: KillSwitch) -> None:
        self._kill_switch = kill_switch
        self._steps: list[str] = []
        self._unit = 0
        self._committing = False
        self._writes = 0
        disk = SqliteDisk(self._on_write, self._on_sync, remember=kill_switch.unsynced_is_lost)
        # KillSwitch also keeps it alive, which SQLite calls from now on.
        kill_switch.before_kill(disk.lose_unsynced)

    def wrap(self) -> None:
        """Wraps what units of work do, and their commit."""
        self._note(DropTable, "add", lambda _, drop: _added(drop))
        self._note(DropTable, "move", lambda _, *move, **facts: _moved(*move))
        self._note(MachineTable, "open_link", lambda *_, **__: "link-opened")
        self._note(MachineTable, "update_slot", lambda *_, **__: "status")
        self._note(RefundTable, "add", lambda *_, **__: "refunded")
        self._note(StockTable, "adjust", lambda *_, **__: "stock")
        self._note(StatisticsTable, "clear", lambda *_: "cleared")
        self._note(StatisticsTable, "add", lambda _, rows: "counted" if rows else "")
        self._note(AuditTable, "add", lambda _, record: RECORDED.get(record.kind, ""))
        self._note(LedgerTable, "add", lambda _, transfer: _moved_credits(transfer))
        self._wrap_connection()
        self._wrap_turn()

    def _note(self, owner: type, name: str, step_of: Callable[..., str]) -> None:
        real = getattr(owner, name)

        def wrapped(*arguments: Any, **facts: Any) -> Any:
            result = real(*arguments, **facts)
            self._steps.append(step_of(*arguments, **facts))
            return result

        replace(owner, name, wrapped)

    def _wrap_connection(self) -> None:
        begin, commit = SqliteConnection.begin, SqliteConnection.commit
        begin_unit, undo = IdentityMap.begin_unit, IdentityMap.undo

        def wrapped_begin(connection: SqliteConnection, calls: Sequence[Call] = ()) -> Any:
            answers = begin(connection, calls)
            if not _is_reader(connection):
                self._steps.clear()
            return answers

        def wrapped_begin_unit(rows: IdentityMap) -> None:
            begin_unit(rows)
            self._unit = len(self._steps)

        def wrapped_undo(rows: IdentityMap) -> None:
            undo(rows)
            del self._steps[self._unit :]

        def wrapped_commit(
            connection: SqliteConnection, changes: ChangeSet = NO_CHANGES, /
        ) -> None:
            if _is_reader(connection):
                commit(connection, changes)
                return
            self._reach("before-commit")
            self._committing, self._writes = True, 0
            commit(connection, changes)
            self._committing = False
            self._reach("after-commit")

        replace(SqliteConnection, "begin", wrapped_begin)
        replace(IdentityMap, "begin_unit", wrapped_begin_unit)
        replace(IdentityMap, "undo", wrapped_undo)
        replace(SqliteConnection, "commit", wrapped_commit)

    def _wrap_turn(self) -> None:
        decide, exchange, part = Writer._decide, Executor.exchange, Writer._carry_out_part

        def wrapped_decide(writer: Writer, job: Job, *rest: Any) -> Any:
            if job.needs is not None and job.needs.requests:
                self._kill_switch.reach("after-load-order")
            elif job.needs is not None and job.needs.drops and job.needs.new_transfers:
                self._kill_switch.reach("after-load-result")
            known = len(self._steps)
            result = decide(writer, job, *rest)
            self._reach_inside("after-decide", self._steps[known:])
            return result

        def wrapped_exchange(executor: Executor, calls: Iterable[Call]) -> Sequence[Any]:
            answers: list[Any] = []
            for statement, rows in calls:
                answers += exchange(executor, [(statement, rows)])
                if statement.changes:
                    ((sql, _), *_) = statement.parts(executor._dialect, rows)
                    phase = PHASE.search(sql)
                    assert phase is not None, sql
                    self._reach_inside(f"after-{phase[1].lower()}-{phase[2]}", self._steps)
            return answers

        def wrapped_part(writer: Writer, jobs: Sequence[Job]) -> Any:
            try:
                return part(writer, jobs)
            except _DivideError:
                self._reach_inside("divided", self._steps)
                raise

        replace(Writer, "_decide", wrapped_decide)
        replace(Executor, "exchange", wrapped_exchange)
        replace(Writer, "_carry_out_part", wrapped_part)

    def _reach_inside(self, when: str, steps: Iterable[str]) -> None:
        """Reaches a point inside a turn, for what one drop takes."""
        for step in dict.fromkeys(steps):
            if step in TURNS:
                self._kill_switch.reach(f"{when}-{step}")

    def _reach(self, when: str) -> None:
        for step in self._steps:
            if step:
                self._kill_switch.reach(f"{when}-{step}")

    def _on_write(self, path: str, half: Callable[[], None]) -> None:
        if not path.endswith("-wal"):
            if self._kill_switch.is_due("during-checkpoint"):
                half()
                self._kill_switch.kill()
        elif self._committing:
            self._writes += 1
            for step in self._steps if self._writes == TORN_WRITE else ():
                if step and self._kill_switch.is_due(f"during-commit-{step}"):
                    half()
                    self._kill_switch.kill()

    def _on_sync(self, path: str, done: bool) -> None:
        if not path.endswith("-wal"):
            self._kill_switch.reach(f"{'after' if done else 'before'}-sync-checkpoint")
        elif self._committing and self._writes >= TORN_WRITE and not done:
            self._reach("before-sync")


def _is_reader(connection: SqliteConnection) -> bool:
    return connection._begin == "BEGIN"


def _added(drop: Drop) -> str:
    return "scheduled" if drop.state is State.SCHEDULED else "reserved"


def _moved(drop: Drop, target: State, cause: Cause, *_: Any) -> str:
    source = drop.state
    if target is State.NOT_DISPENSED and source in (State.SCHEDULED, State.RESERVED):
        return "cancelled" if cause is Cause.CANCELLED else "withdrawn"
    return STEPS.get((source, target), f"{source}-{target}".lower())


def _moved_credits(transfer: Transfer) -> str:
    return "credits" if transfer.kind is TransferKind.MOVE else ""


def _wrap_link(kill_switch: KillSwitch) -> None:
    messages = Link.messages

    async def wrapped(link: Link) -> AsyncGenerator[Envelope, None]:
        async with aclosing(messages(link)) as outgoing:
            async for envelope in outgoing:
                kind = type(envelope.message).__name__.lower()
                kill_switch.reach(f"before-send-{kind}")
                yield envelope
                # It is asked for the next one once the network has taken this one.
                kill_switch.reach(f"after-send-{kind}")

    replace(Link, "messages", wrapped)


def _wrap_calls(kill_switch: KillSwitch) -> None:
    for service, method, name in (
        (DropService, "Drop", "drop"),
        (DropService, "CancelDrop", "cancel"),
        (DropService, "RefundDrop", "refund"),
        (DropService, "ReportDrop", "report"),
        (AccountService, "AddCredits", "credits"),
        (AccountService, "SetCredits", "set-credits"),
        (AccountService, "UpdateAccount", "account"),
        (MachineService, "AdjustStock", "stock"),
    ):
        _wrap_call(kill_switch, service, method, name)


def _wrap_call(kill_switch: KillSwitch, service: type, method: str, name: str) -> None:
    real = getattr(service, method)

    async def wrapped(servicer: Any, request: Any, context: Any) -> Any:
        response = await real(servicer, request, context)
        kill_switch.reach(f"before-reply-{name}")
        # Called when the response has been sent.
        context.add_done_callback(lambda _: kill_switch.reach(f"after-reply-{name}"))
        return response

    replace(service, method, wrapped)


def _wrap_sessions(kill_switch: KillSwitch) -> None:
    give = Connection._give

    def wrapped(connection: Connection, answer: Answer, data: bytes) -> None:
        dropped = DROPPED in data
        if dropped:
            kill_switch.reach("before-reply-session")
        give(connection, answer, data)
        if dropped:
            kill_switch.reach("after-reply-session")

    replace(Connection, "_give", wrapped)
