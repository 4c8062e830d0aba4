"""Converts drops, their orders and records between drink.v1 messages and the domain's values."""

from typing import Any

from drink.v1 import drop_service_pb2
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditRecord, Drop, DropSelection, Waiting
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.limits import DELAY_MAX_S
from drink_frontend.rpc.conversion import (
    account_name,
    drop_name,
    optional_timestamp,
    parse_machine,
    parse_slot,
    slot_name,
    time_range,
    timestamp,
)
from drink_frontend.usecases.placement import DropOrder

STATES = {
    State.SCHEDULED: drop_service_pb2.Drop.STATE_SCHEDULED,
    State.RESERVED: drop_service_pb2.Drop.STATE_RESERVED,
    State.DISPATCHED: drop_service_pb2.Drop.STATE_DISPATCHED,
    State.DISPENSED: drop_service_pb2.Drop.STATE_DISPENSED,
    State.NOT_DISPENSED: drop_service_pb2.Drop.STATE_NOT_DISPENSED,
    State.UNKNOWN: drop_service_pb2.Drop.STATE_UNKNOWN,
}
"""The drink.v1 value of each state of a drop."""

CAUSES = {
    cause: drop_service_pb2.Drop.Cause.Value(
        "CAUSE_UNSPECIFIED" if cause is Cause.NONE else f"CAUSE_{cause}"
    )
    for cause in Cause
}
"""The drink.v1 value of each cause."""

_STATES_BY_WIRE: dict[int, State] = {wire: state for state, wire in STATES.items()}


def drop_order(
    request: drop_service_pb2.DropRequest,
    account: str,
    token: str | None,
    traceparent: str | None = None,
) -> DropOrder:
    """The order of `account`, whose token has the digest `token`, placed by a span or by none."""
    machine, slot = parse_slot(request.slot, "slot")
    delay = request.delay
    if delay.nanos or not 0 <= delay.seconds <= DELAY_MAX_S:
        raise FieldInvalidError("delay", f"must be 0 to {DELAY_MAX_S} whole seconds")
    return DropOrder(
        account=account,
        request_id=request.request_id,
        machine=machine,
        slot=slot,
        delay_s=delay.seconds,
        price_ceiling=request.price_ceiling if request.HasField("price_ceiling") else None,
        token=token,
        traceparent=traceparent,
    )


def drop_selection(
    request: drop_service_pb2.ListDropsRequest, account: str | None
) -> DropSelection:
    """Which drops of `account`, or of everyone, a request wants."""
    wanted = set(request.states)
    if not wanted <= _STATES_BY_WIRE.keys():
        raise FieldInvalidError("states", "must be states of a drop")
    place: dict[str, Any] = {}
    if "/slots/" in request.place:
        place["machine"], place["slot"] = parse_slot(request.place, "place")
    elif request.place:
        place["machine"] = parse_machine(request.place, "place")
    return DropSelection(
        account=account,
        states=tuple(sorted(_STATES_BY_WIRE[state] for state in wanted)),
        item=request.item or None,
        **place,
        **time_range(request),
    )


def drop_message(
    drop: Drop, place: Waiting | None = None, decision_reason: str = ""
) -> drop_service_pb2.Drop:
    """A drop as a drink.v1 message.

    Args:
        drop: The drop.
        place: Where it is in its machine's queue; None if it is not there or not known.
        decision_reason: Why an operator decided so, for administrators.
    """
    message = drop_service_pb2.Drop(
        name=drop_name(drop.id),
        account=account_name(drop.buyer),
        slot=slot_name(drop.machine, drop.slot),
        item=drop.item,
        price=drop.price,
        request_id=drop.request_id,
        state=STATES[drop.state],
        cause=CAUSES[drop.cause],
        create_time=timestamp(drop.created_ms),
        schedule_time=optional_timestamp(drop.not_before_ms),
        dispatch_time=optional_timestamp(drop.dispatched_ms),
        settle_time=optional_timestamp(drop.settled_ms),
        decided_by=drop.decider or "",
        refunded_credits=drop.refunded,
        decision_reason=decision_reason,
    )
    if place is not None:
        if drop.state is State.RESERVED:
            message.drops_ahead = place.ahead
        if place.expected_ms is not None:
            message.expected_duration.FromMilliseconds(place.expected_ms)
    return message


def record_message(record: AuditRecord) -> drop_service_pb2.DropRecord:
    """The message of a record of the audit log."""
    message = drop_service_pb2.DropRecord(
        create_time=timestamp(record.at_ms), kind=record.kind, actor=record.actor
    )
    message.facts.update(record.facts)
    return message


def decision(state: int) -> bool:
    """Whether the state of an operator's decision is that the item fell."""
    wanted = _STATES_BY_WIRE.get(state)
    if wanted is None or not wanted.final:
        raise FieldInvalidError("state", "must be STATE_DISPENSED or STATE_NOT_DISPENSED")
    return wanted is State.DISPENSED
