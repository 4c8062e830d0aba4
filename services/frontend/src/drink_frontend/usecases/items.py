"""Items that slots sell: reading them, and their administration."""

from collections.abc import Sequence
from dataclasses import replace

from drink_frontend.domain.entities import AuditKind, AuditRecord, Slot
from drink_frontend.domain.errors import (
    AlreadyExistsError,
    FieldInvalidError,
    ItemNotFoundError,
    ItemSoldError,
    PictureChangedError,
    SlotSellsItemError,
    TooManyItemsError,
)
from drink_frontend.domain.items import ITEM_NUMBER_MAX, ITEMS_MAX, Item
from drink_frontend.domain.ledger import CREDITS_MAX
from drink_frontend.domain.limits import check_barcode, check_item, check_range
from drink_frontend.domain.pictures import Picture, parse_picture
from drink_frontend.domain.ports import Clock
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction


class Items:
    """Items.

    Args:
        storage: The database.
        clock: Time.
    """

    def __init__(self, storage: Database, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def list(self, *, after: int = 0, barcode: str = "", limit: int) -> Sequence[Item]:
        """Up to `limit` items with a number above `after`, in order of their numbers.

        Args:
            after: Exclusive lower limit of the number.
            barcode: Only the item with this barcode; empty for all.
            limit: Most items.

        Raises:
            FieldInvalidError: it is no barcode.
        """
        if barcode:
            check_barcode(barcode)
        return await self._storage.read(
            lambda tx: tx.items.list(after=after, barcode=barcode, limit=limit)
        )

    async def get(self, number: int) -> Item:
        """One item.

        Raises:
            ItemNotFoundError: there is no such item.
        """
        return await self._storage.read(lambda tx: stored_item(tx, number))

    async def create(
        self, actor: str, name: str, price: int, *, number: int | None = None, barcode: str = ""
    ) -> Item:
        """Creates an item.

        Args:
            actor: Who creates it, for the audit log.
            name: What people call it.
            price: In credits.
            number: Its number; None for the one after the highest number.
            barcode: The barcode on it; empty for none.

        Raises:
            FieldInvalidError: a value is out of its range.
            AlreadyExistsError: an item has the number or the barcode.
            TooManyItemsError: there are ITEMS_MAX items.
        """
        _check(name, price, barcode)
        if number is not None:
            check_range(number, "name", 1, ITEM_NUMBER_MAX)
        now_ms = self._clock.now_ms()

        def create(tx: Transaction) -> Item:
            there_are, highest = tx.items.count()
            if number is not None and tx.items.get(number) is not None:
                raise AlreadyExistsError("an item has this number")
            if there_are >= ITEMS_MAX:
                raise TooManyItemsError("there are too many items", items_max=ITEMS_MAX)
            if number is None and highest == ITEM_NUMBER_MAX:
                raise FieldInvalidError("name", "must be given: the highest number is taken")
            _check_free(tx, barcode, number)
            item = Item(number or highest + 1, name, barcode or None, price, now_ms, now_ms)
            tx.items.add(item)
            self._audit(tx, actor, item.number, {"to": _terms(item)})
            return item

        return await self._storage.write(create)

    async def change(
        self,
        actor: str,
        number: int,
        *,
        name: str | None = None,
        price: int | None = None,
        barcode: str | None = None,
    ) -> Item:
        """Changes the given attributes, and with them every slot that sells the item.

        Drops in progress keep their price and item.

        Args:
            actor: Who changes it, for the audit log.
            number: The item.
            name: What people call it.
            price: In credits.
            barcode: The barcode on it; empty removes it.

        Raises:
            FieldInvalidError: a value is out of its range.
            ItemNotFoundError: there is no such item.
            AlreadyExistsError: another item has the barcode.
        """
        _check(name, price, barcode)
        now_ms = self._clock.now_ms()

        def change(tx: Transaction) -> Item:
            before = stored_item(tx, number)
            if barcode:
                _check_free(tx, barcode, number)
            after = replace(
                before,
                name=before.name if name is None else name,
                price=before.price if price is None else price,
                barcode=before.barcode if barcode is None else barcode or None,
                updated_ms=now_ms,
            )
            tx.items.change(after)
            facts: dict[str, object] = {"from": _terms(before), "to": _terms(after)}
            if (before.name, before.price) != (after.name, after.price):
                tx.items.change_slots(after)
                facts["slots"] = len(tx.items.slots(number))
            self._audit(tx, actor, number, facts)
            return after

        return await self._storage.write(change)

    async def delete(self, actor: str, number: int) -> None:
        """Deletes an item.

        Raises:
            ItemNotFoundError: there is no such item.
            ItemSoldError: slots sell it.
        """

        def delete(tx: Transaction) -> None:
            item = stored_item(tx, number)
            if slots := tx.items.slots(number):
                raise ItemSoldError("slots sell the item", slots=len(slots))
            tx.items.remove(number)
            self._audit(tx, actor, number, {"from": _terms(item)})

        await self._storage.write(delete)

    async def set_picture(self, actor: str, number: int, content: bytes) -> Item:
        """Gives an item a picture, in place of the one before.

        Args:
            actor: Who does, for the audit log.
            number: The item.
            content: A PNG, JPEG or WebP file; empty removes the picture.

        Raises:
            FieldInvalidError: it is no such file, or too large.
            ItemNotFoundError: there is no such item.
        """
        picture = parse_picture(content) if content else None
        now_ms = self._clock.now_ms()

        def change(tx: Transaction) -> Item:
            before = stored_item(tx, number)
            if picture == before.picture:
                return before
            if picture is None:
                tx.items.remove_picture(number)
                tx.items.touch(number, now_ms)
            else:
                tx.items.set_picture(number, picture, content, now_ms)
            etag = "" if picture is None else picture.etag
            self._audit(tx, actor, number, {"picture": etag})
            return stored_item(tx, number)

        return await self._storage.write(change)

    async def picture_part(self, number: int, picture: Picture, part: int) -> bytes:
        """A part of an item's picture, from 0.

        Raises:
            PictureChangedError: the item has another picture or none.
        """
        content = await self._storage.read(
            lambda tx: tx.items.picture_part(number, picture.etag, part)
        )
        if content is None:
            raise PictureChangedError("the picture was replaced meanwhile; read it again")
        return content

    def _audit(self, tx: Transaction, actor: str, number: int, facts: dict[str, object]) -> None:
        now_ms = self._clock.now_ms()
        record = AuditRecord(
            AuditKind.ITEM_CHANGED, now_ms, actor, facts={"item_number": number, **facts}
        )
        tx.audit.add(record)


def stored_item(tx: Transaction, number: int) -> Item:
    """The item of that number.

    Raises:
        ItemNotFoundError: there is none.
    """
    item = tx.items.get(number)
    if item is None:
        raise ItemNotFoundError("no such item")
    return item


def sell_item(
    tx: Transaction,
    slot: Slot,
    sold_item: int | None,
    now_ms: int,
    *,
    item: str | None,
    price: int | None,
    replaces_item: bool = False,
) -> None:
    """Changes which item a slot sells, before it gets the given name and price.

    Args:
        tx: The unit of work.
        slot: The slot as it is.
        sold_item: Number of the item; NO_ITEM for none; None for the one that it sells.
        now_ms: Time of the change.
        item: Name that the slot gets; None if it stays.
        price: Price that the slot gets, in credits; None if it stays.
        replaces_item: Whether the slot sells the item no longer if it gets another name or price.

    Raises:
        ItemNotFoundError: there is no such item.
        SlotSellsItemError: the item has another name or price.
    """
    number = slot.item_number if sold_item is None else sold_item or None
    sold = None if number is None else stored_item(tx, number)
    if sold is not None and (item not in (None, sold.name) or price not in (None, sold.price)):
        if not replaces_item:
            raise SlotSellsItemError(
                "the slot has the name and price of the item that it sells",
                item=f"items/{sold.number}",
            )
        sold = None
    if slot.item_number != (None if sold is None else sold.number):
        tx.machines.sell_item(slot.machine, slot.number, sold, now_ms)


def _check(name: str | None, price: int | None, barcode: str | None) -> None:
    if name is not None:
        check_item(name, "display_name")
    if price is not None:
        check_range(price, "price", 0, CREDITS_MAX)
    if barcode:
        check_barcode(barcode)


def _check_free(tx: Transaction, barcode: str, number: int | None) -> None:
    """Raises AlreadyExistsError if another item than that of the number has the barcode."""
    other = tx.items.by_barcode(barcode) if barcode else None
    if other is not None and other.number != number:
        raise AlreadyExistsError("another item has this barcode")


def _terms(item: Item) -> dict[str, str | int | None]:
    return {"name": item.name, "price": item.price, "barcode": item.barcode}
