"""Events of one unit of work."""

from drink_frontend.domain.alarms import drop_subject, machine_subject
from drink_frontend.domain.entities import Account, AuditKind, AuditRecord
from drink_frontend.domain.events import (
    OWNERS_KINDS,
    PUBLIC_KINDS,
    Event,
    EventKind,
    EventNotes,
    account_subject,
)
from drink_frontend.domain.ledger import AccountKind
from tests.support.books import drop
from tests.support.entities import make_machine
from tests.support.ids import ALICE

ANN = Account("~ann", "ann", AccountKind.USER, False, False, None, 5, 0)


def test_each_change_is_an_event_in_its_order_with_its_actor() -> None:
    notes = EventNotes()
    placed, machine = drop(1), make_machine("d", "Drink", ())
    notes.note(EventKind.DROP, placed)
    notes.note(EventKind.CREDITS, ANN)
    notes.note(EventKind.DROP, placed)
    notes.note(EventKind.REACH, machine)
    notes.acted("frontend", drop_subject(placed.id))
    notes.acted("frontend", machine_subject("ld"))
    notes.acted("root", account_subject("~ann"))
    assert notes.events() == [
        Event(EventKind.DROP, placed, "frontend"),
        Event(EventKind.CREDITS, ANN, "root"),
        Event(EventKind.DROP, placed, "frontend"),
        Event(EventKind.REACH, machine, None),
    ]


def test_an_event_names_the_machine_and_the_account_concerned() -> None:
    record = AuditRecord(AuditKind.DROP_REPORTED, 1, "~ann", "D1", "d", "~ann")
    for kind, state, concerned in (
        (EventKind.DROP, drop(1), ("d", ALICE)),
        (EventKind.DROP_RECORD, record, ("d", "~ann")),
        (EventKind.CREDITS, ANN, (None, "~ann")),
        (EventKind.REACH, make_machine("d", "Drink", ()), ("d", None)),
    ):
        event = Event(kind, state)
        assert (event.machine, event.account) == concerned


def test_no_kind_is_both_for_everybody_and_for_owners() -> None:
    assert not PUBLIC_KINDS & OWNERS_KINDS
    assert EventKind.ALARM not in PUBLIC_KINDS | OWNERS_KINDS
