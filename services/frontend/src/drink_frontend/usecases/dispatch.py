"""Dispatching drops to machines' agents, and settling drops by the agents' reports.

A report is a fact about the past. It is accepted on any link, any number of times and in any order,
and changes a drop at most once. Commands are sent only on a machine's newest link.
"""

from dataclasses import dataclass
from typing import Any

import structlog

from drink_frontend.domain.drop import AGENT_CAUSES, Cause, DropEvent, State, Verdict, reported
from drink_frontend.domain.entities import AuditKind, Drop, Result
from drink_frontend.domain.errors import LinkProtocolError, RateLimitedError
from drink_frontend.domain.ports import Clock
from drink_frontend.metrics.instruments import Metrics
from drink_frontend.spans.context import trace_id_of
from drink_frontend.storage.database import Database
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.advance import advance, dispatch_next, machine_on_link
from drink_frontend.usecases.audit import AgentRecords, Alarms, shortened
from drink_frontend.usecases.drop_traces import NO_TRACES, DropTraces
from drink_frontend.usecases.journals import Journals

log = structlog.get_logger(__name__)

LATE = frozenset((Cause.BOARD_ACK_LATE, Cause.BOARD_REFUSED_LATE))
"""Causes of answers that came when nobody waited for them, each taken for the last command's."""


