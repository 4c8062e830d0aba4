"""Alarms: what an operator should examine, one row for each kind and subject while it is open."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from drink_frontend.domain.entities import AuditKind, AuditRecord, Drop


class AlarmKind(StrEnum):
    """What an alarm is about. Those named like an audit kind are raised by its records."""

    DROP_UNKNOWN = "DROP_UNKNOWN"
    """Nobody can tell what became of a drop; its credits are held."""
    DROP_CONTRADICTED = "DROP_CONTRADICTED"
    """Evidence was reported against a settled drop."""
    ORPHAN_RESULT = "ORPHAN_RESULT"
    """An agent reported a drop that is not in the database."""
    JOURNAL_REPLACED = "JOURNAL_REPLACED"
    """A machine's agent connected with another journal, or with an older state of its journal."""
    TWO_AGENTS = "TWO_AGENTS"
    """Two agents use one machine's token or certificate, and replace each other's link."""
    SENSOR_CONTRADICTED = "SENSOR_CONTRADICTED"
    """A slot's sensor disagrees with its count or with the board's answer."""
    SLOT_UNLISTED = "SLOT_UNLISTED"
    """A machine sells a slot that its board does not list."""
    LINK_FLOODED = "LINK_FLOODED"
    """A link was ended because its agent sent too many messages."""
    LINK_REFUSED = "LINK_REFUSED"
    """A link was refused because the machine's agents connect too often."""
    RECORDS_COUNTED = "RECORDS_COUNTED"
    """The agent caused more audit records than are stored; the others were counted."""
    CARDS_GUESSED = "CARDS_GUESSED"
    """A kiosk read more unknown cards than people hold there by mistake."""
    MACHINE_OFFLINE = "MACHINE_OFFLINE"
    """No agent is connected for a machine that is in service."""
    BOARD_DOWN = "BOARD_DOWN"
    """A machine's agent is connected, and its board does not answer."""
    SLOT_LOW = "SLOT_LOW"
    """The items in a slot have come down to its mark."""
    SLOT_EMPTY = "SLOT_EMPTY"
    """A slot that sells has no item."""
    SLOT_DISABLED = "SLOT_DISABLED"
    """A slot has items by its count, and its sensor reports that it is empty, so it sells none."""
    TOO_WARM = "TOO_WARM"
    """A machine's thermometer shows more than the upper mark."""
    TOO_COLD = "TOO_COLD"
    """A machine's thermometer shows less than the lower mark."""
    AGENT_DISK = "AGENT_DISK"
    """Little of the disk with an agent's journal is free."""
    CERTIFICATE_EXPIRES = "CERTIFICATE_EXPIRES"
    """A certificate with which a frontend serves ends soon, or has ended."""
    BOOKS_UNSOUND = "BOOKS_UNSOUND"
    """The check of the books has found that they disagree."""
    BACKUP_OLD = "BACKUP_OLD"
    """No backup was made for longer than the setting allows."""
    DIRECTORY_AWAY = "DIRECTORY_AWAY"
    """The directory could not be asked who is still there."""
    DIRECTORY_SHRUNK = "DIRECTORY_SHRUNK"
    """The directory knows far fewer of the linked persons than before, so that nobody's account was
    closed."""
    CHANNEL_FAILED = "CHANNEL_FAILED"
    """A channel by which people are told of alarms has failed several times."""


class Severity(StrEnum):
    """How soon an alarm needs somebody."""

    INFO = "INFO"
    """At the next visit."""
    WARNING = "WARNING"
    """Today: something does not work, or soon will not."""
    CRITICAL = "CRITICAL"
    """Now: goods spoil, or the books may be wrong."""


SEVERITIES: Mapping[AlarmKind, Severity] = {
    AlarmKind.DROP_UNKNOWN: Severity.WARNING,
    AlarmKind.DROP_CONTRADICTED: Severity.CRITICAL,
    AlarmKind.ORPHAN_RESULT: Severity.CRITICAL,
    AlarmKind.JOURNAL_REPLACED: Severity.WARNING,
    AlarmKind.TWO_AGENTS: Severity.WARNING,
    AlarmKind.SENSOR_CONTRADICTED: Severity.WARNING,
    AlarmKind.SLOT_UNLISTED: Severity.WARNING,
    AlarmKind.LINK_FLOODED: Severity.WARNING,
    AlarmKind.LINK_REFUSED: Severity.WARNING,
    AlarmKind.RECORDS_COUNTED: Severity.WARNING,
    AlarmKind.CARDS_GUESSED: Severity.WARNING,
    AlarmKind.MACHINE_OFFLINE: Severity.WARNING,
    AlarmKind.BOARD_DOWN: Severity.WARNING,
    AlarmKind.SLOT_LOW: Severity.INFO,
    AlarmKind.SLOT_EMPTY: Severity.WARNING,
    AlarmKind.SLOT_DISABLED: Severity.WARNING,
    AlarmKind.TOO_WARM: Severity.CRITICAL,
    AlarmKind.TOO_COLD: Severity.CRITICAL,
    AlarmKind.AGENT_DISK: Severity.WARNING,
    AlarmKind.CERTIFICATE_EXPIRES: Severity.WARNING,
    AlarmKind.BOOKS_UNSOUND: Severity.CRITICAL,
    AlarmKind.BACKUP_OLD: Severity.WARNING,
    AlarmKind.DIRECTORY_AWAY: Severity.WARNING,
    AlarmKind.DIRECTORY_SHRUNK: Severity.WARNING,
    AlarmKind.CHANNEL_FAILED: Severity.WARNING,
}
"""The severity of each kind."""


