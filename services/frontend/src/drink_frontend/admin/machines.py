"""Machines, their slots, and their agents' tokens."""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drink_frontend.admin.command import (
    RequestId,
    epoch_ms,
    moment,
    operator,
    operator_account,
    recorded,
    run,
    table,
)
from drink_frontend.domain.entities import MS_MAX, MS_MIN, AuditKind, AuditRecord, Slot
from drink_frontend.domain.entities import Machine as KnownMachine
from drink_frontend.domain.items import NO_ITEM
from drink_frontend.domain.movements import MovementSelection, StockMovement
from drink_frontend.domain.stock import STOCK_MAX, MovementKind, Sensor
from drink_frontend.system.clock import SystemClock

if TYPE_CHECKING:
    from drink_frontend.app import Administration

machines = typer.Typer(help="Machines and their agents' tokens.", no_args_is_help=True)
slots = typer.Typer(help="Slots.", no_args_is_help=True)

Machine = Annotated[str, typer.Argument(help="The machine, as sessions name it: d, ld, s.")]
Items = Annotated[int, typer.Argument(min=1, max=STOCK_MAX, help="How many.")]
Why = Annotated[str, typer.Option(help="Why, for the list of movements.")]
Number = Annotated[int, typer.Argument(help="The slot's number, from 1.")]

MOVEMENTS_MAX = 1_000
"""Most movements that a command shows."""

ItemNumber = Annotated[
    int | None,
    typer.Option(help="The item that it sells, with that one's name and price; 0 for its own."),
]

CONTESTED_S = 86_400
"""Seconds for which `machines list` shows that two agents ran for a machine; one day."""

CONTESTED_MAX = 1_000
"""Most alarms that are searched for that."""


def write_token(path: Path, token: str) -> None:
    """Writes a token to a new file that only its owner can read.

    Raises:
        OSError: the file exists or cannot be created.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(token + "\n")


@machines.command()
@recorded
def add(
    context: typer.Context,
    name: Machine,
    display_name: Annotated[str, typer.Argument(help="For people: Big Drink.")],
    location: Annotated[str, typer.Option(help="Where it stands.")] = "",
) -> None:
    """Make a machine without slots."""
    run(context, lambda drink: drink.machines.create(operator(), name, display_name, location))


@machines.command()
@recorded
def change(
    context: typer.Context,
    name: Machine,
    *,
    display_name: Annotated[str | None, typer.Option(help="For people.")] = None,
    location: Annotated[str | None, typer.Option(help="Where it stands.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="Whether it sells.")
    ] = None,
) -> None:
    """Change what is given; a disabled machine gets no more drops."""
    run(
        context,
        lambda drink: drink.machines.change(
            operator(), name, display_name=display_name, location=location, enabled=enabled
        ),
    )


@machines.command()
@recorded
def token(
    context: typer.Context,
    name: Machine,
    output: Annotated[
        Path | None, typer.Option(help="A new file for it, readable by its owner only.")
    ] = None,
    *,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Make none, and only refuse the one before.")
    ] = False,
) -> None:
    """Make a new token for a machine's agent; the one before is refused from now on."""
    if revoke:
        run(context, lambda drink: drink.machines.revoke_token(operator(), name))
        return
    if output is not None and output.exists():
        typer.echo(f"{output} exists already.", err=True)
        raise typer.Exit(1)
    secret = run(context, lambda drink: drink.machines.new_token(operator(), name))
    if output is None:
        typer.echo(secret)
    else:
        write_token(output, secret)


@machines.command("list")
def list_machines(context: typer.Context) -> None:
    """Show every machine and slot."""
    known, contested = run(context, _machines)
    table(
        (
            "machine", "slot", "item", "price", "on hand", "reserved", "sold", "unknown",
            "sensor", "enabled",
        ),
        [
            (
                slot.machine,
                slot.number,
                slot.item,
                slot.price,
                slot.on_hand,
                slot.reserved,
                slot.dispensed,
                slot.unknown,
                _sensor(each, slot),
                "yes" if slot.enabled and each.enabled else "no",
            )
            for each in known
            for slot in each.slots
        ],
    )  # fmt: skip
    typer.echo()
    _show_reach(known)
    for each in known:
        for slot in each.slots:
            if slot.low_stock:
                typer.echo(f"{each.name} {slot.number}: low stock, {slot.available} left")
    for record in contested:
        typer.echo(
            f"{record.machine}: two agents ran as this machine's at {moment(record.at_ms)},"
            f" from {' and '.join(_addresses(record)) or 'unknown addresses'}; stop one of them"
        )


