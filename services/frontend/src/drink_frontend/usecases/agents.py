"""What machines' agents report about themselves and their boards.

That is their links and journals, second agents of a machine, and the slots and temperature of a
board.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from drink_frontend.domain.alarms import AlarmKind
from drink_frontend.domain.drop import Cause, DropEvent, State
from drink_frontend.domain.entities import AuditKind, AuditRecord, Drop, Machine, Reach
from drink_frontend.domain.ports import Clock
from drink_frontend.domain.stock import Sensor
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.advance import advance, machine_named, machine_on_link
from drink_frontend.usecases.audit import AgentRecords, Alarms
from drink_frontend.usecases.drop_traces import NO_TRACES, DropTraces
from drink_frontend.usecases.journals import Journals
from drink_frontend.usecases.temperatures import Temperatures

log = structlog.get_logger(__name__)

LOOK_BACK = 100
"""Newest link openings, of all machines, among which an agent is looked for. Two agents of one
machine are noticed at their third change, unless so many other links were opened meanwhile."""


@dataclass(frozen=True, slots=True)
class LinkOpening:
    """What a new link starts with.

    Attributes:
        epoch: Its number, higher than any before it.
        wanted: Drops whose outcome the frontend does not have.
        lost: Drops that became UNKNOWN with it.
    """

    epoch: int
    wanted: tuple[str, ...]
    lost: tuple[Drop, ...] = ()


class Agents:
    """What agents report about themselves and their boards.

    Args:
        storage: The database.
        clock: Time.
        journals: How far the agents' journals have come.
        alarms: Limits the audit records that agents can cause without end, and counts the others.
        frontend: Id of this frontend's process.
        temperatures: Keeps what the boards' thermometers show.
        two_agents_alarm_s: Seconds between alarms about two agents of one machine.
        traces: Makes the drops' spans.
    """

    def __init__(
        self,
        storage: Database,
        clock: Clock,
        journals: Journals,
        alarms: Alarms,
        frontend: str,
        *,
        temperatures: Temperatures,
        two_agents_alarm_s: float = 3600,
        traces: DropTraces = NO_TRACES,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._journals = journals
        self._alarms = alarms
        self._temperatures = temperatures
        self._frontend = frontend
        self._two_agents_alarm_s = two_agents_alarm_s
        self._traces = traces
        self._unlisted: dict[str, tuple[int, ...]] = {}

    async def open_link(
        self,
        machine: str,
        journal: tuple[str, int],
        reach: Reach,
        agent: Mapping[str, str],
    ) -> LinkOpening:
        """Starts a machine's next epoch.

        A journal that is another one, or that has fewer records than were seen of it, proves
        nothing about what was dispatched before: those drops become UNKNOWN.

        Args:
            machine: The machine.
            journal: Id of its agent's journal, and number of the last durable record in it.
            reach: How far a command gets on the link.
            agent: What else the agent reports about itself, for the audit log: `agent_version`.

        Raises:
            MachineNotFoundError: there is no such machine.
        """
        now_ms = self._clock.now_ms()
        journal_id, journal_sequence = journal
        heard = self._journals.take(machine)
        recordable = self._alarms.recordable(machine)

        def open_link(
            tx: Transaction,
        ) -> tuple[LinkOpening, list[AuditKind], dict[str, Any] | None]:
            records = AgentRecords(tx, machine, now_ms, recordable)
            if heard is not None:
                tx.machines.saw_journal(machine, *heard)
            known = machine_named(tx, machine)
            wanted, lost = _wanted(tx, machine), list[Drop]()
            if not _journal_intact(known, journal_id, journal_sequence):
                kept = records.allows(AuditKind.JOURNAL_REPLACED)
                lost = _lose_proof(
                    tx,
                    known,
                    wanted,
                    now_ms,
                    journal_id=journal_id,
                    journal_sequence=journal_sequence,
                    recorded=kept or bool(wanted),
                )
                wanted = []
            epoch = tx.machines.open_link(
                machine,
                journal_id,
                journal_sequence,
                self._frontend,
                reach,
                now_ms=now_ms,
                agent_version=agent.get("agent_version") or None,
            )
            rivals = _record_rivals(tx, machine, agent, now_ms, self._two_agents_alarm_s)
            records.add(AuditKind.LINK_OPENED, {"epoch": epoch, "journal_id": journal_id, **agent})
            opening = LinkOpening(epoch, tuple(drop.id for drop in wanted), tuple(lost))
            return opening, records.caused, rivals

        try:
            opening, caused, rivals = await self._storage.write(open_link)
        except BaseException:
            if heard is not None:
                self._journals.saw(machine, heard)
            raise
        self._alarms.caused(machine, caused, recordable)
        self._traces.ended(*opening.lost)
        if rivals is not None:
            log.error("two_agents", machine=machine, **rivals)
        return opening

    def count_alarm(self, machine: str, kind: AlarmKind, facts: dict[str, Any]) -> None:
        """Counts an alarm for operators."""
        self._alarms.count(machine, kind, facts)

    def keep_journal(self, machine: str, journal: tuple[str, int]) -> None:
        """Stores the length of an agent's journal soon, as `Journals` describes.

        Args:
            machine: Whose agent's.
            journal: Id of the journal, and number of its last durable record.
        """
        self._journals.saw(machine, journal)

    def link_ended(self, machine: str, epoch: int) -> None:
        """Stores journal lengths at once, since the next link may come with an older copy."""
        self._journals.flush()
        self._temperatures.ended(machine, epoch)

    async def keep_status(
        self,
        machine: str,
        epoch: int,
        sensors: Mapping[int, Sensor],
        temperature_celsius: float | None,
        *,
        complete: bool = False,
        firmware_version: str = "",
    ) -> None:
        """Stores the sensors, temperature and version that a machine's board reports.

        A sensor closes and opens its slot; it never changes a count. One that disagrees with the
        count is kept in the audit log for a person to look at, and so are slots that the machine
        sells and the board does not list: commands for those are refused by the agent.

        Args:
            machine: The machine.
            epoch: The link that reports it.
            sensors: By slot.
            temperature_celsius: None without a thermometer.
            complete: Whether the board has listed all its slots.
            firmware_version: Empty if the board does not report it, or has not yet.

        Raises:
            LinkSupersededError: `epoch` is not the machine's newest link.
        """
        now_ms = self._clock.now_ms()

        recordable = self._alarms.recordable(machine)

        def keep(tx: Transaction) -> tuple[list[AuditKind], tuple[int, ...]]:
            records = AgentRecords(tx, machine, now_ms, recordable)
            machine_on_link(tx, machine, epoch)
            known = tx.machines.get(machine)
            assert known is not None
            if temperature_celsius != known.temperature_celsius:
                tx.machines.set_temperature(machine, temperature_celsius, now_ms)
            # A board that is not complete may report its version later.
            firmware = firmware_version or (None if complete else known.firmware_version)
            if firmware != known.firmware_version:
                tx.machines.set_firmware(machine, firmware)
            unlisted = _unlisted(known, sensors) if complete else ()
            if unlisted and unlisted != self._unlisted.get(machine):
                lists = {"slots": list(unlisted), "listed": sorted(sensors)}
                records.add(AuditKind.SLOT_UNLISTED, lists)
            for slot in known.slots:
                former = Sensor.UNSPECIFIED if slot.number in unlisted else slot.sensor
                sensor = sensors.get(slot.number, former)
                if sensor is slot.sensor:
                    continue
                tx.machines.update_slot(machine, slot.number, now_ms, sensor=sensor)
                claims_empty = sensor is Sensor.EMPTY and slot.on_hand > 0
                claims_stocked = (
                    sensor is Sensor.STOCKED and not slot.on_hand + slot.reserved + slot.unknown
                )
                if claims_empty or claims_stocked:
                    claim = {"slot": slot.number, "sensor": sensor, "on_hand": slot.on_hand}
                    records.add(AuditKind.SENSOR_CONTRADICTED, claim)
            return records.caused, unlisted

        caused, unlisted = await self._storage.write(keep)
        self._temperatures.saw(machine, epoch, temperature_celsius)
        if complete:
            self._unlisted[machine] = unlisted
        self._alarms.caused(machine, caused, recordable)


def _wanted(tx: Transaction, machine: str) -> list[Drop]:
    """The machine's drops whose outcome its agent may still report."""
    lost = (
        drop for drop in tx.drops.in_state(State.UNKNOWN, machine) if drop.cause is Cause.AGENT_LOST
    )
    return [*tx.drops.in_state(State.DISPATCHED, machine), *lost]


