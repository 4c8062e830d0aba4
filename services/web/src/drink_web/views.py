"""The values that templates show of machines, drops and lists."""

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from zlib import crc32

from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines

ITEM_MAX = 64
"""Characters of the longest name of an item."""

PRICE_MAX = 1_000_000
"""Credits of the highest price."""

CREDITS_MAX = 1_000_000
"""Most credits that the API moves at once."""

STOCK_MAX = 10_000
"""Most items that the API puts into a slot at once, and that a slot has."""

REASON_MAX = 200
"""Characters of the longest reason that the API takes."""

REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
"""What the API takes as a request_id."""

PAGE = re.compile(r"[A-Za-z0-9_-]{22}")
"""What `new_page` gives."""

LONG_WORD = 13
"""Characters of a word that is shown smaller where there is little room."""

HUES = 6
"""Colours of drawings in the place of pictures."""

OPEN_STATES = (
    drops.Drop.STATE_SCHEDULED,
    drops.Drop.STATE_RESERVED,
    drops.Drop.STATE_DISPATCHED,
    drops.Drop.STATE_UNKNOWN,
)
"""States of drops that are not at their end."""

FINAL_STATES = (drops.Drop.STATE_DISPENSED, drops.Drop.STATE_NOT_DISPENSED)


def new_page() -> str:
    """Names one drawing of a page, 128 random bits; its buttons' request_ids begin with it."""
    return secrets.token_urlsafe(16)


def request_id(page: str, slot: str) -> str:
    """Names the purchase that one button of one drawn page makes: at most 62 characters.

    However often the button is pressed, in how many tabs the page is open, it is one purchase.

    Args:
        page: Of `new_page`.
        slot: Resource name.
    """
    return f"web-{page}-{slot_id(slot)}"


def slot_id(name: str) -> str:
    """A slot's name as part of an id: `d-1` for `machines/d/slots/1`."""
    return "-".join(name.split("/")[1::2])


def machine_of(slot: str) -> str:
    """Resource name of the machine that a slot is in."""
    return slot.partition("/slots/")[0]


def is_number(text: str, limit: int) -> bool:
    """Whether a field of a form has a whole number from 0 to the limit."""
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(limit))
    return digits and int(text) <= limit


def hue(name: str) -> int:
    """One of `HUES` colours, the same for the same name always."""
    return crc32(name.encode()) % HUES


def is_item(text: str) -> bool:
    """Whether the API accepts the text as the name of an item."""
    return 1 <= len(text) <= ITEM_MAX and text.isprintable() and '"' not in text


def is_password(text: str) -> bool:
    """Whether the API accepts the text as a new password."""
    return 1 <= len(text) <= 128 and text.isprintable() and " " not in text


@dataclass(frozen=True, slots=True)
class Tile:
    """One slot, as templates show it.

    Attributes:
        slot: Of the API.
        number: Of the slot in its machine.
        state: `sale`, `sold_out` or `off`.
        few: Whether so little is left that the slot is to be filled.
        can_drop: Whether a drop could be asked for now.
    """

    slot: machines.Slot
    number: str
    state: str
    few: bool
    can_drop: bool

    @property
    def id(self) -> str:
        """Id of the HTML element."""
        return slot_id(self.slot.name)

    @property
    def has_long_word(self) -> bool:
        """Whether a word of the item's name is to be shown smaller."""
        return any(len(word) >= LONG_WORD for word in re.split(r"[\s-]+", self.slot.item))

    @property
    def percent(self) -> int | None:
        """How full the slot is; None if it is not known how much fits in."""
        if not self.slot.capacity:
            return None
        return min(100, round(100 * self.slot.available / self.slot.capacity))

    @property
    def names(self) -> Sequence[str]:
        """The resource names by which it may be a favourite, the one that a new one gets first."""
        return [name for name in (self.slot.sold_item, self.slot.name) if name]

    def is_favourite(self, favourites: Sequence[str]) -> bool:
        """Whether it, or the item that it sells, is among the favourites."""
        return any(name in favourites for name in self.names)


@dataclass(frozen=True, slots=True)
class MachineView:
    """One machine, as templates show it.

    Attributes:
        machine: Of the API.
        state: `ready`, `down`, `offline` or `off`.
        tiles: Its slots.
    """

    machine: machines.Machine
    state: str
    tiles: Sequence[Tile]

    @property
    def id(self) -> str:
        """Id of the HTML element."""
        return self.machine.name.removeprefix("machines/")

    @property
    def title(self) -> str:
        """The name of the machine for people."""
        return self.machine.display_name or self.id

    @property
    def lowest_price(self) -> int | None:
        """Credits for the cheapest item that could be bought now; None if there is none."""
        return min((tile.slot.price for tile in self.tiles if tile.can_drop), default=None)


