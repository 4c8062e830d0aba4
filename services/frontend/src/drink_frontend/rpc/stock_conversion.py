"""Converts between drink.v1 messages and movements of stock."""

from drink.v1 import machine_service_pb2 as pb
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.movements import MovementSelection, StockMovement
from drink_frontend.domain.stock import MovementKind
from drink_frontend.rpc.conversion import drop_name, parse_slot, slot_name, time_range, timestamp
from drink_frontend.usecases.stock import StockOrder

KINDS = {kind: pb.StockMovement.Kind.Value(f"KIND_{kind}") for kind in MovementKind}
"""The drink.v1 value of each kind of movement."""

_KINDS_BY_WIRE: dict[int, MovementKind] = {wire: kind for kind, wire in KINDS.items()}


def movement_message(movement: StockMovement) -> pb.StockMovement:
    """A movement of stock as a drink.v1 message."""
    slot = slot_name(movement.machine, movement.slot)
    return pb.StockMovement(
        name=f"{slot}/movements/{movement.sequence}",
        kind=KINDS[movement.kind],
        change=movement.change,
        on_hand=movement.on_hand,
        create_time=timestamp(movement.at_ms),
        actor=movement.actor,
        reason=movement.reason or "",
        drop="" if movement.drop_id is None else drop_name(movement.drop_id),
    )


def stock_order(request: pb.AdjustStockRequest) -> StockOrder:
    """What a request asks for; FieldInvalidError names the field that is wrong."""
    machine, number = parse_slot(request.name, "name")
    kind = None
    if request.kind:
        kind = _KINDS_BY_WIRE.get(request.kind)
        if kind is None:
            raise FieldInvalidError("kind", "must be a kind of movement")
    return StockOrder(
        request_id=request.request_id,
        machine=machine,
        slot=number,
        change=request.change if request.HasField("change") else None,
        count=request.count if request.HasField("count") else None,
        kind=kind,
        etag=request.etag,
        reason=request.reason,
    )


def movement_selection(request: pb.ListStockMovementsRequest) -> MovementSelection:
    """Which movements a request wants; FieldInvalidError names the field that is wrong."""
    wanted = set(request.kinds)
    if not wanted <= _KINDS_BY_WIRE.keys():
        raise FieldInvalidError("kinds", "must be kinds of movements")
    return MovementSelection(
        slot=parse_slot(request.slot, "slot") if request.slot else None,
        kinds=tuple(sorted(_KINDS_BY_WIRE[wire] for wire in wanted)),
        **time_range(request),
    )
