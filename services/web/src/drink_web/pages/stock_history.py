"""Stock of a slot through time, from its movements."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import machine_service_pb2 as pb
from drink_web.curves import Steps, steps
from drink_web.visit import Visit

DAYS = 30
"""Days that are drawn."""

MOVEMENTS_MAX = 500
"""Newest movements that are drawn."""


@dataclass(frozen=True, slots=True)
class StockHistory:
    """What became of a slot's stock.

    Attributes:
        rows: Its movements, newest first.
        steps: The drawing; None without a movement.
        begin: Begin of the drawing.
        end: Its end.
        sold: How many items were sold.
        put: How many items people have put in.
        more: Whether there were more movements in that time.
        days: Days of that time.
    """

    rows: Sequence[pb.StockMovement]
    steps: Steps | None
    begin: Timestamp
    end: Timestamp
    sold: int
    put: int
    more: bool
    days: int = DAYS


async def stock_history(visit: Visit, slot: str) -> StockHistory:
    """The stock of a slot in the last days.

    Args:
        visit: The request of an administrator.
        slot: Resource name.

    Raises:
        CallError: the frontend refused, or did not answer.
    """
    end_s = int(time.time())
    begin_s = end_s - DAYS * 86_400
    request = pb.ListStockMovementsRequest(
        slot=slot, page_size=MOVEMENTS_MAX, start_time=Timestamp(seconds=begin_s)
    )
    answer = await visit.call(visit.site.api.machines.ListStockMovements, request)
    rows = list(answer.movements)
    more = bool(answer.next_page_token)
    if more:
        begin_s = rows[-1].create_time.seconds
    changes = [(row.create_time.seconds, row.on_hand) for row in reversed(rows)]
    drawn = None
    if rows:
        # What a drop has reserved is in the slot still, and not on hand.
        before = max(0, rows[-1].on_hand - rows[-1].change)
        drawn = steps(changes, before, begin_s, max(end_s, begin_s + 1))
    loaded = pb.StockMovement.KIND_LOADED
    return StockHistory(
        rows=rows,
        steps=drawn,
        begin=Timestamp(seconds=begin_s),
        end=Timestamp(seconds=end_s),
        sold=sum(row.kind == pb.StockMovement.KIND_SOLD for row in rows),
        put=sum(row.change for row in rows if row.kind == loaded),
        more=more,
    )