def machine_view(machine: machines.Machine, *, is_current: bool) -> MachineView:
    """The view of a machine.

    Args:
        machine: As the frontend told of it last.
        is_current: Whether the frontend answers.
    """
    ready = machine.reach == machines.Machine.REACH_READY
    if not machine.enabled:
        state = "off"
    elif ready:
        state = "ready"
    else:
        state = "down" if machine.reach == machines.Machine.REACH_BOARD_DOWN else "offline"
    sells = is_current and state == "ready"
    return MachineView(machine, state, [_tile(slot, sells=sells) for slot in machine.slots])


def _tile(slot: machines.Slot, *, sells: bool) -> Tile:
    state = "off" if not slot.enabled else "sale" if slot.available > 0 else "sold_out"
    return Tile(
        slot=slot,
        number=slot.name.rpartition("/")[2],
        state=state,
        few=state == "sale" and slot.low_stock,
        can_drop=sells and state == "sale",
    )


@dataclass(frozen=True, slots=True)
class DropView:
    """A drop, as templates show it.

    Attributes:
        drop: Of the API.
        machine: Of the API; None if it is not known.
        remaining_ms: Until it is dispatched, where it is scheduled.
        is_late: Whether the motor takes longer than usual.
    """

    drop: drops.Drop
    machine: machines.Machine | None = None
    remaining_ms: int = 0
    is_late: bool = False

    @property
    def id(self) -> str:
        """The drop's id."""
        return self.drop.name.removeprefix("drops/")

    @property
    def kind(self) -> str:
        """Name of the texts and colours that the drop is shown with."""
        if self.drop.cause == drops.Drop.CAUSE_CANCELLED:
            return "cancelled"
        return drops.Drop.State.Name(self.drop.state).removeprefix("STATE_").lower()

    @property
    def words(self) -> str:
        """Name of the texts that say how it stands.

        They say nothing of a motor while nothing is heard of the machine that was told to drop it.
        """
        if self.drop.state == drops.Drop.STATE_DISPATCHED and not self.machine_ready:
            return "dispatched_offline"
        return self.kind

    @property
    def remaining_s(self) -> int:
        """Whole seconds until it is dispatched, where it is scheduled."""
        return ceil(self.remaining_ms / 1_000)

    @property
    def is_final(self) -> bool:
        """Whether the drop is in a final state."""
        return self.drop.state in FINAL_STATES

    @property
    def can_cancel(self) -> bool:
        """Whether the drop has not been dispatched to its machine."""
        return self.drop.state in (drops.Drop.STATE_SCHEDULED, drops.Drop.STATE_RESERVED)

    @property
    def machine_title(self) -> str:
        """The name of the machine for people."""
        if self.machine is not None and self.machine.display_name:
            return self.machine.display_name
        return machine_of(self.drop.slot).removeprefix("machines/")

    @property
    def machine_ready(self) -> bool:
        """Whether a command would reach the machine now, as far as it is known."""
        return self.machine is None or self.machine.reach == machines.Machine.REACH_READY

    @property
    def ahead(self) -> int | None:
        """Drops that come before it at its machine; None if the frontend does not tell."""
        return self.drop.drops_ahead if self.drop.HasField("drops_ahead") else None

    @property
    def expected_s(self) -> int:
        """Seconds until its outcome by the frontend's estimate; 0 if there is none."""
        return ceil(self.drop.expected_duration.ToMilliseconds() / 1_000)

    @property
    def steps(self) -> Sequence[tuple[str, str]]:
        """The steps on its way, each with `done`, `now` or `later`."""
        at = {
            drops.Drop.STATE_SCHEDULED: 1,
            drops.Drop.STATE_RESERVED: 1,
            drops.Drop.STATE_DISPATCHED: 2,
        }.get(self.drop.state, 3)
        names = ("step_held", "step_line", "step_motor")
        marks = ["done" if place < at else "now" if place == at else "later" for place in range(3)]
        return list(zip(names, marks, strict=True))


def drop_view(
    drop: drops.Drop, machine: machines.Machine | None, now: datetime, *, is_late: bool = False
) -> DropView:
    """The view of a drop.

    The remaining time is counted here and sent as such: the browser's clock may be wrong.
    """
    remaining_ms = 0
    if drop.state == drops.Drop.STATE_SCHEDULED:
        due_ms = drop.schedule_time.ToMilliseconds()
        whole_ms = due_ms - drop.create_time.ToMilliseconds()
        remaining_ms = min(max(due_ms - int(now.timestamp() * 1000), 0), whole_ms)
    return DropView(drop, machine, remaining_ms, is_late)


def utc(stamp: Timestamp) -> datetime | None:
    """The time of a timestamp in UTC; None if it is not set."""
    if not stamp.seconds and not stamp.nanos:
        return None
    return datetime.fromtimestamp(stamp.seconds, UTC)


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV; cells that a spreadsheet would take for formulas begin with an apostrophe."""
    return "".join(",".join(_cell(cell) for cell in row) + "\r\n" for row in rows)


def _cell(cell: object) -> str:
    text = str(cell)
    if isinstance(cell, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r"):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text
