"""Machines, their slots and their links."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, null, select, update

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import (
    LinkOwnership,
    Machine,
    Queue,
    Reach,
    Slot,
)
from drink_frontend.domain.errors import AlreadyExistsError
from drink_frontend.domain.events import EventKind
from drink_frontend.domain.items import Item
from drink_frontend.domain.stock import Place, Sensor
from drink_frontend.storage.changes import ChangeSet
from drink_frontend.storage.identity_map import IdentityMap
from drink_frontend.storage.mappings import MACHINE, SLOT
from drink_frontend.storage.rows import RowMapping, evolved, if_given, plain
from drink_frontend.storage.statements import Row, Statement, constant
from drink_frontend.storage.tables import machines, slots

_OWNERSHIP = RowMapping(LinkOwnership, machines, machine=machines.c.name)
_MACHINE, _SLOT = MACHINE.select(), SLOT.select()
_NAMED = machines.c.name == bindparam("name")
_NUMBERED = (slots.c.machine == bindparam("machine")) & (slots.c.number == bindparam("number"))
_EXISTS = slots.c.deleted_ms.is_(None)

_GET = Statement(_MACHINE.where(_NAMED))
_LIST = Statement(_MACHINE.order_by(machines.c.name))
_SLOTS = Statement(
    _SLOT.where(slots.c.machine == bindparam("machine"), _EXISTS).order_by(slots.c.number)
)
_ALL_SLOTS = Statement(_SLOT.where(_EXISTS).order_by(slots.c.machine, slots.c.number))
_BY_TOKEN = Statement(select(machines.c.name).where(machines.c.token_digest == bindparam("digest")))
_ADD = Statement(MACHINE.insert())
_UPDATE = Statement(
    update(machines)
    .where(_NAMED)
    .values(
        if_given(
            machines.c.display_name,
            machines.c.location,
            machines.c.enabled,
            machines.c.token_digest,
        )
    )
    .returning(*MACHINE.columns)
)
_SET_TEMPERATURE = Statement(
    update(machines)
    .where(_NAMED)
    .values(temperature_celsius=bindparam("celsius"), temperature_ms=bindparam("read_ms"))
    .returning(*MACHINE.columns)
)
_SET_FIRMWARE = Statement(
    update(machines)
    .where(_NAMED)
    .values(firmware_version=bindparam("version"))
    .returning(*MACHINE.columns)
)


def _reach_to(reach: ColumnElement[Any]) -> dict[Any, ColumnElement[Any]]:
    """Sets the reach, and with another one its time to the parameter `now_ms`."""
    since = case((machines.c.reach == reach, machines.c.reach_ms), else_=bindparam("now_ms"))
    return {machines.c.reach: reach, machines.c.reach_ms: since}


_OPEN_LINK = Statement(
    update(machines)
    .where(_NAMED)
    .values(
        {
            machines.c.epoch: machines.c.epoch + constant(1),
            machines.c.journal_id: bindparam("journal_id"),
            machines.c.journal_sequence: bindparam("journal_sequence"),
            machines.c.frontend: bindparam("frontend"),
            machines.c.agent_version: bindparam("agent_version"),
        }
        | _reach_to(bindparam("reach"))
    )
    .returning(*MACHINE.columns)
)
_RETIRE_LINK = Statement(
    update(machines)
    .where(_NAMED)
    .values(
        {machines.c.epoch: machines.c.epoch + constant(1), machines.c.frontend: null()}
        | _reach_to(constant(Reach.OFFLINE))
    )
    .returning(*MACHINE.columns)
)
_OWNERSHIPS = Statement(_OWNERSHIP.select().order_by(machines.c.name))
_KEEP_OWNERSHIP = Statement(
    update(machines)
    .where(_NAMED, machines.c.epoch == bindparam("epoch"))
    .values({machines.c.frontend: bindparam("frontend")} | _reach_to(bindparam("reach")))
    .returning(*MACHINE.columns)
)
_ADD_SLOT = Statement(SLOT.insert(loaded=constant(0)))
# What drops dispensed from it stays counted, and with it what was loaded.
_ADD_SLOT_AGAIN = Statement(
    update(slots)
    .where(_NUMBERED, ~_EXISTS)
    .values(
        {
            column.name: bindparam(column.name)
            for column in (
                slots.c.item,
                slots.c.price,
                slots.c.enabled,
                slots.c.sensor,
                slots.c.updated_ms,
                slots.c.capacity,
                slots.c.low_stock_mark,
            )
        }
        | {"deleted_ms": null()}
    )
)
_UPDATE_SLOT = Statement(
    update(slots)
    .where(_NUMBERED, _EXISTS)
    .values(
        if_given(
            slots.c.item,
            slots.c.price,
            slots.c.enabled,
            slots.c.sensor,
            slots.c.capacity,
            slots.c.low_stock_mark,
        )
        | {"updated_ms": bindparam("now_ms")}
    )
    .returning(*SLOT.columns)
)
_SELL_ITEM = Statement(
    update(slots)
    .where(_NUMBERED)
    .values(
        if_given(slots.c.item, slots.c.price)
        | {"item_number": bindparam("item_number"), "updated_ms": bindparam("now_ms")}
    )
    .returning(*SLOT.columns)
)
_DELETE_SLOT = Statement(
    update(slots)
    .where(_NUMBERED, _EXISTS)
    .values(deleted_ms=bindparam("now_ms"), updated_ms=bindparam("now_ms"), item_number=null())
    .returning(*SLOT.columns)
)


class MachineTable:
    """Machines, their slots and what their agents last reported, in one unit of work.

    Args:
        rows: The rows of the transaction.
        touched: Collects the changed machines.
    """

    __slots__ = ("_executor", "_rows", "_touched")

    def __init__(self, rows: IdentityMap, touched: ChangeSet) -> None:
        self._rows = rows
        self._executor = rows.direct
        self._touched = touched

    def get(self, name: str) -> Machine | None:
        """The machine with its slots."""
        rows, slot_rows = self._executor.several(
            (_GET, {"name": name}), (_SLOTS, {"machine": name})
        )
        return _machine(rows[0], slot_rows) if rows else None

    def alone(self, name: str) -> Machine | None:
        """The machine without its slots."""
        return self._rows.machine(name)

    def with_slot(self, name: str, number: int, buyer: str) -> tuple[Machine, Queue] | None:
        """The machine with only that slot, if it has it, and its queue as it is for the buyer."""
        machine = self._rows.machine(name)
        if machine is None:
            return None
        slot, queue = self._rows.slot(name, number), self._rows.queue(name)
        states = [queued.state for queued in queue]
        at_motor = states.count(State.DISPATCHED)
        of_buyer = sum(queued.account == buyer for queued in queue)
        length = states.count(State.RESERVED) + at_motor
        with_slot = evolved(machine, slots=() if slot is None else (slot,))
        return with_slot, Queue(length, bool(at_motor), of_buyer)

    def list(self) -> Sequence[Machine]:
        """All machines with their slots, sorted by name."""
        rows, slot_rows = self._executor.several((_LIST, {}), (_ALL_SLOTS, {}))
        by_machine = defaultdict(list)
        for row in slot_rows:
            by_machine[row[0]].append(row)
        return [_machine(row, by_machine[row[0]]) for row in rows]

    def slot(self, machine: str, number: int) -> Slot | None:
        """One slot."""
        return self._rows.slot(machine, number)

    def by_token(self, digest: str) -> str | None:
        """Name of the machine whose agent's token has that digest."""
        row = self._executor.one(_BY_TOKEN, digest=digest)
        return None if row is None else str(row[0])

    def add(self, name: str, display_name: str, location: str) -> None:
        """Creates an enabled machine without slots; AlreadyExistsError if the name is taken."""
        if self._executor.one(_GET, name=name) is not None:
            raise AlreadyExistsError("the machine exists")
        new = Machine(name, display_name, location, True, 0, None, 0, None)
        self._executor.run(_ADD, **MACHINE.parameters(new))
        self._touched.machines.add(name)
        self._touched.notes.note(EventKind.MACHINE, new)

    def update(
        self,
        name: str,
        *,
        display_name: str | None = None,
        location: str | None = None,
        enabled: bool | None = None,
        token_digest: str | None = None,
    ) -> None:
        """Changes what is not None."""
        row = self._executor.one(
            _UPDATE,
            name=name,
            display_name=display_name,
            location=location,
            enabled=plain(enabled),
            token_digest=token_digest,
        )
        is_shown = (display_name, location, enabled) != (None, None, None)
        self._changed(row, *((EventKind.MACHINE,) if is_shown else ()))

    def add_slot(
        self,
        machine: str,
        number: int,
        item: str,
        price: int,
        now_ms: int,
        *,
        capacity: int = 0,
        low_stock_mark: int = 0,
    ) -> None:
        """Creates an enabled, empty slot; AlreadyExistsError if the number is taken."""
        if self.slot(machine, number) is not None:
            raise AlreadyExistsError("the slot exists")
        new = Slot(
            machine=machine,
            number=number,
            item=item,
            price=price,
            enabled=True,
            on_hand=0,
            reserved=0,
            dispensed=0,
            unknown=0,
            sensor=Sensor.UNSPECIFIED,
            updated_ms=now_ms,
            capacity=capacity,
            low_stock_mark=low_stock_mark,
        )
        if not self._executor.run(_ADD_SLOT_AGAIN, **SLOT.parameters(new)):
            self._executor.run(_ADD_SLOT, **SLOT.parameters(new))
        self._touched.machines.add(machine)
        self._touched.notes.note(EventKind.SLOT, new)

    def delete_slot(self, machine: str, number: int, now_ms: int) -> None:
        """Deletes a slot without items and open drops; its row stays for what refers to it."""
        row = self._executor.one(_DELETE_SLOT, machine=machine, number=number, now_ms=now_ms)
        self._slot_changed(row, EventKind.SLOT_DELETED)

    def update_slot(
        self,
        machine: str,
        number: int,
        now_ms: int,
        *,
        item: str | None = None,
        price: int | None = None,
        enabled: bool | None = None,
        sensor: Sensor | None = None,
        capacity: int | None = None,
        low_stock_mark: int | None = None,
    ) -> None:
        """Changes what is not None; `StockTable` changes the number of items."""
        row = self._executor.one(
            _UPDATE_SLOT,
            machine=machine,
            number=number,
            now_ms=now_ms,
            item=item,
            price=price,
            enabled=plain(enabled),
            sensor=plain(sensor),
            capacity=capacity,
            low_stock_mark=low_stock_mark,
        )
        if (item, price, enabled) != (None, None, None) or sensor is None:
            self._slot_changed(row, EventKind.SLOT)
        if sensor is not None:
            self._slot_changed(row, EventKind.STOCK)

    def sell_item(self, machine: str, number: int, item: Item | None, now_ms: int) -> None:
        """Links the slot to an item, whose name and price it gets; None removes the link."""
        row = self._executor.one(
            _SELL_ITEM,
            machine=machine,
            number=number,
            now_ms=now_ms,
            item=item.name if item else None,
            price=item.price if item else None,
            item_number=item.number if item else None,
        )
        self._slot_changed(row, EventKind.SLOT)

    def move_item(
        self, machine: str, number: int, source: Place, target: Place, now_ms: int
    ) -> None:
        """Moves one item of the slot from one place to another."""
        slot = self._rows.slot(machine, number)
        assert slot is not None, "no such slot"
        counts = {
            source.value: getattr(slot, source) - 1,
            target.value: getattr(slot, target) + 1,
        }
        moved = evolved(slot, updated_ms=now_ms, **counts)
        self._rows.count_items(moved)
        self._touched.machines.add(machine)
        self._touched.notes.note(EventKind.STOCK, moved)

    def set_temperature(self, name: str, celsius: float | None, now_ms: int) -> None:
        """Stores another reading of the board's thermometer; None if there is none any more."""
        read_ms = None if celsius is None else now_ms
        row = self._executor.one(_SET_TEMPERATURE, name=name, celsius=celsius, read_ms=read_ms)
        self._changed(row, EventKind.TEMPERATURE)

    def set_firmware(self, name: str, version: str | None) -> None:
        """Stores another version of the board's firmware; None if the board reports none."""
        self._changed(
            self._executor.one(_SET_FIRMWARE, name=name, version=version), EventKind.REACH
        )

    def open_link(
        self,
        name: str,
        journal_id: str,
        journal_sequence: int,
        frontend: str,
        reach: Reach,
        *,
        now_ms: int,
        agent_version: str | None = None,
    ) -> int:
        """Increments the machine's epoch, stores the link's owner, and returns the epoch."""
        row = self._executor.one(
            _OPEN_LINK,
            name=name,
            journal_id=journal_id,
            journal_sequence=journal_sequence,
            frontend=frontend,
            reach=reach.value,
            now_ms=now_ms,
            agent_version=agent_version,
        )
        return self._changed(row, EventKind.REACH).epoch

    def retire_link(self, name: str, now_ms: int) -> None:
        """Increments the machine's epoch, so that no drop is dispatched on its present link."""
        row = self._executor.one(_RETIRE_LINK, name=name, now_ms=now_ms)
        self._changed(row, EventKind.REACH)

    def ownerships(self) -> Sequence[LinkOwnership]:
        """The owner of each machine's newest link, sorted by machine."""
        return [_OWNERSHIP.read(row) for row in self._executor.all(_OWNERSHIPS)]

    def keep_ownership(self, ownership: LinkOwnership, now_ms: int) -> None:
        """Stores the owner of a link and its reach, unless there is a newer link."""
        row = self._executor.one(
            _KEEP_OWNERSHIP,
            name=ownership.machine,
            epoch=ownership.epoch,
            frontend=ownership.frontend,
            reach=ownership.reach.value,
            now_ms=now_ms,
        )
        if row is not None:
            self._changed(row, EventKind.REACH)

    def saw_journal(self, name: str, journal_id: str, journal_sequence: int) -> None:
        """Raises the highest record number seen, if the machine's journal is that one."""
        # Not added to the change set: no client is shown this number.
        machine = self._rows.machine(name)
        if machine is None or machine.journal_id != journal_id:
            return
        if machine.journal_sequence < journal_sequence:
            self._rows.see_journal(evolved(machine, journal_sequence=journal_sequence))

    def _changed(self, row: Row | None, *kinds: EventKind) -> Machine:
        assert row is not None, "no such machine"
        machine = MACHINE.read(row)
        self._touched.machines.add(machine.name)
        for kind in kinds:
            self._touched.notes.note(kind, machine)
        return machine

    def _slot_changed(self, row: Row | None, kind: EventKind) -> None:
        assert row is not None, "no such slot"
        slot = SLOT.read(row)
        self._touched.machines.add(slot.machine)
        self._touched.notes.note(kind, slot)


def _machine(row: Row, slot_rows: Iterable[Row]) -> Machine:
    return MACHINE.read(row, tuple(map(SLOT.read, slot_rows)))
