"""Alarms, as administrators see and end them."""

from collections.abc import Sequence

from drink_frontend.domain.alarms import (
    Alarm,
    AlarmKind,
    AlarmState,
    about_unknown,
    drop_subject,
)
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import AuditKind, AuditRecord, Drop
from drink_frontend.domain.errors import AlarmClosedError, AlarmNotFoundError, AlarmStandsError
from drink_frontend.domain.limits import PAGE_MAX, check_text
from drink_frontend.domain.ports import Clock
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction

FRONTEND = "frontend"
"""Who closes an alarm whose cause a frontend has seen to be gone, for people."""


class AlarmReview:
    """Lists alarms, and stores who examines and closes them.

    Args:
        storage: The database.
        clock: Time.
    """

    def __init__(self, storage: Database, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def list(
        self,
        states: Sequence[AlarmState] = (),
        *,
        kinds: Sequence[AlarmKind] = (),
        machine: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> Sequence[Alarm]:
        """Alarms with a sequence below `before`, the newest first.

        Args:
            states: In these states; empty for all that are not closed.
            kinds: Of these kinds; empty for all kinds.
            machine: Of that machine; None for all machines.
            before: Exclusive upper limit of the sequence; None for no limit.
            limit: Most alarms.
        """
        return await self._storage.read(
            lambda tx: tx.alarms.list(
                states, kinds=kinds, machine=machine, before=before, limit=limit
            )
        )

    async def acknowledge(self, actor: str, sequence: int) -> Alarm:
        """Stores that somebody examines an alarm; who did so first stays.

        Raises:
            AlarmNotFoundError: there is no such alarm.
            AlarmClosedError: it is closed.
        """
        now_ms = self._clock.now_ms()

        def acknowledge(tx: Transaction) -> Alarm:
            alarm = _alarm(tx, sequence)
            if alarm.state is AlarmState.CLOSED:
                raise AlarmClosedError("the alarm is closed")
            if alarm.state is AlarmState.ACKNOWLEDGED:
                return alarm
            tx.alarms.acknowledge(sequence, actor, now_ms)
            return record_change(tx, actor, alarm, now_ms)

        return await self._storage.write(acknowledge)

    async def close(self, actor: str, sequence: int, why: str = "") -> Alarm:
        """Closes an alarm whose cause is gone; a second time changes nothing.

        Args:
            actor: Who closes it.
            sequence: The alarm.
            why: What was found, for the audit log; may be empty.

        Raises:
            FieldInvalidError: `why` is longer than a line.
            AlarmNotFoundError: there is no such alarm.
            AlarmStandsError: it is about a drop that is still UNKNOWN.
        """
        check_text(why, "why")
        now_ms = self._clock.now_ms()

        def close(tx: Transaction) -> Alarm:
            alarm = _alarm(tx, sequence)
            if alarm.state is AlarmState.CLOSED:
                return alarm
            if alarm.kind is AlarmKind.DROP_UNKNOWN:
                raise AlarmStandsError("the alarm ends when the drop is resolved")
            tx.alarms.close(sequence, actor, now_ms)
            return record_change(tx, actor, alarm, now_ms, why)

        return await self._storage.write(close)

    async def catch_up(self) -> None:
        """Raises and closes alarms about UNKNOWN drops that a program of release 0.1.0 left out."""
        now_ms = self._clock.now_ms()

        def catch_up(tx: Transaction) -> None:
            without, stale = _left_out(tx)
            for drop in without:
                tx.alarms.add(about_unknown(drop, drop.settled_ms or now_ms))
            for alarm in stale:
                tx.alarms.close(alarm.sequence, FRONTEND, now_ms)

        if any(await self._storage.read(_left_out)):
            await self._storage.write(catch_up)


def _left_out(tx: Transaction) -> tuple[list[Drop], list[Alarm]]:
    """UNKNOWN drops without an open alarm, and open alarms about drops that are settled."""
    unknown = {drop_subject(drop.id): drop for drop in tx.drops.in_state(State.UNKNOWN)}
    raised: dict[str, Alarm] = {}
    before = None
    while page := tx.alarms.list(kinds=(AlarmKind.DROP_UNKNOWN,), before=before, limit=PAGE_MAX):
        raised |= {alarm.subject: alarm for alarm in page}
        before = page[-1].sequence
    without = [drop for subject, drop in unknown.items() if subject not in raised]
    return without, [alarm for subject, alarm in raised.items() if subject not in unknown]


def _alarm(tx: Transaction, sequence: int) -> Alarm:
    alarm = tx.alarms.get(sequence)
    if alarm is None:
        raise AlarmNotFoundError("no such alarm")
    return alarm


def close_for_frontend(tx: Transaction, alarm: Alarm, now_ms: int) -> None:
    """Closes an open alarm whose cause is gone, and records that."""
    tx.alarms.close(alarm.sequence, FRONTEND, now_ms)
    record_change(tx, FRONTEND, alarm, now_ms)


def record_change(tx: Transaction, actor: str, before: Alarm, now_ms: int, why: str = "") -> Alarm:
    """Records a change of an alarm in the audit log; returns the changed alarm.

    Args:
        tx: The unit of work that has changed it.
        actor: Who did.
        before: The alarm before.
        now_ms: Now, for people.
        why: What was found; may be empty.
    """
    after = _alarm(tx, before.sequence)
    facts = {
        "alarm": before.sequence,
        "kind": before.kind,
        "subject": before.subject,
        "from": before.state,
        "to": after.state,
    }
    if why:
        facts["why"] = why
    tx.audit.add(
        AuditRecord(AuditKind.ALARM_CHANGED, now_ms, actor, machine=before.machine, facts=facts)
    )
    tx.touched.notes.acted(actor, before.subject)
    return after
