"""Between drink.v1 messages and the domain's values, for the services that people and programs use.

What comes in is checked field by field; FieldInvalidError names the field that is wrong.
"""

from collections.abc import Iterable, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import account_service_pb2, drop_service_pb2, machine_service_pb2
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Account, Drop, LedgerEntry, Machine, Reach, Slot
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.ledger import TransferKind
from drink_frontend.domain.limits import DELAY_MAX_S, PAGE_MAX
from drink_frontend.domain.stock import Sensor
from drink_frontend.rpc.names import (
    account_name,
    counterpart_name,
    drop_name,
    entry_name,
    machine_name,
    parse_slot,
    slot_name,
)
from drink_frontend.usecases.placing import DropOrder

PAGE_SIZE_DEFAULT = 50
"""Rows of a page whose size is not given; what fits on a screen."""

STATES = {
    State.SCHEDULED: drop_service_pb2.Drop.STATE_SCHEDULED,
    State.RESERVED: drop_service_pb2.Drop.STATE_RESERVED,
    State.DISPATCHED: drop_service_pb2.Drop.STATE_DISPATCHED,
    State.DISPENSED: drop_service_pb2.Drop.STATE_DISPENSED,
    State.NOT_DISPENSED: drop_service_pb2.Drop.STATE_NOT_DISPENSED,
    State.UNKNOWN: drop_service_pb2.Drop.STATE_UNKNOWN,
}
"""Every state of a drop, on the wire."""

CAUSES = {
    cause: drop_service_pb2.Drop.Cause.Value(
        "CAUSE_UNSPECIFIED" if cause is Cause.NONE else f"CAUSE_{cause}"
    )
    for cause in Cause
}
"""Every cause, on the wire."""

SENSORS = {sensor: machine_service_pb2.Slot.Sensor.Value(f"SENSOR_{sensor}") for sensor in Sensor}
"""Every reading of a sensor, on the wire."""

_REACHES = {reach: machine_service_pb2.Machine.Reach.Value(f"REACH_{reach}") for reach in Reach}
_ENTRY_KINDS = {
    TransferKind.MOVE: account_service_pb2.Entry.KIND_TRANSFER,
    TransferKind.HOLD: account_service_pb2.Entry.KIND_HOLD,
    TransferKind.POST: account_service_pb2.Entry.KIND_POST,
    TransferKind.VOID: account_service_pb2.Entry.KIND_VOID,
}
_STATES_BY_WIRE: dict[int, State] = {wire: state for state, wire in STATES.items()}


def drop_order(request: drop_service_pb2.DropRequest, account: str, token: str | None) -> DropOrder:
    """What `account` orders, for whom the token with that digest speaks."""
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
    )


def drop_states(states: Iterable[int]) -> Sequence[State]:
    """The states to list, each once."""
    wanted = set(states)
    if not wanted <= _STATES_BY_WIRE.keys():
        raise FieldInvalidError("states", "must be states of a drop")
    return sorted(_STATES_BY_WIRE[state] for state in wanted)


def page_limit(page_size: int) -> int:
    """Rows of the page to give; more than allowed counts as the most allowed (AIP-158)."""
    if page_size < 0:
        raise FieldInvalidError("page_size", "must not be negative")
    return min(page_size or PAGE_SIZE_DEFAULT, PAGE_MAX)


def timestamp(ms: int) -> Timestamp:
    """Milliseconds since the epoch as a Timestamp."""
    # A third of what FromMilliseconds takes.
    return Timestamp(seconds=ms // 1_000, nanos=ms % 1_000 * 1_000_000)


def _optional_timestamp(ms: int | None) -> Timestamp | None:
    return None if ms is None else timestamp(ms)


def drop_message(drop: Drop) -> drop_service_pb2.Drop:
    """A drop on the wire."""
    return drop_service_pb2.Drop(
        name=drop_name(drop.id),
        account=account_name(drop.account),
        slot=slot_name(drop.machine, drop.slot),
        item=drop.item,
        price=drop.price,
        request_id=drop.request_id,
        state=STATES[drop.state],
        cause=CAUSES[drop.cause],
        create_time=timestamp(drop.created_ms),
        schedule_time=_optional_timestamp(drop.not_before_ms),
        dispatch_time=_optional_timestamp(drop.dispatched_ms),
        settle_time=_optional_timestamp(drop.settled_ms),
    )


def account_message(account: Account) -> account_service_pb2.Account:
    """An account on the wire."""
    return account_service_pb2.Account(
        name=account_name(account.name),
        admin=account.admin,
        posted_credits=account.posted,
        held_credits=account.held,
        available_credits=account.available,
    )


def entry_message(account: str, entry: LedgerEntry) -> account_service_pb2.Entry:
    """An entry of `account` on the wire."""
    return account_service_pb2.Entry(
        name=entry_name(account, entry.sequence),
        kind=_ENTRY_KINDS[entry.kind],
        credits=entry.credits,
        counterpart=counterpart_name(entry.counterpart),
        drop="" if entry.drop_id is None else drop_name(entry.drop_id),
        create_time=timestamp(entry.created_ms),
    )


def slot_message(slot: Slot) -> machine_service_pb2.Slot:
    """A slot on the wire."""
    return machine_service_pb2.Slot(
        name=slot_name(slot.machine, slot.number),
        item=slot.item,
        price=slot.price,
        enabled=slot.enabled,
        available=slot.available,
        reserved=slot.reserved,
        dispensed=slot.dispensed,
        unknown=slot.unknown,
        sensor=SENSORS[slot.sensor],
        update_time=timestamp(slot.updated_ms),
    )


def machine_message(machine: Machine) -> machine_service_pb2.Machine:
    """A machine with its slots on the wire."""
    return machine_service_pb2.Machine(
        name=machine_name(machine.name),
        display_name=machine.display_name,
        location=machine.location,
        enabled=machine.enabled,
        reach=_REACHES[machine.reach],
        temperature_celsius=machine.temperature_celsius,
        slots=[slot_message(slot) for slot in machine.slots],
    )
