"""The agents' side of drops: taking the next one, and settling what agents report.

Everything an agent says is a fact about the past: it is taken on any link, any number of times and
in any order, and changes a drop at most once. Commands are given only on a machine's newest link.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from drink_frontend.domain.drop import AGENT_CAUSES, Cause, DropEvent, State, Verdict, reported
from drink_frontend.domain.entities import AlarmKind, AuditKind, AuditRecord, Drop, Machine, Reach
from drink_frontend.domain.errors import (
    LinkProtocolError,
    LinkSupersededError,
    MachineNotFoundError,
    RateLimitedError,
)
from drink_frontend.domain.ports import Clock
from drink_frontend.domain.stock import Sensor
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.advance import advance, dispatch
from drink_frontend.usecases.alarms import AgentRecords, Alarms, shortened
from drink_frontend.usecases.journals import Journals
from drink_frontend.usecases.rivals import notice_rivals

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LinkOpening:
    """What a new link starts with.

    Attributes:
        epoch: Its number, higher than any before it.
        wanted: Drops whose outcome the frontend does not have.
    """

    epoch: int
    wanted: tuple[str, ...]


class Dispatch:
    """The agents' side of drops.

    Args:
        storage: What is kept.
        clock: Time.
        journals: How far the agents' journals have come.
        alarms: Decides what is recorded of what agents can repeat without end.
        frontend: Id of this frontend's process.
        two_agents_alarm_s: Seconds between alarms of two agents of one machine.
    """

    def __init__(
        self,
        storage: Database,
        clock: Clock,
        journals: Journals,
        alarms: Alarms,
        frontend: str,
        *,
        two_agents_alarm_s: float = 3600,
    ) -> None:
        self._two_agents_alarm_s = two_agents_alarm_s
        self._storage = storage
        self._clock = clock
        self._journals = journals
        self._alarms = alarms
        self._frontend = frontend
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
            agent: What else the agent says of itself, for the audit log.

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
            known = _machine(tx, machine)
            wanted = [
                *tx.drops.in_state(State.DISPATCHED, machine),
                *(
                    drop
                    for drop in tx.drops.in_state(State.UNKNOWN, machine)
                    if drop.cause is Cause.AGENT_LOST
                ),
            ]
            if not _journal_intact(known, journal_id, journal_sequence):
                kept = records.allows(AuditKind.JOURNAL_REPLACED)
                _lose_proof(
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
                machine, journal_id, journal_sequence, self._frontend, reach
            )
            rivals = notice_rivals(tx, machine, agent, now_ms, self._two_agents_alarm_s)
            records.add(AuditKind.LINK_OPENED, {"epoch": epoch, "journal_id": journal_id, **agent})
            return LinkOpening(epoch, tuple(drop.id for drop in wanted)), records.caused, rivals

        try:
            opening, caused, rivals = await self._storage.write(open_link)
        except BaseException:
            if heard is not None:
                self._journals.saw(machine, heard)
            raise
        self._alarms.caused(machine, caused, recordable)
        if rivals is not None:
            log.error("two_agents", machine=machine, **rivals)
        return opening

    async def take(self, machine: str, epoch: int) -> Drop | None:
        """Commits that the machine's next drop is dispatched on link `epoch`, and returns it.

        None while an earlier drop of the machine has no outcome, when none waits, or when the
        machine is out of service.

        Raises:
            LinkSupersededError: `epoch` is not the machine's newest link.
        """
        now_ms = self._clock.now_ms()

        def take(tx: Transaction) -> Drop | None:
            known = _machine_on(tx, machine, epoch)
            drop = tx.drops.next_reserved(machine) if known.enabled else None
            return None if drop is None else dispatch(tx, drop, known, now_ms)

        return await self._storage.write(take)

    async def not_received(self, machine: str, epoch: int, drop_id: str) -> None:
        """Takes an agent's proof that a wanted drop's command never arrived.

        The drop waits for its turn again, or, if its buyer was told that its outcome is unknown,
        is settled as not dispensed.

        Raises:
            LinkSupersededError: `epoch` is not the machine's newest link, so nothing is proven.
            RateLimitedError: the machine's agents return too many drops. After
                `drops.silence_limit_s` the drop is UNKNOWN, and the next proof settles it.
        """
        now_ms = self._clock.now_ms()
        recordable = self._alarms.recordable(machine)

        def return_drop(tx: Transaction) -> bool:
            _machine_on(tx, machine, epoch)
            drop = tx.drops.get(drop_id)
            if drop is None or drop.machine != machine:
                raise LinkProtocolError("not a drop of this machine")
            if drop.state is State.DISPATCHED:
                if AuditKind.DROP_MOVED not in recordable:
                    raise RateLimitedError("too many drops are returned", retry_after_seconds=60)
                event = DropEvent.RETURN
            elif drop.cause is Cause.AGENT_LOST:
                event = DropEvent.PROVE_NOT_DISPENSED
            else:
                # Said before, or overtaken by a result: there is nothing left to prove.
                return False
            advance(tx, drop, event, Cause.NOT_RECEIVED, actor=f"agent:{machine}", now_ms=now_ms)
            return event is DropEvent.RETURN

        if await self._storage.write(return_drop):
            self._alarms.caused(machine, [AuditKind.DROP_MOVED], recordable)

    async def result(
        self,
        machine: str,
        drop_id: str,
        *,
        revision: int,
        outcome: State,
        cause: Cause,
        evidence: dict[str, Any],
        journal: tuple[str, int],
        epoch: int | None = None,
    ) -> Drop | None:
        """Settles a drop by what its agent reports, and takes the machine's next one with it.

        When it returns, the result is durable, and the dispatch of the drop that it returns.

        Args:
            machine: Whose agent reports.
            drop_id: The drop.
            revision: Of the result; one that was taken before changes nothing.
            outcome: DISPENSED, NOT_DISPENSED or UNKNOWN.
            cause: Why. An outcome for a reason that is not known here, as a newer agent's, is
                kept as UNKNOWN for a person to look at; so is one that rests on a sensor which is
                not declared independent of the command.
            evidence: What it rests on, JSON values.
            journal: Id of the agent's journal, and number of the result's record in it.
            epoch: The link on which the next drop may be dispatched, if it is still the machine's
                newest; None: on none.

        Raises:
            LinkProtocolError: an agent cannot say that.
        """
        if outcome not in AGENT_CAUSES or revision < 1:
            raise LinkProtocolError("not a result of an agent")
        now_ms = self._clock.now_ms()
        facts = {
            "revision": revision,
            "outcome": outcome,
            "reported_cause": cause,
            "evidence": evidence,
        }
        recordable = self._alarms.recordable(machine)

        def settle(tx: Transaction, records: AgentRecords) -> Verdict | None:
            tx.machines.saw_journal(machine, *journal)
            drop = tx.drops.get(drop_id)
            if drop is None or drop.machine != machine:
                orphan = {"drop": drop_id, **facts, "evidence": shortened(evidence)}
                records.add(AuditKind.ORPHAN_RESULT, orphan)
                return None
            if revision <= drop.revision:
                return Verdict.REPEATED
            if contradiction := evidence.get("contradiction"):
                claim = {"slot": drop.slot, "contradiction": contradiction}
                records.add(AuditKind.SENSOR_CONTRADICTED, claim, drop)
            event, why = _reading(drop, outcome, cause, evidence)
            return advance(
                tx,
                drop,
                event,
                why,
                actor=f"agent:{machine}",
                now_ms=now_ms,
                revision=revision,
                facts=facts if not drop.state.final else {**facts, "evidence": shortened(evidence)},
                contradictions=records,
            ).verdict

        def settle_and_take(
            tx: Transaction,
        ) -> tuple[Verdict | None, Drop | None, list[AuditKind]]:
            records = AgentRecords(tx, machine, now_ms, recordable)
            verdict = settle(tx, records)
            following = None if epoch is None else _take_next(tx, machine, epoch, now_ms)
            return verdict, following, records.caused

        verdict, following, caused = await self._storage.write(settle_and_take)
        self._journals.kept(machine, journal)
        self._alarms.caused(machine, caused, recordable)
        _log_report(machine, drop_id, outcome, cause, verdict)
        return following

    def alarm(self, machine: str, kind: AlarmKind, facts: dict[str, Any]) -> None:
        """Counts what an operator should hear of."""
        self._alarms.count(machine, kind, facts)

    def journal(self, machine: str, journal: tuple[str, int]) -> None:
        """Keeps, soon, how far an agent's journal has come; see `Journals`.

        Args:
            machine: Whose agent's.
            journal: Id of the journal, and number of its last durable record.
        """
        self._journals.saw(machine, journal)

    def link_ended(self) -> None:
        """Keeps at once what was heard of journals: the next link may come with an older copy."""
        self._journals.hurry()

    async def status(
        self,
        machine: str,
        epoch: int,
        sensors: Mapping[int, Sensor],
        temperature_celsius: float | None,
        *,
        complete: bool = False,
    ) -> None:
        """Keeps what a machine's board says of its slots and temperature.

        A sensor closes and opens its slot; it never changes a count. One that disagrees with the
        count is kept in the audit log for a person to look at, and so are slots that the machine
        sells and the board does not list: commands for those are refused by the agent.

        Args:
            machine: The machine.
            epoch: The link that says so.
            sensors: By slot.
            temperature_celsius: None without a thermometer.
            complete: Whether the board has listed all its slots.

        Raises:
            LinkSupersededError: `epoch` is not the machine's newest link, which knows better.
        """
        now_ms = self._clock.now_ms()

        recordable = self._alarms.recordable(machine)

        def keep(tx: Transaction) -> tuple[list[AuditKind], tuple[int, ...]]:
            records = AgentRecords(tx, machine, now_ms, recordable)
            _machine_on(tx, machine, epoch)
            known = tx.machines.get(machine)
            assert known is not None
            if temperature_celsius != known.temperature_celsius:
                tx.machines.set_temperature(machine, temperature_celsius)
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
        if complete:
            self._unlisted[machine] = unlisted
        self._alarms.caused(machine, caused, recordable)


def _unlisted(machine: Machine, sensors: Mapping[int, Sensor]) -> tuple[int, ...]:
    """Slots that the machine sells and its board does not list; none if it lists none at all."""
    sold = (slot.number for slot in machine.slots if slot.enabled)
    return tuple(number for number in sold if sensors and number not in sensors)


def _log_report(
    machine: str, drop_id: str, outcome: State, cause: Cause, verdict: Verdict | None
) -> None:
    level = log.info if verdict in {Verdict.MOVED, Verdict.REPEATED} else log.error
    level(
        "drop_reported",
        drop_id=drop_id,
        machine=machine,
        outcome=outcome,
        cause=cause,
        verdict=verdict or "ORPHAN",
    )


def _reading(
    drop: Drop, outcome: State, cause: Cause, evidence: Mapping[str, Any]
) -> tuple[DropEvent, Cause]:
    """What a report says of the drop."""
    if (outcome, cause) == (State.DISPENSED, Cause.SENSOR) and not evidence.get(
        "sensor_independent"
    ):
        # An agent of 0.1.0 reports so what a sensor saw after a silence, and a refusal can change
        # a sensor as well as a sale. What it reported is in the audit record.
        outcome, cause = State.UNKNOWN, Cause.BOARD_SILENT
    if drop.cause is Cause.JOURNAL_REPLACED and outcome is not State.DISPENSED:
        # An old copy of the journal may have forgotten that the motor was started, so only an
        # item that fell is news from it.
        return DropEvent.LOSE, Cause.JOURNAL_REPLACED
    return reported(outcome, cause)


def _machine(tx: Transaction, name: str) -> Machine:
    machine = tx.machines.alone(name)
    if machine is None:
        raise MachineNotFoundError("no such machine")
    return machine


def _take_next(tx: Transaction, name: str, epoch: int, now_ms: int) -> Drop | None:
    """Dispatches the machine's next drop if there is one and `epoch` is the newest link."""
    drop = tx.drops.next_reserved(name)
    if drop is None:
        return None
    machine = _machine(tx, name)
    if machine.epoch != epoch or not machine.enabled:
        return None
    return dispatch(tx, drop, machine, now_ms)


def _machine_on(tx: Transaction, name: str, epoch: int) -> Machine:
    """The machine whose newest link is `epoch`."""
    machine = _machine(tx, name)
    if machine.epoch != epoch:
        raise LinkSupersededError("a newer link has taken over")
    return machine


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
) -> None:
    for drop in drops:
        advance(tx, drop, DropEvent.LOSE, Cause.JOURNAL_REPLACED, actor="frontend", now_ms=now_ms)
    if not recorded:
        return
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
