"""Items, their pictures, and the slots that sell them."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, insert, or_, select, update

from drink_frontend.domain.entities import Slot
from drink_frontend.domain.events import EventKind
from drink_frontend.domain.items import Item
from drink_frontend.domain.pictures import Picture, parts_of
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.picture_tables import item_pictures, picture_parts
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import NOTHING, Executor, Row, Statement, constant
from drink_frontend.storage.tables import items, slots

_ITEM = RowMapping(Item, items)
_SLOT = RowMapping(Slot, slots)
_NUMBERED = items.c.number == bindparam("number")
_SELLS = slots.c.item_number == bindparam("number")

_PICTURE = RowMapping(Picture, item_pictures)
_PICTURED = item_pictures.c.item_number == bindparam("number")
_WHOLE_ITEM = select(*_ITEM.columns, *_PICTURE.columns).outerjoin_from(
    items, item_pictures, item_pictures.c.item_number == items.c.number
)

_GET = Statement(_WHOLE_ITEM.where(_NUMBERED))
_BY_BARCODE = Statement(_WHOLE_ITEM.where(items.c.barcode == bindparam("barcode")))
_LIST = Statement(
    _WHOLE_ITEM.where(
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
_PART = Statement(
    select(picture_parts.c.content)
    .join(item_pictures, item_pictures.c.item_number == picture_parts.c.item_number)
    .where(
        _PICTURED,
        item_pictures.c.etag == bindparam("etag"),
        picture_parts.c.part == bindparam("part"),
    )
)
_ADD_PICTURE = Statement(_PICTURE.insert(item_number=bindparam("number")))
_ADD_PART = Statement(
    insert(picture_parts)
    .inline()
    .values(item_number=bindparam("number"), part=bindparam("part"), content=bindparam("content"))
)
_REMOVE_PARTS = Statement(
    delete(picture_parts).where(picture_parts.c.item_number == bindparam("number"))
)
_REMOVE_PICTURE = Statement(delete(item_pictures).where(_PICTURED))
_TOUCH = Statement(update(items).where(_NUMBERED).values(updated_ms=bindparam("now_ms")))


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
        return _item(self._executor.one(_GET, number=number))

    def by_barcode(self, barcode: str) -> Item | None:
        """The item with that barcode."""
        return _item(self._executor.one(_BY_BARCODE, barcode=barcode))

    def list(self, *, after: int = 0, barcode: str = "", limit: int) -> Sequence[Item]:
        """Up to `limit` items with a number above `after`, in order of their numbers.

        Args:
            after: Exclusive lower limit of the number.
            barcode: Only the item with this barcode; empty for all.
            limit: Most items.
        """
        rows = self._executor.all(_LIST, after=after, barcode=barcode, limit=limit)
        return [item for item in map(_item, rows) if item is not None]

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
        self._changed(item.number, self._executor.run(_CHANGE, **values))

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
        """Removes the item with its picture; no slot sells it."""
        self.remove_picture(number)
        removed = _ITEM.read_one(self._executor.one(_REMOVE, number=number))
        if removed is not None:
            self._touched.notes.note(EventKind.ITEM_DELETED, removed)

    def set_picture(self, number: int, picture: Picture, content: bytes, now_ms: int) -> None:
        """Gives the item a picture, in place of the one before."""
        self.remove_picture(number)
        self._executor.run(_ADD_PICTURE, number=number, **_PICTURE.parameters(picture))
        for part, piece in enumerate(parts_of(content)):
            self._executor.run(_ADD_PART, number=number, part=part, content=piece)
        self.touch(number, now_ms)

    def remove_picture(self, number: int) -> None:
        """Removes the picture of the item, if it has one."""
        self._executor.run(_REMOVE_PARTS, number=number)
        self._executor.run(_REMOVE_PICTURE, number=number)

    def touch(self, number: int, now_ms: int) -> None:
        """Stores when the item last changed."""
        self._changed(number, self._executor.run(_TOUCH, number=number, now_ms=now_ms))

    def picture_part(self, number: int, etag: str, part: int) -> bytes | None:
        """A part of the picture of the item, from 0; None if the picture is another one."""
        row = self._executor.one(_PART, number=number, etag=etag, part=part)
        return None if row is None else bytes(row[0])

    def _changed(self, number: int, rows: int) -> None:
        item = self.get(number)
        assert rows == 1 and item is not None, "no such item"  # noqa: PT018
        self._touched.notes.note(EventKind.ITEM, item)


def _item(row: Row | None) -> Item | None:
    if row is None:
        return None
    own, picture = row[: len(_ITEM.columns)], row[len(_ITEM.columns) :]
    return _ITEM.read(own, None if picture[0] is None else _PICTURE.read(picture))
