"""Converts between drink.v1 messages and the domain's events and cursors."""

import base64
import binascii
import struct
from collections.abc import Iterable

from drink.v1 import event_service_pb2 as pb
from drink_frontend.domain.alarms import Alarm
from drink_frontend.domain.entities import Account, AuditRecord, Drop, Machine, Slot
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.events import Cursor, Event, EventKind
from drink_frontend.domain.items import Item
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.rpc.alarm_conversion import alarm_message, alarm_name
from drink_frontend.rpc.conversion import (
    account_message,
    account_name,
    drop_name,
    item_name,
    machine_message,
    machine_name,
    slot_message,
    slot_name,
    timestamp,
)
from drink_frontend.rpc.drop_conversion import drop_message, record_message
from drink_frontend.rpc.item_conversion import item_message
from drink_frontend.rpc.kiosk_conversion import kiosk_message, kiosk_name

KINDS = {kind: pb.Event.Kind.Value(f"KIND_{kind}") for kind in EventKind}
"""The drink.v1 value of each kind of event."""

_KINDS_BY_WIRE: dict[int, EventKind] = {wire: kind for kind, wire in KINDS.items()}
_PACKED = struct.Struct(">8sQQI")


def cursor_text(cursor: Cursor) -> str:
    """A cursor as clients keep it, in URL-safe characters."""
    packed = _PACKED.pack(
        bytes.fromhex(cursor.mark), cursor.sequence, cursor.at_ms, cursor.position
    )
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def parse_cursor(text: str, field: str = "cursor") -> Cursor | None:
    """The cursor in a request; None for an empty one.

    Args:
        text: The cursor.
        field: Of the request, for the error.

    Raises:
        FieldInvalidError: the text was never a cursor.
    """
    if not text:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        packed = base64.b64decode(padded, altchars=b"-_", validate=True)
        mark, sequence, at_ms, position = _PACKED.unpack(packed)
    except (binascii.Error, struct.error, UnicodeEncodeError):
        raise FieldInvalidError(field, "is not one of this service") from None
    cursor = Cursor(mark.hex(), sequence, at_ms, position)
    # Compared as text, since some bytes have more than one encoding in Base64.
    if sequence >= 2**63 or at_ms >= 2**63 or text != cursor_text(cursor):
        raise FieldInvalidError(field, "is not one of this service")
    return cursor


def event_kinds(kinds: Iterable[int]) -> frozenset[EventKind]:
    """The kinds in a request, each one once."""
    wanted = set(kinds)
    if not wanted <= _KINDS_BY_WIRE.keys():
        raise FieldInvalidError("kinds", "must be kinds of events")
    return frozenset(_KINDS_BY_WIRE[kind] for kind in wanted)


def event_message(event: Event, at_ms: int, cursor: Cursor) -> pb.Event:
    """An event as a drink.v1 message."""
    message = pb.Event(
        cursor=cursor_text(cursor),
        kind=KINDS[event.kind],
        event_time=timestamp(at_ms),
        actor=event.actor or "",
    )
    match event.state:
        case Drop() as drop:
            message.name = drop_name(drop.id)
            message.drop.CopyFrom(drop_message(drop))
        case AuditRecord() as record:
            message.name = drop_name(record.drop_id or "")
            message.drop_record.CopyFrom(record_message(record))
        case Account() as account:
            message.name = account_name(account.name)
            message.account.CopyFrom(account_message(account))
        case Machine() as machine:
            message.name = machine_name(machine.name)
            message.machine.CopyFrom(machine_message(machine))
        case Slot() as slot:
            message.name = slot_name(slot.machine, slot.number)
            message.slot.CopyFrom(slot_message(slot))
        case Item() as item:
            message.name = item_name(item.number)
            message.item.CopyFrom(item_message(item))
        case Alarm() as alarm:
            message.name = alarm_name(alarm.sequence)
            message.alarm.CopyFrom(alarm_message(alarm))
        case Kiosk() as kiosk:
            message.name = kiosk_name(kiosk.sequence)
            message.kiosk.CopyFrom(kiosk_message(kiosk, at_ms))
    return message
