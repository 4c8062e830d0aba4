"""The audit log: notes of people, records that agents cause within limits, and alarm counts."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import structlog

from drink_frontend.domain.alarms import Alarm, AlarmKind, machine_subject
from drink_frontend.domain.entities import AuditKind, AuditRecord, Drop
from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.domain.limits import check_text
from drink_frontend.domain.ports import Clock
from drink_frontend.domain.rate_limiter import RateLimiter
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.settings import AlarmSettings

log = structlog.get_logger(__name__)

LIMITED_KINDS = (
    AuditKind.LINK_OPENED,
    AuditKind.JOURNAL_REPLACED,
    AuditKind.ORPHAN_RESULT,
    AuditKind.DROP_CONTRADICTED,
    AuditKind.SENSOR_CONTRADICTED,
    AuditKind.SLOT_UNLISTED,
    AuditKind.DROP_MOVED,
)
"""Audit records that an agent can cause without end. Of DROP_MOVED, only the return of a drop whose
command did not arrive is limited: it can be dispatched and returned again and again."""

RECORD_KEYS_MAX = 100_000
"""Machines times kinds of records of which the rate is remembered."""

EVIDENCE_MAX = 2_048
"""Bytes of the lines of evidence kept with a record that settles no drop, as they are stored."""


def shortened(evidence: dict[str, Any]) -> dict[str, Any]:
    """Shortens evidence to the first lines that fit, and the number of those left out.

    Args:
        evidence: JSON values; `lines` is a list of texts, and the other values are small.
    """
    lines, size = evidence.get("lines", []), 0
    for number, line in enumerate(lines):
        size += len(json.dumps(line, ensure_ascii=False).encode())
        if size > EVIDENCE_MAX:
            return {**evidence, "lines": lines[:number], "lines_left_out": len(lines) - number}
    return evidence


class AgentRecords:
    """Writes the audit records that an agent causes in one unit of work, as far as is allowed.

    Args:
        tx: The unit of work.
        machine: The agent's machine.
        now_ms: Now, for people.
        recordable: The kinds that may be kept.

    Attributes:
        caused: The kind of each record, kept or not.
    """

    def __init__(
        self, tx: Transaction, machine: str, now_ms: int, recordable: frozenset[AuditKind]
    ) -> None:
        self._tx = tx
        self._machine = machine
        self._now_ms = now_ms
        self._recordable = recordable
        self.caused: list[AuditKind] = []

    def allows(self, kind: AuditKind) -> bool:
        """Whether a record of the kind is kept; counts it as caused."""
        self.caused.append(kind)
        return kind in self._recordable

    def add(self, kind: AuditKind, facts: dict[str, Any], drop: Drop | None = None) -> None:
        """Writes a record, about a drop or not, if it is allowed."""
        if self.allows(kind):
            self._tx.audit.add(
                AuditRecord(
                    kind=kind,
                    at_ms=self._now_ms,
                    actor=f"agent:{self._machine}",
                    drop_id=drop.id if drop else None,
                    machine=self._machine,
                    account=drop.account if drop else None,
                    facts=facts,
                )
            )


class Alarms:
    """Decides what is recorded and what is only counted, and keeps the counts.

    Counts are collected in memory and written every few seconds: however often something happens,
    it costs one row, and one change of it per `keep_s`. What was not written yet is lost when the
    process is killed.

    Args:
        storage: Where the counts are kept.
        clock: Time.
        settings: How much is recorded, and how often counts are written.
    """

    def __init__(self, storage: Database, clock: Clock, settings: AlarmSettings) -> None:
        self._storage = storage
        self._clock = clock
        self._settings = settings
        # A key for each machine and kind of record.
        self._records = RateLimiter(
            burst=settings.records_burst,
            interval_s=settings.records_interval_s,
            keys_max=RECORD_KEYS_MAX,
        )
        self._counted: dict[tuple[str, AlarmKind], Alarm] = {}
        self._news = asyncio.Event()

    def recordable(self, machine: str) -> frozenset[AuditKind]:
        """The kinds of audit records that the machine's agents may cause now."""
        now = self._clock.monotonic()
        return frozenset(
            kind for kind in LIMITED_KINDS if self._records.wait_s((machine, kind), now) == 0
        )

    def caused(
        self, machine: str, kinds: Iterable[AuditKind], recordable: frozenset[AuditKind]
    ) -> None:
        """Counts the audit records that the machine's agents have caused, kept or not.

        Args:
            machine: The machine.
            kinds: Of each record, once it is committed.
            recordable: The kinds that were kept.
        """
        for kind in kinds:
            if kind in recordable:
                self._records.take_if_free((machine, kind), self._clock.monotonic())
            else:
                self.count(machine, AlarmKind.RECORDS_COUNTED, {"last_kind": kind})

    def count(self, machine: str, kind: AlarmKind, facts: dict[str, Any]) -> None:
        """Counts one occurrence; its facts replace those of the one before."""
        now_ms = self._clock.now_ms()
        earlier = self._counted.get((machine, kind))
        self._counted[machine, kind] = Alarm(
            kind,
            machine_subject(machine),
            machine,
            earlier.opened_ms if earlier else now_ms,
            now_ms,
            earlier.count + 1 if earlier else 1,
            facts,
        )
        self._news.set()

    async def run(self) -> None:
        """Keeps the counts, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self.keep()
            except StorageUnavailableError:
                log.warning("alarms_postponed")
                self._news.set()
            await asyncio.sleep(self._settings.keep_s)

    async def keep(self) -> None:
        """Keeps what was counted.

        Raises:
            StorageUnavailableError: the database does not answer; the counts stay in memory.
        """
        counted, self._counted = self._counted, {}
        if not counted:
            return

        def keep(tx: Transaction) -> None:
            for alarm in counted.values():
                assert alarm.machine is not None, "agents cause all of these"
                if tx.machines.alone(alarm.machine) is not None:
                    tx.alarms.add(alarm)

        try:
            await self._storage.write(keep)
        except BaseException:
            for key, alarm in counted.items():
                self._restore(key, alarm)
            raise

    def _restore(self, key: tuple[str, AlarmKind], alarm: Alarm) -> None:
        """Puts back what could not be kept, before what was counted in the meantime."""
        later = self._counted.get(key)
        if later is not None:
            count = alarm.count + later.count
            alarm = replace(later, opened_ms=alarm.opened_ms, count=count)
        self._counted[key] = alarm


class Notes:
    """Notes of people in the audit log.

    Args:
        storage: The database.
        clock: Time.
    """

    def __init__(self, storage: Database, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def add(self, actor: str, words: str) -> None:
        """Records the words of a person in the audit log; they may be empty.

        Raises:
            FieldInvalidError: it is longer than a line.
        """
        record = AuditRecord(
            AuditKind.NOTE,
            self._clock.now_ms(),
            actor,
            facts={"words": check_text(words, "words")},
        )
        await self._storage.write(lambda tx: tx.audit.add(record))
