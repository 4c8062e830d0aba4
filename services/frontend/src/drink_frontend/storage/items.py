"""Items, and the slots that sell them."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, or_, select, update

from drink_frontend.domain.entities import Slot
from drink_frontend.domain.events import EventKind
from drink_frontend.domain.items import Item
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import NOTHING, Executor, Statement, constant
from drink_frontend.storage.tables import items, slots

_ITEM = RowMapping(Item, items)
_SLOT = RowMapping(Slot, slots)
_NUMBERED = items.c.number == bindparam("number")
_SELLS = slots.c.item_number == bindparam("number")

_GET = Statement(_ITEM.select().where(_NUMBERED))
_BY_BARCODE = Statement(_ITEM.select().where(items.c.barcode == bindparam("barcode")))
_LIST = Statement(
    _ITEM.select()
    .where(
        items.c.number > bindparam("after"),
        or_(bindparam("barcode") == constant(""), items.c.barcode == bindparam("barcode")),
    )
    .order_by(items.c.number)
    .limit(bindparam("limit"))
    .offset(NOTHING)
)
_COUNT = Statement(select(func.count(), func.coalesce(func.max(items.c.number), constant(0))))
_ADD = Statement(_ITEM.insert())
_CHANGE = Statement(
    update(items)
    .where(_NUMBERED)
    .values({name: bindparam(name) for name in ("name", "barcode", "price", "updated_ms")})
    .returning(*_ITEM.columns)
)
_CHANGE_SLOTS = Statement(
    update(slots)
    .where(_SELLS)
    .values(item=bindparam("name"), price=bindparam("price"), updated_ms=bindparam("updated_ms"))
    .returning(*_SLOT.columns)
)
_SLOTS = Statement(
    select(slots.c.machine, slots.c.number).where(_SELLS).order_by(slots.c.machine, slots.c.number)
)
_REMOVE = Statement(delete(items).where(_NUMBERED).returning(*_ITEM.columns))


class ItemTable:
    """Items, in one unit of work.

    Args:
        executor: Runs its statements.
        touched: Collects the machines of changed slots.
    """

    __slots__ = ("_executor", "_touched")

    def __init__(self, executor: Executor, touched: ChangeSet) -> None:
        self._executor = executor
        self._touched = touched

    def get(self, number: int) -> Item | None:
        """One item."""
        return _ITEM.read_one(self._executor.one(_GET, number=number))

    def by_barcode(self, barcode: str) -> Item | None:
        """The item with that barcode."""
        return _ITEM.read_one(self._executor.one(_BY_BARCODE, barcode=barcode))

    def list(self, *, after: int = 0, barcode: str = "", limit: int) -> Sequence[Item]:
        """Up to `limit` items with a number above `after`, in order of their numbers.

        Args:
            after: Exclusive lower limit of the number.
            barcode: Only the item with this barcode; empty for all.
            limit: Most items.
        """
        rows = self._executor.all(_LIST, after=after, barcode=barcode, limit=limit)
        return [_ITEM.read(row) for row in rows]

    def count(self) -> tuple[int, int]:
        """How many items there are, and the highest number; 0 if there are none."""
        row = self._executor.one(_COUNT)
        assert row is not None
        return int(row[0]), int(row[1])

    def add(self, item: Item) -> None:
        """Stores a new item; no other one has its number or barcode."""
        self._executor.run(_ADD, **_ITEM.parameters(item))
        self._touched.notes.note(EventKind.ITEM, item)

    def change(self, item: Item) -> None:
        """Replaces the item of that number; `change_slots` changes the slots that sell it."""
        values = _ITEM.parameters(item)
        del values["created_ms"]
        changed = _ITEM.read_one(self._executor.one(_CHANGE, **values))
        assert changed is not None, "no such item"
        self._touched.notes.note(EventKind.ITEM, changed)

    def change_slots(self, item: Item) -> None:
        """Gives every slot that sells the item its name and price."""
        values = _ITEM.parameters(item)
        for unused in ("barcode", "created_ms"):
            del values[unused]
        for slot in map(_SLOT.read, self._executor.all(_CHANGE_SLOTS, **values)):
            self._touched.machines.add(slot.machine)
            self._touched.notes.note(EventKind.SLOT, slot)

    def slots(self, number: int) -> Sequence[tuple[str, int]]:
        """Machine and number of each slot that sells the item."""
        return [(str(row[0]), int(row[1])) for row in self._executor.all(_SLOTS, number=number)]

    def remove(self, number: int) -> None:
        """Removes the item; no slot sells it."""
        removed = _ITEM.read_one(self._executor.one(_REMOVE, number=number))
        if removed is not None:
            self._touched.notes.note(EventKind.ITEM_DELETED, removed)
