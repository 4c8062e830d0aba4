"""The text of events: what is in it, and what is not."""

import json
from dataclasses import fields, replace

from drink_frontend.domain.alarms import Alarm, AlarmKind
from drink_frontend.domain.drop import Cause
from drink_frontend.domain.drop import State as DropState
from drink_frontend.domain.entities import Account, AuditKind, AuditRecord, Reach, Slot
from drink_frontend.domain.events import Event, EventKind
from drink_frontend.domain.items import Item
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.domain.pictures import Picture
from drink_frontend.domain.stock import Sensor
from drink_frontend.storage.event_codec import HIDDEN, STATES, accounts_of, decode, encode, named
from tests.support.books import drop
from tests.support.entities import make_machine

ANN = Account("~ANN", "anna", AccountKind.USER, True, False, "secret", 5, -1, 2, 3, "Annabel")
ALARM = Alarm(AlarmKind.TWO_AGENTS, "machines/d", "d", 1, 2, 3, {"a": [1.5]})
EVENTS = (
    Event(
        EventKind.DROP,
        replace(
            drop(1, item="Ä\0\u2028"), state=DropState.UNKNOWN, cause=Cause.BOARD_SILENT, epoch=4
        ),
        "agent:d",
    ),
    Event(EventKind.DROP_RECORD, AuditRecord(AuditKind.DROP_REPORTED, 1, "ann", "D", "d", "ann")),
    Event(EventKind.CREDITS, ANN),
    Event(EventKind.REACH, make_machine("d", "Drink", (), reach=Reach.READY), "root"),
    Event(EventKind.STOCK, Slot("d", 1, "Tea", 5, True, 1, 2, 3, 4, Sensor.EMPTY, 9)),
    Event(EventKind.ITEM, Item(7, "Tea", None, 5, 1, 2), "root"),
    Event(
        EventKind.ITEM, Item(7, "Tea", "400", 5, 1, 2, Picture("image/png", 2, 3, 99, "e")), "root"
    ),
    Event(EventKind.ALARM, ALARM),
    Event(EventKind.KIOSK, Kiosk("d", "by the door", 1, 2, 3, None, 4), "~EVE"),
)


def test_what_is_visible_comes_back_and_what_is_hidden_does_not() -> None:
    text = encode(EVENTS)
    assert "secret" not in text
    assert "anna" not in text
    assert "Annabel" not in text
    found = decode(text)
    for event, written in zip(found, EVENTS, strict=True):
        hidden = HIDDEN.get(type(written.state), {})
        assert (event.kind, event.actor) == (written.kind, written.actor)
        for field in fields(written.state):
            value = getattr(event.state, field.name)
            expected = hidden.get(field.name, getattr(written.state, field.name))
            assert value == expected, field.name
            assert type(value) is type(expected), field.name


def test_names_are_those_of_the_time_of_reading() -> None:
    bought_one = drop(1, account="~ANN", decided_by="~EVE")
    record = AuditRecord(AuditKind.DROP_REPORTED, 1, "~ANN", "D", "d", "~ANN")
    alarm = replace(ALARM, acknowledged_by="~EVE", closed_by="operator:eve")
    written = (
        Event(EventKind.DROP, bought_one, "~ANN"),
        Event(EventKind.DROP_RECORD, record, "agent:d"),
        Event(EventKind.CREDITS, ANN, "~ROOT"),
        Event(EventKind.ALARM, alarm),
    )
    found = decode(encode(written))
    assert accounts_of(found) == {"~ANN", "~EVE", "~ROOT"}
    bought, told, paid, raised = (named(event, {"~ANN": "ann", "~EVE": "eve"}) for event in found)
    assert (bought.actor, told.actor, paid.actor, raised.actor) == ("ann", "agent:d", "~ROOT", None)
    assert (bought.state.account, bought.state.buyer) == ("~ANN", "ann")  # type: ignore[union-attr]
    assert (bought.state.decided_by, bought.state.decider) == ("~EVE", "eve")  # type: ignore[union-attr]
    assert (told.state.actor, told.state.account) == ("ann", "~ANN")  # type: ignore[union-attr]
    assert (paid.state.id, paid.state.name) == ("~ANN", "ann")  # type: ignore[union-attr]
    assert (raised.state.acknowledged_by, raised.state.closed_by) == ("eve", "operator:eve")  # type: ignore[union-attr]
    called, other = (
        named(found[2], {"~ANN": "ann"}, names) for names in ({"~ANN": "A."}, {"~": ""})
    )
    assert isinstance(called.state, Account)
    assert isinstance(other.state, Account)
    assert (called.state.name, called.state.display_name) == ("ann", "A.")
    assert other.state.display_name is None
    erased = named(found[2], {})
    assert isinstance(erased.state, Account)
    assert erased.state.is_erased
    assert erased.state.display_name is None


def test_every_kind_has_a_class_and_hidden_fields_are_fields() -> None:
    assert set(STATES) == set(EventKind)
    for kind, hidden in HIDDEN.items():
        assert hidden.keys() < {field.name for field in fields(kind)}


def test_rows_of_other_versions_are_read() -> None:
    (kind, actor, facts), *_ = json.loads(encode(EVENTS[2:3]))
    facts["shoe_size"] = 44
    del facts["credit_limit"]
    (event,) = decode(json.dumps([[kind, actor, facts]]))
    assert isinstance(event.state, Account)
    assert event.state.credit_limit == 0
