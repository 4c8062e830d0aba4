"""Machines and their slots: reading them, and their administration."""

from collections.abc import AsyncGenerator, Sequence

from drink_frontend.domain.entities import Account, AuditKind, AuditRecord, Machine, Slot
from drink_frontend.domain.errors import (
    AdminRequiredError,
    FieldInvalidError,
    MachineNotFoundError,
    SlotInUseError,
    TokenInvalidError,
)
from drink_frontend.domain.items import NO_ITEM
from drink_frontend.domain.ledger import CREDITS_MAX, AccountKind, sales_account
from drink_frontend.domain.limits import (
    check_item,
    check_machine,
    check_range,
    check_slot,
    check_text,
)
from drink_frontend.domain.movements import MovementSelection, StockMovement
from drink_frontend.domain.ports import Clock, Randomness
from drink_frontend.domain.stock import STOCK_MAX, MovementKind
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.feed import MachineFeed
from drink_frontend.usecases.items import sell_item
from drink_frontend.usecases.stock import Adjusting, StockOrder, check_room, slot_named
from drink_frontend.usecases.tokens import digest


class Machines:
    """Machines and their slots.

    Args:
        storage: The database.
        clock: Time.
        randomness: Tokens.
    """

    def __init__(
        self,
        storage: Database,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._randomness = randomness
        self._feed = MachineFeed(self.list, storage.changes)

    async def list(self) -> Sequence[Machine]:
        """All machines, by name."""
        return await self._storage.read(lambda tx: tx.machines.list())

    async def get(self, name: str) -> Machine:
        """One machine.

        Raises:
            MachineNotFoundError: there is no such machine.
        """
        return await self._storage.read(lambda tx: _machine(tx, name))

    async def slot(self, machine: str, number: int) -> Slot:
        """One slot.

        Raises:
            MachineNotFoundError: there is no such machine.
            SlotNotFoundError: the machine has no such slot.
        """
        return await self._storage.read(lambda tx: slot_named(tx, machine, number))

    def watch(self, names: Sequence[str]) -> AsyncGenerator[Machine, None]:
        """The machines of those names (all if none is given) now, then each one as it changes.

        Raises:
            MachineNotFoundError: there is no machine of one of the names.
        """
        return self._feed.watch(names)

    async def update_slot(
        self,
        actor: Account,
        machine: str,
        number: int,
        *,
        item: str | None = None,
        price: int | None = None,
        enabled: bool | None = None,
        available: int | None = None,
        sold_item: int | None = None,
        replaces_item: bool = False,
        capacity: int | None = None,
        low_stock_mark: int | None = None,
    ) -> Slot:
        """Changes the given attributes; drops in progress keep their price and item.

        Args:
            actor: An administrator.
            machine: The machine.
            number: The slot.
            item: Name of the item.
            price: In credits.
            enabled: Whether the slot sells.
            available: Items that can be bought, counted by a person.
            sold_item: Number of the item that the slot sells, with its name and price; NO_ITEM for
                a name and price of its own; None for what it sells.
            replaces_item: Whether a slot that gets another name or price than the item that it
                sells sells it no longer.
            capacity: Items that fit in; 0 if that is not known.
            low_stock_mark: So few available items are low stock; 0 for never.

        Raises:
            AdminRequiredError: `actor` is no administrator.
            FieldInvalidError: a value is out of its range.
            MachineNotFoundError: there is no such machine.
            SlotNotFoundError: the machine has no such slot.
            ItemNotFoundError: there is no such item.
            SlotSellsItemError: the item that the slot sells has another name or price.
            StockInvalidError: more items are available than fit in.
        """
        if not actor.admin:
            raise AdminRequiredError("only administrators change slots")
        if item is not None:
            check_item(item)
        if price is not None:
            check_range(price, "price", 0, CREDITS_MAX)
        if available is not None:
            check_range(available, "available", 0, STOCK_MAX)
        check_range(capacity or 0, "capacity", 0, STOCK_MAX)
        check_range(low_stock_mark or 0, "low_stock_mark", 0, STOCK_MAX)
        now_ms = self._clock.now_ms()

        def update(tx: Transaction) -> Slot:
            before = slot_named(tx, machine, number)
            sell_item(
                tx, before, sold_item, now_ms, item=item, price=price, replaces_item=replaces_item
            )
            tx.machines.update_slot(
                machine,
                number,
                now_ms,
                item=item,
                price=price,
                enabled=enabled,
                capacity=capacity,
                low_stock_mark=low_stock_mark,
            )
            if available is not None:
                check_room(slot_named(tx, machine, number), available)
                change = available - before.on_hand
                counted = MovementKind.COUNTED
                tx.stock.adjust(StockMovement(machine, number, counted, change, now_ms, actor.id))
            after = slot_named(tx, machine, number)
            tx.audit.add(
                AuditRecord(
                    AuditKind.STOCK_CHANGED,
                    now_ms,
                    actor.id,
                    machine=machine,
                    facts={"slot": number, "from": _terms(before), "to": _terms(after)},
                )
            )
            return after

        return await self._storage.write(update)

    async def create(self, actor: str, name: str, display_name: str, location: str = "") -> Machine:
        """Creates a machine without slots.

        Raises:
            FieldInvalidError: a name or text is invalid.
            AlreadyExistsError: the name is taken.
        """
        check_machine(name)
        check_text(display_name, "display_name")
        check_text(location, "location")
        now_ms = self._clock.now_ms()
        texts = {"display_name": display_name, "location": location}

        def create(tx: Transaction) -> Machine:
            tx.machines.add(name, display_name, location)
            tx.accounts.add(sales_account(name), AccountKind.SALES, now_ms)
            self._audit(tx, actor, name, now_ms, {"created": True, **texts})
            return _machine(tx, name)

        return await self._storage.write(create)

    async def change(
        self,
        actor: str,
        name: str,
        *,
        display_name: str | None = None,
        location: str | None = None,
        enabled: bool | None = None,
    ) -> Machine:
        """Changes the given attributes; a disabled machine receives no more drops.

        Raises:
            FieldInvalidError: a text is too long.
            MachineNotFoundError: there is no such machine.
        """
        check_text(display_name or "", "display_name")
        check_text(location or "", "location")
        now_ms = self._clock.now_ms()
        given = {"display_name": display_name, "location": location, "enabled": enabled}
        changes = {field: value for field, value in given.items() if value is not None}

        def change(tx: Transaction) -> Machine:
            _machine(tx, name)
            tx.machines.update(name, display_name=display_name, location=location, enabled=enabled)
            self._audit(tx, actor, name, now_ms, changes)
            return _machine(tx, name)

        return await self._storage.write(change)

    async def create_slot(
        self,
        actor: str,
        machine: str,
        number: int,
        *,
        item: str = "",
        price: int = 0,
        available: int = 0,
        sold_item: int = NO_ITEM,
        capacity: int = 0,
        low_stock_mark: int = 0,
    ) -> Slot:
        """Creates a slot with the given number of items.

        Args:
            actor: Who creates it, for the audit log.
            machine: The machine.
            number: The slot.
            item: Name of the item; empty with `sold_item`.
            price: In credits; 0 with `sold_item`.
            available: Items in it, counted by a person.
            sold_item: Number of the item that the slot sells, with its name and price.
            capacity: Items that fit in; 0 if that is not known.
            low_stock_mark: So few available items are low stock; 0 for never.

        Raises:
            FieldInvalidError: a value is out of its range.
            MachineNotFoundError: there is no such machine.
            AlreadyExistsError: the machine has such a slot.
            ItemNotFoundError: there is no such item.
            StockInvalidError: more items are available than fit in.
        """
        check_slot(number)
        if sold_item == NO_ITEM:
            check_item(item)
        elif item or price:
            field = "item" if item else "price"
            raise FieldInvalidError(field, "must not be given with an item to sell")
        check_range(price, "price", 0, CREDITS_MAX)
        check_range(available, "available", 0, STOCK_MAX)
        check_range(capacity, "capacity", 0, STOCK_MAX)
        check_range(low_stock_mark, "low_stock_mark", 0, STOCK_MAX)
        now_ms = self._clock.now_ms()

        def create(tx: Transaction) -> Slot:
            _machine(tx, machine)
            tx.machines.add_slot(
                machine,
                number,
                item,
                price,
                now_ms,
                capacity=capacity,
                low_stock_mark=low_stock_mark,
            )
            sell_item(tx, slot_named(tx, machine, number), sold_item, now_ms, item=None, price=None)
            slot = slot_named(tx, machine, number)
            check_room(slot, available)
            if available:
                loaded = MovementKind.LOADED
                tx.stock.adjust(StockMovement(machine, number, loaded, available, now_ms, actor))
                slot = slot_named(tx, machine, number)
            tx.audit.add(
                AuditRecord(
                    AuditKind.STOCK_CHANGED,
                    now_ms,
                    actor,
                    machine=machine,
                    facts={"slot": number, "to": _terms(slot)},
                )
            )
            return slot

        return await self._storage.write(create)

    async def delete_slot(self, actor: Account, machine: str, number: int) -> None:
        """Deletes a slot that is empty and settled; what refers to it stays in the books.

        Args:
            actor: An administrator.
            machine: The machine.
            number: The slot.

        Raises:
            AdminRequiredError: `actor` is no administrator.
            MachineNotFoundError: there is no such machine.
            SlotNotFoundError: the machine has no such slot.
            SlotInUseError: it has items, or drops without an outcome.
        """
        if not actor.admin:
            raise AdminRequiredError("only administrators delete slots")
        now_ms = self._clock.now_ms()

        def remove(tx: Transaction) -> None:
            slot = slot_named(tx, machine, number)
            if slot.on_hand or slot.reserved or slot.unknown:
                raise SlotInUseError(
                    "the slot has items, or drops without an outcome",
                    on_hand=slot.on_hand,
                    reserved=slot.reserved,
                    unknown=slot.unknown,
                )
            tx.machines.delete_slot(machine, number, now_ms)
            terms = _terms(slot)
            facts = {"slot": number, "from": terms, "to": {"on_hand": 0}, "deleted": True}
            tx.audit.add(
                AuditRecord(AuditKind.STOCK_CHANGED, now_ms, actor.id, machine=machine, facts=facts)
            )

        await self._storage.write(remove)

    async def adjust_stock(self, actor: Account, order: StockOrder) -> tuple[StockMovement, Slot]:
        """Changes the number of items in a slot, once for each request.

        Args:
            actor: An administrator.
            order: What is asked for.

        Returns:
            The movement, and the slot as it stands.

        Raises:
            AdminRequiredError: `actor` is no administrator.
            MachineNotFoundError: there is no such machine.
            SlotNotFoundError: the machine has no such slot.
            SlotChangedError: the slot has another etag than the order.
            StockInvalidError: the slot would have fewer items than 0, or more than it may have.
            RequestIdReusedError: the request_id was used for something else.
        """
        if not actor.admin:
            raise AdminRequiredError("only administrators change stock")
        adjusting = Adjusting(order, actor.id, self._clock.now_ms())
        return await self._storage.write(adjusting.carry_out)

    async def stock_movements(
        self, actor: Account, before: int | None, limit: int, selection: MovementSelection
    ) -> Sequence[StockMovement]:
        """Up to `limit` selected movements of stock with a sequence below `before`, newest first.

        Raises:
            AdminRequiredError: `actor` is no administrator.
            MachineNotFoundError: there is no machine of the selected slot.
            SlotNotFoundError: the machine has no such slot.
        """
        if not actor.admin:
            raise AdminRequiredError("only administrators see movements of stock")

        def read(tx: Transaction) -> Sequence[StockMovement]:
            if selection.slot is not None:
                slot_named(tx, *selection.slot)
            return tx.stock.list(before, limit, selection)

        return await self._storage.read(read)

    async def new_token(self, actor: str, name: str) -> str:
        """A new token for the machine's agent; a link with the previous token ends.

        Raises:
            MachineNotFoundError: there is no such machine.
        """
        token = self._randomness.token()
        await self._replace_token(actor, name, token, "set")
        return token

    async def revoke_token(self, actor: str, name: str) -> Machine:
        """Takes the token of the machine's agent away; its link ends.

        Raises:
            MachineNotFoundError: there is no such machine.
        """
        # Replaced by one that nobody is told: a machine has had a token or it has not.
        return await self._replace_token(actor, name, self._randomness.token(), "revoked")

    async def _replace_token(self, actor: str, name: str, token: str, fact: str) -> Machine:
        token_digest = digest(token)
        now_ms = self._clock.now_ms()

        def keep(tx: Transaction) -> Machine:
            _machine(tx, name)
            tx.machines.update(name, token_digest=token_digest)
            tx.machines.retire_link(name, now_ms)
            self._audit(tx, actor, name, now_ms, {"token": fact})
            return _machine(tx, name)

        return await self._storage.write(keep)

    async def authenticate(self, token: str) -> str:
        """Name of the machine that a token belongs to.

        Raises:
            TokenInvalidError: it belongs to no machine.
        """
        token_digest = digest(token)
        name = await self._storage.read(lambda tx: tx.machines.by_token(token_digest))
        if name is None:
            raise TokenInvalidError("the token is not known")
        return name

    @staticmethod
    def _audit(
        tx: Transaction, actor: str, name: str, now_ms: int, facts: dict[str, str | bool]
    ) -> None:
        tx.audit.add(
            AuditRecord(AuditKind.MACHINE_CHANGED, now_ms, actor, machine=name, facts=facts)
        )


def _machine(tx: Transaction, name: str) -> Machine:
    machine = tx.machines.get(name)
    if machine is None:
        raise MachineNotFoundError("no such machine")
    return machine


def _terms(slot: Slot) -> dict[str, str | int | bool]:
    return {
        "item": slot.item,
        "price": slot.price,
        "enabled": slot.enabled,
        "on_hand": slot.on_hand,
        **({} if slot.item_number is None else {"item_number": slot.item_number}),
        "capacity": slot.capacity,
        "low_stock_mark": slot.low_stock_mark,
    }