def _show_reach(known: Sequence[KnownMachine]) -> None:
    """Shows how far a command gets to each machine, and what its agent and board report."""
    table(
        (
            "machine", "name", "reach", "since", "temperature", "since", "agent", "firmware",
            "enabled",
        ),
        [
            (
                each.name,
                each.display_name,
                each.reach,
                moment(each.reach_ms),
                None if each.temperature_celsius is None else f"{each.temperature_celsius:.1f} C",
                moment(each.temperature_ms),
                each.agent_version,
                each.firmware_version,
                "yes" if each.enabled else "no",
            )
            for each in known
        ],
    )  # fmt: skip


def _sensor(machine: KnownMachine, slot: Slot) -> str:
    """State of a slot's sensor, or that the board lists slots without this one."""
    board_lists = any(each.sensor is not Sensor.UNSPECIFIED for each in machine.slots)
    if board_lists and slot.sensor is Sensor.UNSPECIFIED:
        return "not listed by the board"
    return slot.sensor


async def _machines(drink: "Administration") -> tuple[Sequence[KnownMachine], list[AuditRecord]]:
    """All machines, and the newest TWO_AGENTS alarm of each machine within the last day."""
    known = await drink.machines.list()
    since_ms = SystemClock().now_ms() - CONTESTED_S * 1000
    records = await drink.storage.read(
        lambda tx: tx.audit.list(kinds=(AuditKind.TWO_AGENTS,), limit=CONTESTED_MAX)
    )
    newest = {str(record.machine): record for record in reversed(records)}
    return known, [record for _, record in sorted(newest.items()) if record.at_ms > since_ms]


def _addresses(record: AuditRecord) -> list[str]:
    found = [record.facts.get("address"), *record.facts.get("other_addresses", [])]
    return sorted({str(each) for each in found if each})


@slots.command("add")
@recorded
def add_slot(
    context: typer.Context,
    machine: Machine,
    number: Number,
    *,
    item: Annotated[str, typer.Option(help="What it sells.")] = "",
    price: Annotated[int, typer.Option(help="In credits.")] = 0,
    available: Annotated[int, typer.Option(help="Items in it.")] = 0,
    item_number: ItemNumber = None,
    capacity: Annotated[int, typer.Option(help="Items that fit in; 0 if not known.")] = 0,
    low_stock: Annotated[int, typer.Option(help="So few left are low stock; 0 for never.")] = 0,
) -> None:
    """Make a slot, with an item and a price or with the number of an item."""
    run(
        context,
        lambda drink: drink.machines.create_slot(
            operator(),
            machine,
            number,
            item=item,
            price=price,
            available=available,
            sold_item=item_number or NO_ITEM,
            capacity=capacity,
            low_stock_mark=low_stock,
        ),
    )


@slots.command("change")
@recorded
def change_slot(
    context: typer.Context,
    machine: Machine,
    number: Number,
    *,
    item: Annotated[str | None, typer.Option(help="What it sells.")] = None,
    price: Annotated[int | None, typer.Option(help="In credits.")] = None,
    available: Annotated[int | None, typer.Option(help="Items in it, counted.")] = None,
    capacity: Annotated[
        int | None, typer.Option(help="Items that fit in; 0 if that is not known.")
    ] = None,
    low_stock: Annotated[
        int | None, typer.Option(help="So few left are low stock; 0 for never.")
    ] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="Whether it sells.")
    ] = None,
    item_number: ItemNumber = None,
) -> None:
    """Change what is given; drops under way keep their price."""
    run(
        context,
        lambda drink: drink.machines.update_slot(
            operator_account(),
            machine,
            number,
            item=item,
            price=price,
            enabled=enabled,
            available=available,
            sold_item=item_number,
            capacity=capacity,
            low_stock_mark=low_stock,
        ),
    )