class Dispatch:
    """Dispatches drops, and settles them by agents' reports.

    Args:
        storage: The database.
        clock: Time.
        journals: How far the agents' journals have come.
        alarms: Limits the audit records that agents can cause without end, and counts the others.
        metrics: Times the results, and counts what became of them.
        traces: Makes the drops' spans.
    """

    def __init__(
        self,
        storage: Database,
        clock: Clock,
        journals: Journals,
        alarms: Alarms,
        metrics: Metrics | None = None,
        *,
        traces: DropTraces = NO_TRACES,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._storage = storage
        self._clock = clock
        self._journals = journals
        self._alarms = alarms
        self._traces = traces

    def commanded(self, drop: Drop) -> str:
        """A drop's command is sent now; returns the `traceparent` that goes with it, or nothing."""
        return self._traces.commanded(drop)

    async def take(self, machine: str, epoch: int) -> Drop | None:
        """Commits that the machine's next drop is dispatched on link `epoch`, and returns it.

        None while an earlier drop of the machine has no outcome, when none waits, or when the
        machine is out of service.

        Raises:
            LinkSupersededError: `epoch` is not the machine's newest link.
        """
        now_ms = self._clock.now_ms()

        def take(tx: Transaction) -> Drop | None:
            drop = dispatch_next(tx, machine, epoch, now_ms)
            if drop is None:
                machine_on_link(tx, machine, epoch)
            return drop

        return await self._storage.write(take, Needs(machines={machine}, queues={machine}))

    async def not_received(self, machine: str, epoch: int, drop_id: str) -> None:
        """Applies an agent's proof that the command of a wanted drop never arrived.

        The drop is RESERVED again; if it became UNKNOWN meanwhile, it is settled as not dispensed.

        Raises:
            LinkSupersededError: `epoch` is not the machine's newest link, so nothing is proven.
            RateLimitedError: the machine's agents return too many drops. After
                `drops.silence_limit_s` the drop is UNKNOWN, and the next proof settles it.
        """
        now_ms = self._clock.now_ms()
        recordable = self._alarms.recordable(machine)

        def return_drop(tx: Transaction) -> bool:
            machine_on_link(tx, machine, epoch)
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
                # Reported before, or settled by a result.
                return False
            advance(tx, drop, event, Cause.NOT_RECEIVED, actor=f"agent:{machine}", now_ms=now_ms)
            return event is DropEvent.RETURN

        if await self._storage.write(return_drop):
            self._alarms.caused(machine, [AuditKind.DROP_MOVED], recordable)

    async def result(
        self, machine: str, result: Result, journal_id: str, epoch: int | None = None
    ) -> Drop | None:
        """Settles a drop by its agent's result, and dispatches the machine's next drop with it.

        When it returns, the result is durable, and so is the dispatch of the returned drop.

        An outcome with a cause that is not known here, as of a newer agent, is kept as UNKNOWN for
        a person to look at; so is one that rests on a sensor which is not declared independent of
        the command. A revision that was taken before changes nothing.

        Args:
            machine: The agent's machine.
            result: The agent's result.
            journal_id: The agent's journal.
            epoch: The link on which the next drop may be dispatched, if it is still the machine's
                newest; None: on none.

        Raises:
            LinkProtocolError: no agent can report that.
        """
        if result.outcome not in AGENT_CAUSES or result.revision < 1:
            raise LinkProtocolError("not a result of an agent")
        self._metrics.reported(result.drop_id)
        now_ms, received = self._clock.now_ms(), self._traces.now()
        recordable = self._alarms.recordable(machine)
        journal = (journal_id, result.journal_sequence)

        def settle_and_dispatch(
            tx: Transaction,
        ) -> tuple[_Settled | None, Drop | None, list[AuditKind]]:
            records = AgentRecords(tx, machine, now_ms, recordable)
            tx.machines.saw_journal(machine, *journal)
            settled = _settle(tx, machine, result, now_ms, records)
            return settled, dispatch_next(tx, machine, epoch, now_ms), records.caused

        needs = Needs(drops={result.drop_id}, machines={machine}, queues={machine}, new_transfers=1)
        settled, following, caused = await self._storage.write(settle_and_dispatch, needs)
        self._journals.kept(machine, journal)
        self._alarms.caused(machine, caused, recordable)
        verdict = None if settled is None else settled.verdict
        self._metrics.judged(verdict)
        if settled is not None and verdict is Verdict.MOVED:
            self._traces.reported(settled.before, settled.after, result, received)
        expected = verdict in {Verdict.MOVED, Verdict.REPEATED}
        (log.info if expected else log.error)(
            "drop_reported",
            drop_id=result.drop_id,
            machine=machine,
            outcome=result.outcome,
            cause=result.cause,
            verdict=verdict or "ORPHAN",
            # A drop that is not known here may be known where its trace began.
            **trace_id_of(result.traceparent if settled is None else settled.before.traceparent),
        )
        return following


@dataclass(frozen=True, slots=True)
class _Settled:
    """What a result did to its drop.

    Attributes:
        verdict: Whether it was applied.
        before: The drop as it was.
        after: The drop now.
    """

    verdict: Verdict
    before: Drop
    after: Drop


def _settle(
    tx: Transaction, machine: str, result: Result, now_ms: int, records: AgentRecords
) -> _Settled | None:
    """Applies a result to its drop; None if the machine has no such drop."""
    evidence = result.evidence
    facts: dict[str, Any] = {
        "revision": result.revision,
        "outcome": result.outcome,
        "reported_cause": result.cause,
        "evidence": evidence,
    }
    drop = tx.drops.get(result.drop_id)
    if drop is None or drop.machine != machine:
        orphan = {"drop": result.drop_id, **facts, "evidence": shortened(evidence)}
        records.add(AuditKind.ORPHAN_RESULT, orphan)
        return None
    if result.revision <= drop.revision:
        return _Settled(Verdict.REPEATED, drop, drop)
    if contradiction := evidence.get("contradiction"):
        claim = {"slot": drop.slot, "contradiction": contradiction}
        records.add(AuditKind.SENSOR_CONTRADICTED, claim, drop)
    if drop.state.final:
        facts["evidence"] = shortened(evidence)
    event, cause = reported(
        result.outcome,
        result.cause,
        sensor_independent=bool(evidence.get("sensor_independent")),
        earlier=drop.cause,
    )
    if result.cause in LATE and drop.state is State.UNKNOWN and _of_another(tx, drop):
        event, cause = DropEvent.LOSE, drop.cause
    answer = advance(
        tx,
        drop,
        event,
        cause,
        actor=f"agent:{machine}",
        now_ms=now_ms,
        revision=result.revision,
        facts=facts,
        contradictions=records,
    )
    return _Settled(answer.verdict, drop, answer.drop)


def _of_another(tx: Transaction, drop: Drop) -> bool:
    """Whether a late answer for a drop may be the board's answer to a later command.

    An old copy of the journal that was put back does not know the drop that was under way, so it
    takes the board's answer for one to the last command that it knows of.
    """
    return any(
        other.cause is Cause.JOURNAL_REPLACED
        and other.id != drop.id
        and _dispatch_of(other) >= _dispatch_of(drop)
        for other in tx.drops.in_state(State.UNKNOWN, drop.machine)
    )


def _dispatch_of(drop: Drop) -> tuple[int, int]:
    """Sorts the drops of one machine as they were dispatched."""
    return drop.epoch or 0, drop.dispatched_ms or 0
