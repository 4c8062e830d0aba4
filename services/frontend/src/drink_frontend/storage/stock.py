"""Movements of stock: every change of the number of items in a slot."""

from collections.abc import Sequence

from sqlalchemy import Select, bindparam, select, update

from drink_frontend.domain.events import EventKind
from drink_frontend.domain.movements import ALL_MOVEMENTS, MovementSelection, StockMovement
from drink_frontend.domain.stock import MovementKind
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.mappings import SLOT, shown_name
from drink_frontend.storage.rows import RowMapping, evolved
from drink_frontend.storage.statements import NOTHING, SEQUENCE_MAX, OneOf, Statement
from drink_frontend.storage.tables import slots, stock_movements

_MOVEMENT = RowMapping(StockMovement, stock_movements)
_SHOWN = RowMapping(StockMovement, stock_movements, actor=shown_name(stock_movements.c.actor))
_NUMBERED = (slots.c.machine == bindparam("machine")) & (slots.c.number == bindparam("slot"))
_ADJUST = Statement(
    update(slots)
    .where(_NUMBERED, slots.c.deleted_ms.is_(None))
    .values(
        loaded=slots.c.loaded + bindparam("change"),
        on_hand=slots.c.on_hand + bindparam("change"),
        updated_ms=bindparam("at_ms"),
    )
    .returning(*SLOT.columns)
)
_ADD = Statement(
    _MOVEMENT.insert(on_hand=select(slots.c.on_hand).where(_NUMBERED).scalar_subquery()).returning(
        stock_movements.c.sequence, stock_movements.c.on_hand
    )
)
_BY_REQUEST = Statement(
    _SHOWN.select().where(
        stock_movements.c.request_id.is_not(None),
        stock_movements.c.actor == bindparam("actor"),
        stock_movements.c.request_id == bindparam("request_id"),
    )
)
_KINDS = OneOf(stock_movements.c.kind, MovementKind, "kind")


def _newest_first(selected: Select[tuple[object, ...]]) -> Statement:
    return Statement(
        selected.where(
            stock_movements.c.sequence < bindparam("before"),
            _KINDS.condition,
            stock_movements.c.at_ms >= bindparam("from_ms"),
            stock_movements.c.at_ms < bindparam("before_ms"),
        )
        .order_by(stock_movements.c.sequence.desc())
        .limit(bindparam("limit"))
        .offset(NOTHING)
    )


_LIST = _newest_first(_SHOWN.select())
_LIST_SLOT = _newest_first(
    _SHOWN.select().where(
        stock_movements.c.machine == bindparam("machine"),
        stock_movements.c.slot == bindparam("slot"),
    )
)


class StockTable:
    """Movements of stock, in one unit of work. They are only ever added.

    Args:
        rows: The rows of the transaction.
        touched: Collects the machines of changed slots.
    """

    __slots__ = ("_executor", "_rows", "_touched")

    def __init__(self, rows: IdentityMap, touched: ChangeSet) -> None:
        self._rows = rows
        self._executor = rows.direct
        self._touched = touched

    def adjust(self, movement: StockMovement) -> StockMovement:
        """Changes the items on hand of a slot, and stores the movement; returns it as stored."""
        row = self._executor.one(
            _ADJUST,
            machine=movement.machine,
            slot=movement.slot,
            change=movement.change,
            at_ms=movement.at_ms,
        )
        assert row is not None, "no such slot"
        self._touched.machines.add(movement.machine)
        self._touched.notes.note(EventKind.STOCK, SLOT.read(row))
        return self._store(movement)

    def _store(self, movement: StockMovement) -> StockMovement:
        row = self._executor.one(_ADD, **_MOVEMENT.parameters(movement))
        assert row is not None
        return evolved(movement, sequence=row[0], on_hand=row[1])

    def add(self, movement: StockMovement) -> None:
        """Stores the movement of an item that its drop has moved, after the item."""
        slot = self._rows.slot(movement.machine, movement.slot)
        assert slot is not None, "no such slot"
        self._rows.add_movement(evolved(movement, on_hand=slot.on_hand))

    def by_request(self, actor: str, request_id: str) -> StockMovement | None:
        """The movement of that request of the account with the id `actor`, if there is one.

        Its actor is read by the name, for people.
        """
        row = self._executor.one(_BY_REQUEST, actor=actor, request_id=request_id)
        return _SHOWN.read_one(row)

    def list(
        self, before: int | None, limit: int, selection: MovementSelection = ALL_MOVEMENTS
    ) -> Sequence[StockMovement]:
        """Up to `limit` selected movements with a sequence below `before`, newest first.

        Their actors are read by their names, for people.
        """
        parameters: dict[str, object] = {
            "before": SEQUENCE_MAX if before is None else before,
            "limit": limit,
            "from_ms": selection.from_ms,
            "before_ms": selection.before_ms,
            **_KINDS.parameters(selection.kinds),
        }
        if selection.slot is None:
            rows = self._executor.all(_LIST, **parameters)
        else:
            machine, number = selection.slot
            rows = self._executor.all(_LIST_SLOT, machine=machine, slot=number, **parameters)
        return [_SHOWN.read(row) for row in rows]