class AlarmState(StrEnum):
    """How far an alarm has been examined."""

    OPEN = "OPEN"
    """Nobody has acknowledged it."""
    ACKNOWLEDGED = "ACKNOWLEDGED"
    """Somebody examines it."""
    CLOSED = "CLOSED"
    """Its cause is gone. What happens again opens another alarm."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that happened once or more often since the alarm was opened.

    Attributes:
        kind: What happened.
        subject: Resource name of the drop, machine, slot, kiosk or frontend to which it happened;
            `house` if it is none of these.
        machine: Name of that machine, or of the machine of that drop, slot or kiosk; None if it is
            about no machine.
        opened_ms: When it happened first.
        last_ms: When it happened last.
        count: How often it happened.
        facts: Details of the last time. JSON values; no secrets.
        acknowledged_by: Who acknowledged it; None before.
        acknowledged_ms: When; None before.
        closed_by: Who closed it, or settled its drop; None before.
        closed_ms: When; None before.
        sequence: Order of opening, counted by the database; 0 before it is stored.
    """

    kind: AlarmKind
    subject: str
    machine: str | None
    opened_ms: int
    last_ms: int
    count: int
    facts: dict[str, Any]
    acknowledged_by: str | None = None
    acknowledged_ms: int | None = None
    closed_by: str | None = None
    closed_ms: int | None = None
    sequence: int = 0

    @property
    def severity(self) -> Severity:
        """How soon it needs somebody."""
        return SEVERITIES[self.kind]

    @property
    def state(self) -> AlarmState:
        """How far it has been examined."""
        if self.closed_ms is not None:
            return AlarmState.CLOSED
        return AlarmState.OPEN if self.acknowledged_ms is None else AlarmState.ACKNOWLEDGED


RAISED_BY = {kind: AlarmKind(kind.value) for kind in AuditKind if kind.value in list(AlarmKind)}
"""The kind of the alarm that an audit record of each of these kinds raises."""


HOUSE = "house"
"""The subject of alarms about the whole installation."""


def drop_subject(drop_id: str) -> str:
    """A drop, as the subject of alarms and events."""
    return f"drops/{drop_id}"


def machine_subject(machine: str) -> str:
    """A machine, as the subject of alarms and events."""
    return f"machines/{machine}"


def slot_subject(machine: str, number: int) -> str:
    """A slot, as the subject of alarms."""
    return f"{machine_subject(machine)}/slots/{number}"


def frontend_subject(name: str) -> str:
    """A frontend, as the subject of alarms."""
    return f"frontends/{name}"


def raised_by(record: AuditRecord) -> Alarm | None:
    """The alarm that an audit record raises or repeats, if it does."""
    kind = RAISED_BY.get(record.kind)
    if kind is None:
        return None
    assert record.machine is not None, "agents cause all of these"
    subject, slot = machine_subject(record.machine), record.facts.get("slot")
    if kind is AlarmKind.DROP_CONTRADICTED and record.drop_id is not None:
        subject = drop_subject(record.drop_id)
    elif kind is AlarmKind.SENSOR_CONTRADICTED and slot is not None:
        subject = slot_subject(record.machine, slot)
    return Alarm(kind, subject, record.machine, record.at_ms, record.at_ms, 1, record.facts)


def about_unknown(drop: Drop, now_ms: int) -> Alarm:
    """The alarm about a drop in the state UNKNOWN."""
    facts = {"cause": drop.cause, "price": drop.price, "slot": drop.slot, "item": drop.item}
    subject = drop_subject(drop.id)
    return Alarm(AlarmKind.DROP_UNKNOWN, subject, drop.machine, now_ms, now_ms, 1, facts)
