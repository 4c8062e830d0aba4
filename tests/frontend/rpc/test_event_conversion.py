"""Cursors and events on the wire."""

import base64

import pytest

from drink.v1 import event_service_pb2 as pb
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.events import Cursor, Event, EventKind
from drink_frontend.rpc.event_conversion import (
    KINDS,
    cursor_text,
    event_kinds,
    event_message,
    parse_cursor,
)
from tests.support.entities import make_machine

CURSOR = Cursor("0123456789abcdef", 7, 1_800_000_000_000, 3)


def test_a_cursor_comes_back_as_it_went() -> None:
    text = cursor_text(CURSOR)
    assert parse_cursor(text) == CURSOR
    assert parse_cursor("") is None
    greatest = Cursor("ff" * 8, 2**63 - 1, 2**63 - 1, 2**32 - 1)
    assert parse_cursor(cursor_text(greatest)) == greatest


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "a cursor",
        "ä" * 38,
        "\0",
        cursor_text(CURSOR) + "A",
        cursor_text(CURSOR)[:-1],
        cursor_text(CURSOR) + "=",
        # The last character has bits that mean nothing.
        cursor_text(CURSOR)[:-1] + "x",
        "A" * 60_000,
        base64.urlsafe_b64encode(b"\xff" * 28).decode().rstrip("="),
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(FieldInvalidError) as refusal:
        parse_cursor(text)
    assert refusal.value.facts == {"field": "cursor"}


def test_each_kind_has_a_value_of_its_own() -> None:
    assert set(KINDS) == set(EventKind)
    assert set(KINDS.values()) == set(pb.Event.Kind.values()) - {pb.Event.KIND_UNSPECIFIED}
    assert event_kinds([pb.Event.KIND_DROP, pb.Event.KIND_DROP]) == {EventKind.DROP}
    for wrong in (pb.Event.KIND_UNSPECIFIED, 99):
        with pytest.raises(FieldInvalidError):
            event_kinds([wrong])


def test_an_event_has_its_resource_name_time_and_cursor() -> None:
    machine = make_machine("d", "Big Drink", ())
    message = event_message(Event(EventKind.MACHINE, machine, "root"), 5_000, CURSOR)
    assert (message.name, message.machine.name) == ("machines/d", "machines/d")
    assert (message.kind, message.actor) == (pb.Event.KIND_MACHINE, "root")
    assert message.event_time.seconds == 5
    assert message.cursor == cursor_text(CURSOR)