def _unlisted(machine: Machine, sensors: Mapping[int, Sensor]) -> tuple[int, ...]:
    """Slots that the machine sells and its board does not list; none if it lists none at all."""
    sold = (slot.number for slot in machine.slots if slot.enabled)
    return tuple(number for number in sold if sensors and number not in sensors)


def _journal_intact(machine: Machine, journal_id: str, journal_sequence: int) -> bool:
    if machine.journal_id is None:
        return True
    return machine.journal_id == journal_id and journal_sequence >= machine.journal_sequence


def _lose_proof(
    tx: Transaction,
    machine: Machine,
    drops: list[Drop],
    now_ms: int,
    *,
    journal_id: str,
    journal_sequence: int,
    recorded: bool,
) -> list[Drop]:
    cause = Cause.JOURNAL_REPLACED
    lost = [
        advance(tx, drop, DropEvent.LOSE, cause, actor="frontend", now_ms=now_ms).drop
        for drop in drops
    ]
    if not recorded:
        return lost
    tx.audit.add(
        AuditRecord(
            kind=AuditKind.JOURNAL_REPLACED,
            at_ms=now_ms,
            actor="frontend",
            machine=machine.name,
            facts={
                "journal_id": journal_id,
                "journal_sequence": journal_sequence,
                "known_journal_id": machine.journal_id,
                "known_journal_sequence": machine.journal_sequence,
                "drops": [drop.id for drop in drops],
            },
        )
    )
    return lost


