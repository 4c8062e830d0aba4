"""Moves a drop: its row, credits, item and audit record change together or not at all."""

from dataclasses import dataclass
from typing import Any

from drink_frontend.domain.alarms import AlarmKind, about_unknown, drop_subject
from drink_frontend.domain.drop import Cause, DropEvent, State, Verdict, step
from drink_frontend.domain.entities import AuditKind, AuditRecord, Drop, Machine
from drink_frontend.domain.errors import LinkSupersededError, MachineNotFoundError
from drink_frontend.domain.ledger import Transfer, TransferKind, sales_account
from drink_frontend.domain.movements import StockMovement
from drink_frontend.domain.stock import MovementKind, place_of
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.audit import AgentRecords

_RESOLUTIONS = {
    State.DISPENSED: TransferKind.POST,
    State.NOT_DISPENSED: TransferKind.VOID,
}


@dataclass(frozen=True, slots=True)
class Advance:
    """Outcome of an event.

    Attributes:
        verdict: Whether the rules of drops applied it.
        drop: The drop after it.
    """

    verdict: Verdict
    drop: Drop


def advance(
    tx: Transaction,
    drop: Drop,
    event: DropEvent,
    cause: Cause,
    *,
    actor: str,
    now_ms: int,
    epoch: int | None = None,
    journal_id: str | None = None,
    revision: int | None = None,
    facts: dict[str, Any] | None = None,
    contradictions: AgentRecords | None = None,
) -> Advance:
    """Applies `event` to `drop` as read in this unit, and returns the outcome.

    A drop that moves to DISPENSED posts its hold, one that moves to NOT_DISPENSED voids it; its
    item moves to the place of its new state. Evidence against a settled drop is kept in the audit
    log.

    Args:
        tx: The unit of work.
        drop: The drop, read in this unit.
        event: What happened to it.
        cause: Why, kept with the new state.
        actor: Who caused it: an account, `agent:<machine>` or `frontend`.
        now_ms: Now, for people.
        epoch: Link of a dispatch.
        journal_id: Agent's journal of a dispatch.
        revision: Of the agent's result that `event` stands for.
        facts: Evidence for the audit log, JSON values.
        contradictions: Where evidence against a settled drop is recorded if its number is limited;
            None: always in the audit log.
    """
    answer, moved = step(drop.state, event), drop
    if answer.verdict is Verdict.MOVED:
        decided = event in {DropEvent.DECIDE_DISPENSED, DropEvent.DECIDE_NOT_DISPENSED}
        moved = tx.drops.move(
            drop,
            answer.state,
            cause,
            now_ms,
            decided_by=actor if decided else None,
            epoch=epoch,
            journal_id=journal_id,
            revision=revision,
        )
        _resolve_hold(tx, drop, answer.state, now_ms)
        if answer.state is State.UNKNOWN:
            # Further evidence of a drop that stays UNKNOWN is not another occurrence.
            is_new = drop.state is not State.UNKNOWN
            tx.alarms.add(about_unknown(moved, now_ms), counts=is_new)
        elif drop.state is State.UNKNOWN:
            tx.alarms.close_open(AlarmKind.DROP_UNKNOWN, drop_subject(drop.id), actor, now_ms)
        source, target = place_of(drop.state), place_of(answer.state)
        if source is not target:
            tx.machines.move_item(drop.machine, drop.slot, source, target, now_ms)
        if answer.state is State.DISPENSED:
            tx.stock.add(sale_of(drop, actor, now_ms))
    elif revision is not None:
        tx.drops.saw_revision(drop.id, revision)
    record = {
        "event": event,
        "from": drop.state,
        "to": answer.state,
        "cause": cause,
        **(facts or {}),
    }
    if answer.verdict is Verdict.CONTRADICTED and contradictions is not None:
        contradictions.add(AuditKind.DROP_CONTRADICTED, record, drop)
    elif answer.verdict in {Verdict.MOVED, Verdict.CONTRADICTED}:
        is_moved = answer.verdict is Verdict.MOVED
        tx.audit.add(
            AuditRecord(
                kind=AuditKind.DROP_MOVED if is_moved else AuditKind.DROP_CONTRADICTED,
                at_ms=now_ms,
                actor=actor,
                drop_id=drop.id,
                machine=drop.machine,
                account=drop.account,
                facts=record,
            )
        )
    return Advance(answer.verdict, moved)


def dispatch_next(
    tx: Transaction,
    machine: str,
    epoch: int | None,
    now_ms: int,
    *,
    known: Machine | None = None,
    only: Drop | None = None,
) -> Drop | None:
    """Dispatches the machine's next drop on its link `epoch`, and returns it.

    Once that is committed, the frontend that has the link sends the command or ends the link.

    Args:
        tx: The unit of work.
        machine: Name of the machine.
        epoch: The link that asks; None for a link that takes no commands.
        now_ms: Now, for people.
        known: The machine, if it was read in this unit.
        only: The machine's only drop that is RESERVED or DISPATCHED, if that is known.

    Returns:
        None while an earlier drop of the machine has no outcome, when none waits, when `epoch` is
        not the machine's newest link, or when the machine is out of service.
    """
    drop = None if epoch is None else only or tx.drops.next_reserved(machine)
    if drop is None:
        return None
    known = known or machine_named(tx, machine)
    if known.epoch != epoch or not known.enabled:
        return None
    answer = advance(
        tx,
        drop,
        DropEvent.DISPATCH,
        Cause.NONE,
        actor="frontend",
        now_ms=now_ms,
        epoch=known.epoch,
        journal_id=known.journal_id,
    )
    assert answer.verdict is Verdict.MOVED
    return answer.drop


def machine_named(tx: Transaction, name: str) -> Machine:
    """The machine without its slots.

    Raises:
        MachineNotFoundError: there is no such machine.
    """
    machine = tx.machines.alone(name)
    if machine is None:
        raise MachineNotFoundError("no such machine")
    return machine


def machine_on_link(tx: Transaction, name: str, epoch: int) -> Machine:
    """The machine without its slots, if `epoch` is its newest link.

    Raises:
        MachineNotFoundError: there is no such machine.
        LinkSupersededError: the machine has a newer link.
    """
    machine = machine_named(tx, name)
    if machine.epoch != epoch:
        raise LinkSupersededError("a newer link has taken over")
    return machine


def sale_of(drop: Drop, actor: str, now_ms: int) -> StockMovement:
    """The movement of the item that a drop dispenses.

    Args:
        drop: The drop.
        actor: Who caused its outcome: an account, `agent:<machine>` or `frontend`.
        now_ms: Now, for people.
    """
    return StockMovement(
        machine=drop.machine,
        slot=drop.slot,
        kind=MovementKind.SOLD,
        change=-1,
        at_ms=now_ms,
        actor=actor,
        drop_id=drop.id,
    )


def _resolve_hold(tx: Transaction, drop: Drop, state: State, now_ms: int) -> None:
    kind = _RESOLUTIONS.get(state)
    if kind is None:
        return
    tx.ledger.add(
        Transfer(
            # Derived, so that a second resolution collides even before its constraint is asked.
            id=f"{drop.hold_id}-{kind.lower()}",
            kind=kind,
            debit_account=drop.account,
            credit_account=sales_account(drop.machine),
            amount=drop.price,
            created_ms=now_ms,
            drop_id=drop.id,
            resolves=drop.hold_id,
        )
    )