@slots.command("delete")
@recorded
def delete_slot(context: typer.Context, machine: Machine, number: Number) -> None:
    """Delete a slot that is empty and has no drop without an outcome; its sales stay."""
    run(context, lambda drink: drink.machines.delete_slot(operator_account(), machine, number))


@slots.command("load")
@recorded
def load_slot(
    context: typer.Context,
    machine: Machine,
    number: Number,
    items: Items,
    *,
    why: Why = "",
    request_id: RequestId,
) -> None:
    """Put items into a slot."""
    _adjust(context, machine, number, request_id, change=items, reason=why)


@slots.command("take")
@recorded
def take_from_slot(
    context: typer.Context,
    machine: Machine,
    number: Number,
    items: Items,
    *,
    lost: Annotated[
        bool, typer.Option("--lost", help="They are gone: stolen, broken, past their date.")
    ] = False,
    why: Why = "",
    request_id: RequestId,
) -> None:
    """Take items out of a slot."""
    kind = MovementKind.LOST if lost else MovementKind.TAKEN_OUT
    _adjust(context, machine, number, request_id, change=-items, kind=kind, reason=why)


@slots.command("count")
@recorded
def count_slot(
    context: typer.Context,
    machine: Machine,
    number: Number,
    items: Annotated[
        int, typer.Argument(min=0, max=STOCK_MAX, help="Items that no drop has reserved.")
    ],
    *,
    was: Annotated[
        int | None,
        typer.Option(min=0, help="What the slot had when you counted; refused if it has not."),
    ] = None,
    why: Why = "",
    request_id: RequestId,
) -> None:
    """Set a slot to what was counted, unless something is sold or loaded in between."""
    slot = run(context, lambda drink: drink.machines.slot(machine, number))
    if was is not None and slot.on_hand != was:
        typer.echo(f"SLOT_CHANGED: the slot has {slot.on_hand} on hand, not {was}", err=True)
        raise typer.Exit(1)
    _adjust(context, machine, number, request_id, count=items, etag=slot.etag, reason=why)


@slots.command("movements")
def list_movements(
    context: typer.Context,
    machine: Annotated[str | None, typer.Argument(help="Of one slot only.")] = None,
    number: Annotated[int | None, typer.Argument(help="The slot's number.")] = None,
    *,
    kind: Annotated[list[MovementKind] | None, typer.Option(help="Only of this kind.")] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Stored at this time (UTC) or later.")
    ] = None,
    before: Annotated[datetime | None, typer.Option(help="Stored before this time (UTC).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOVEMENTS_MAX, help="At most this many.")] = 50,
) -> None:
    """Show what changed the stock of slots, newest first."""
    if machine is not None and number is None:
        raise typer.BadParameter("a machine needs the number of a slot")
    slot = None if machine is None or number is None else (machine, number)
    selection = MovementSelection(
        slot=slot,
        kinds=tuple(kind or ()),
        from_ms=MS_MIN if since is None else epoch_ms(since),
        before_ms=MS_MAX if before is None else epoch_ms(before),
    )
    found = run(
        context,
        lambda drink: drink.machines.stock_movements(operator_account(), None, limit, selection),
    )
    table(
        ("time", "machine", "slot", "kind", "change", "on hand", "actor", "drop", "why"),
        [
            (
                moment(each.at_ms),
                each.machine,
                each.slot,
                each.kind,
                f"{each.change:+d}",
                each.on_hand,
                each.actor,
                each.drop_id,
                each.reason,
            )
            for each in found
        ],
    )


def _adjust(
    context: typer.Context, machine: str, number: int, request_id: str, **terms: Any
) -> None:
    async def adjust(drink: "Administration") -> tuple[StockMovement, Slot]:
        from drink_frontend.usecases.stock import StockOrder  # noqa: PLC0415

        order = StockOrder(request_id=request_id, machine=machine, slot=number, **terms)
        return await drink.machines.adjust_stock(operator_account(), order)

    movement, slot = run(context, adjust)
    typer.echo(f"{movement.kind} {movement.change:+d}: {slot.on_hand} on hand")