def _record_rivals(
    tx: Transaction, machine: str, agent: Mapping[str, str], now_ms: int, period_s: float
) -> dict[str, Any] | None:
    """Records an alarm if another agent runs as the machine's agent too, once in a period.

    Args:
        tx: The unit of work, before it records the opening of the new link.
        machine: The machine.
        agent: What is known of the agent that opens a link: `boot_id`, `address`.
        now_ms: The time.
        period_s: Seconds between alarms of one machine.

    Returns:
        The recorded facts, for the log; None if no alarm was recorded.
    """
    rivals = _rivals(tx, machine, agent.get("boot_id", ""), now_ms)
    if rivals is None or _was_told(tx, machine, now_ms, period_s):
        return None
    facts = {"address": agent.get("address", ""), **rivals}
    tx.audit.add(
        AuditRecord(AuditKind.TWO_AGENTS, now_ms, "frontend", machine=machine, facts=facts)
    )
    return facts


def _rivals(tx: Transaction, machine: str, boot_id: str, now_ms: int) -> dict[str, Any] | None:
    """The other runs of agents of the machine, if there are any.

    Each run of an agent has a boot id of its own. One that comes back after another was linked is
    still running, and so is not the one that replaced it.
    """
    opened = [
        record
        for record in tx.audit.list(kinds=(AuditKind.LINK_OPENED,), limit=LOOK_BACK)
        if record.machine == machine
    ]
    runs = [record.facts.get("boot_id") for record in opened]
    if boot_id not in runs or runs[0] == boot_id:
        return None
    between = opened[: runs.index(boot_id)]
    others = [each for each in between if each.facts.get("boot_id") != boot_id]
    return {
        "boot_id": boot_id,
        "others": sorted({str(each.facts.get("boot_id")) for each in others}),
        "other_addresses": sorted({str(each.facts.get("address", "")) for each in others} - {""}),
        "changes": len(others) + 1,
        "within_s": max(0, now_ms - opened[runs.index(boot_id)].at_ms) // 1000,
    }


def _was_told(tx: Transaction, machine: str, now_ms: int, period_s: float) -> bool:
    since_ms = now_ms - period_s * 1000
    return any(
        record.machine == machine and since_ms < record.at_ms <= now_ms
        for record in tx.audit.list(kinds=(AuditKind.TWO_AGENTS,), limit=LOOK_BACK)
    )
