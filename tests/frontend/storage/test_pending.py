"""What is pending: several changes of one thing are one, and each can be taken back."""

from dataclasses import replace
from typing import Any

import pytest

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import AuditKind, AuditRecord
from drink_frontend.storage import pending as module
from drink_frontend.storage.bulk import Bulk
from drink_frontend.storage.pending import Pending, UndoLog
from tests.support.books import NOW, drop, hold_of
from tests.support.ids import ALICE


@pytest.fixture
def log() -> UndoLog:
    return UndoLog()


@pytest.fixture
def pending(log: UndoLog) -> Pending:
    return Pending(log)


def names(pending: Pending) -> list[str]:
    """The statements of the phases, as the module names them."""
    by_value = {id(value): name for name, value in vars(module).items() if isinstance(value, Bulk)}
    return [by_value[id(statement)] for statement, _ in pending.take()]


def test_a_log_takes_back_everything_since_it_was_cleared(log: UndoLog) -> None:
    counts: dict[str, int] = {"a": 1}
    rows = [1, 2]
    log.put(counts, "a", 2)
    log.clear()
    log.put(counts, "a", 3)
    log.put(counts, "b", 4)
    log.remove(counts, "a")
    log.append(rows, 3)
    assert log.pop(rows) == 3
    assert log.pop(rows) == 2
    log.undo()
    assert (counts, rows) == ({"a": 2}, [1, 2])
    assert not log


def test_the_phases_follow_the_constraints(pending: Pending) -> None:
    pending.add_record(AuditRecord(AuditKind.NOTE, NOW, "root"))
    new, old = drop(1, sequence=1), drop(2, sequence=2)
    dispatched = {"state": State.DISPATCHED, "epoch": 1, "journal_id": "j"}
    pending.add_drop(new)
    pending.move_drop(new, replace(new, **dispatched))  # type: ignore[arg-type]
    pending.add_transfer(hold_of(new), 1)
    at_motor = replace(old, **dispatched)  # type: ignore[arg-type]
    pending.move_drop(at_motor, replace(at_motor, state=State.DISPENSED))
    assert names(pending) == [
        *("_MOVE_DROPS", "_ADD_DROPS", "_ADD_TRANSFERS", "_MOVE_DROPS", "_CHANGE_BALANCES"),
        "_ADD_RECORDS",
    ]
    assert not pending


def test_a_drop_that_returns_and_is_dispatched_again_is_stored_twice(pending: Pending) -> None:
    at_motor = drop(1, state=State.DISPATCHED)
    waiting = replace(at_motor, state=State.RESERVED)
    pending.move_drop(at_motor, waiting)
    pending.move_drop(waiting, replace(at_motor, epoch=2))
    (_, early), (_, late) = pending.take()
    assert [(row[1], row[-1]) for row in (*early, *late)] == [
        ("RESERVED", "DISPATCHED"),
        ("DISPATCHED", "RESERVED"),
    ]


def test_a_drop_that_is_dispatched_and_settled_is_stored_once(pending: Pending) -> None:
    waiting = drop(1)
    at_motor = replace(waiting, state=State.DISPATCHED)
    pending.move_drop(waiting, at_motor)
    pending.move_drop(at_motor, replace(waiting, state=State.DISPENSED))
    ((_, rows),) = pending.take()
    assert [(row[1], row[-1]) for row in rows] == [("DISPENSED", "RESERVED")]


def test_changes_of_one_balance_are_one(pending: Pending) -> None:
    for number in range(3):
        pending.add_transfer(hold_of(drop(number)), number + 1)
    _, (_, balances) = pending.take()
    assert sorted(balances) == sorted([(ALICE, 150, 0, 0, 0), ("sales/d", 0, 0, 150, 0)])


@pytest.mark.parametrize(
    "limits", [{"ROWS_MAX": 2}, {"CHARACTERS_MAX": 10}], ids=["rows", "characters"]
)
def test_what_is_pending_is_bounded(
    pending: Pending, limits: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(module, name, value)
    assert not pending.is_full
    for _ in range(3):
        pending.add_record(AuditRecord(AuditKind.NOTE, NOW, "root", facts={"a": "b"}))
    assert pending.is_full
