"""Commands of administrators for machines and slots."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from drink.v1 import machine_service_pb2 as pb
from drink_cli.commands.machines import celsius, machine_facts
from drink_cli.context import RequestId, command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.files import create_private
from drink_cli.filters import Before, Since, time_range
from drink_cli.purchase import slot_name
from drink_cli.text import MOVEMENTS, iso_time, local_time, movement_word, short

machines = typer.Typer(help="Machines.", no_args_is_help=True, rich_markup_mode=None)
slots = typer.Typer(help="Slots of machines.", no_args_is_help=True, rich_markup_mode=None)

COUNT_MAX = 10_000
"""Most items in one slot, as the server has it."""

MACHINE_COLUMNS = {
    "machine": "MACHINE",
    "display_name": "NAME",
    "reach": "REACH",
    "reach_since": "SINCE",
    "temperature": "TEMP",
    "temperature_since": "SINCE",
    "agent_version": "AGENT",
    "firmware_version": "FIRMWARE",
    "service": "SERVICE",
}

MOVEMENT_COLUMNS = {
    "time": "TIME",
    "slot": "SLOT",
    "kind": "WHAT",
    "change": "CHANGE",
    "on_hand": "ON HAND",
    "actor": "WHO",
    "drop": "DROP",
    "reason": "WHY",
}

Name = Annotated[str, typer.Argument(metavar="MACHINE", help="As sessions name it: d, ld, s.")]
Slot = Annotated[str, typer.Argument(metavar="SLOT", help="MACHINE/NUMBER, such as d/1.")]

Capacity = Annotated[
    int | None, typer.Option(min=0, help="Items that fit in; 0 if that is not known.")
]
LowStock = Annotated[
    int | None, typer.Option(min=0, help="So few left are low stock; 0 for never.")
]
Items = Annotated[int, typer.Argument(min=1, max=COUNT_MAX, help="How many.")]
Why = Annotated[str, typer.Option(help="Why, for the list of movements.")]

ItemNumber = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="ITEM",
        help="The item that it sells, with that one's name and price; 0 for its own.",
    ),
]


@machines.command("list")
@command
def list_machines(context: typer.Context) -> None:
    """Show each machine's reach and temperature, since when they are so, and its versions."""
    options = shared(context)
    with options.api() as api:
        found = api.call(api.machines.ListMachines, pb.ListMachinesRequest()).machines
    rows = [_facts(each) for each in found]
    if not options.output.is_json:
        for row, machine in zip(rows, found, strict=True):
            row["reach_since"] = local_time(machine.reach_time)
            row["temperature"] = celsius(machine)
            row["temperature_since"] = local_time(machine.temperature_time)
            row["service"] = None if machine.enabled else "out of service"
    options.output.rows(rows, MACHINE_COLUMNS, "there are no machines")


@machines.command("add")
@command
def add_machine(
    context: typer.Context,
    name: Name,
    display_name: Annotated[str, typer.Argument(help='For people: "Big Drink".')],
    *,
    location: Annotated[str, typer.Option(help="Where it stands.")] = "",
) -> None:
    """Make a machine without slots."""
    options = shared(context)
    request = pb.CreateMachineRequest(
        name=f"machines/{name}", display_name=display_name, location=location
    )
    with options.api() as api:
        machine = api.call(api.machines.CreateMachine, request).machine
    options.output.result(_facts(machine), _sentence(machine))


@machines.command("change")
@command
def change_machine(
    context: typer.Context,
    name: Name,
    *,
    display_name: Annotated[str | None, typer.Option(help="For people.")] = None,
    location: Annotated[str | None, typer.Option(help="Where it stands.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether it sells.")
    ] = None,
) -> None:
    """Change a machine; a disabled one gets no more drops, and those in line are cancelled."""
    if display_name is None and location is None and enabled is None:
        raise CommandError("nothing to change; see drink admin machine change --help", Exit.USAGE)
    options = shared(context)
    request = pb.UpdateMachineRequest(
        name=f"machines/{name}", display_name=display_name, location=location, enabled=enabled
    )
    with options.api() as api:
        machine = api.call(api.machines.UpdateMachine, request).machine
    options.output.result(_facts(machine), _sentence(machine))


@machines.command("token")
@command
def issue_token(
    context: typer.Context,
    name: Name,
    *,
    output: Annotated[
        Path | None, typer.Option(help="A new file for it, readable by its owner only.")
    ] = None,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Make none, and only refuse the one before it.")
    ] = False,
) -> None:
    """Make a new token for a machine's agent; the one before it is refused from now on."""
    options = shared(context)
    if revoke:
        if output is not None:
            raise CommandError("--output or --revoke", Exit.USAGE)
        with options.api() as api:
            wanted = pb.RevokeAgentTokenRequest(name=f"machines/{name}")
            machine = api.call(api.machines.RevokeAgentToken, wanted).machine
        options.output.result(_facts(machine), f"{name}: its token is refused from now on")
        return
    # The file is made first: the token is shown once, and must not be lost to a wrong path.
    descriptor = None if output is None else _new_file(output)
    request = pb.IssueAgentTokenRequest(name=f"machines/{name}")
    try:
        with options.api() as api:
            token = api.call(api.machines.IssueAgentToken, request).token
    except CommandError:
        if output is not None and descriptor is not None:
            os.close(descriptor)
            output.unlink()
        raise
    if descriptor is None:
        options.output.result({"machine": name, "token": token}, token)
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(token + "\n")
    options.output.result({"machine": name, "file": str(output)}, f"the token is in {output}")


@slots.command("add")
@command
def add_slot(
    context: typer.Context,
    name: Slot,
    *,
    item: Annotated[str, typer.Option(help="What it sells.")] = "",
    price: Annotated[int, typer.Option(min=0, metavar="CREDITS")] = 0,
    available: Annotated[int, typer.Option(min=0, help="Items in it, as counted.")] = 0,
    item_number: ItemNumber = None,
    capacity: Capacity = None,
    low_stock: LowStock = None,
) -> None:
    """Make a slot, with an item and a price or with the number of an item."""
    options = shared(context)
    request = pb.CreateSlotRequest(
        name=slot_name(name),
        item=item,
        price=price,
        available=available,
        sold_item=_item_name(item_number) or "",
        capacity=capacity or 0,
        low_stock_mark=low_stock or 0,
    )
    with options.api() as api:
        slot = api.call(api.machines.CreateSlot, request).slot
    options.output.result(_slot_facts(slot), _slot_sentence(slot))


@slots.command("change")
@command
def change_slot(
    context: typer.Context,
    name: Slot,
    *,
    item: Annotated[str | None, typer.Option(help="What it sells from now on.")] = None,
    price: Annotated[int | None, typer.Option(min=0, metavar="CREDITS")] = None,
    available: Annotated[
        int | None, typer.Option(min=0, help="Items that can be bought, as counted.")
    ] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether it sells.")
    ] = None,
    item_number: ItemNumber = None,
    capacity: Capacity = None,
    low_stock: LowStock = None,
) -> None:
    """Change what a slot sells, its price or stock, or take it out of service."""
    given = (item, price, available, enabled, item_number, capacity, low_stock)
    if all(each is None for each in given):
        raise CommandError("nothing to change; see drink admin slot change --help", Exit.USAGE)
    options = shared(context)
    request = pb.UpdateSlotRequest(
        name=slot_name(name),
        item=item,
        price=price,
        available=available,
        enabled=enabled,
        sold_item=_item_name(item_number),
        capacity=capacity,
        low_stock_mark=low_stock,
    )
    with options.api() as api:
        slot = api.call(api.machines.UpdateSlot, request).slot
    options.output.result(_slot_facts(slot), _slot_sentence(slot))


@slots.command("delete")
@command
def delete_slot(context: typer.Context, name: Slot) -> None:
    """Delete a slot that is empty and has no drop without an outcome; its sales stay."""
    options = shared(context)
    with options.api() as api:
        api.call(api.machines.DeleteSlot, pb.DeleteSlotRequest(name=slot_name(name)))
    options.output.result({"slot": name, "deleted": True}, f"{name} is deleted")


@slots.command("load")
@command
def load_slot(
    context: typer.Context,
    name: Slot,
    items: Items,
    *,
    why: Why = "",
    request_id: RequestId,
) -> None:
    """Put items into a slot."""
    _adjust(context, pb.AdjustStockRequest(name=slot_name(name), change=items), why, request_id)


@slots.command("take")
@command
def take_from_slot(
    context: typer.Context,
    name: Slot,
    items: Items,
    *,
    lost: Annotated[
        bool, typer.Option("--lost", help="They are gone: stolen, broken, past their date.")
    ] = False,
    why: Why = "",
    request_id: RequestId,
) -> None:
    """Take items out of a slot."""
    kind = pb.StockMovement.KIND_LOST if lost else pb.StockMovement.KIND_TAKEN_OUT
    request = pb.AdjustStockRequest(name=slot_name(name), change=-items, kind=kind)
    _adjust(context, request, why, request_id)


@slots.command("count")
@command
def count_slot(
    context: typer.Context,
    name: Slot,
    items: Annotated[
        int, typer.Argument(min=0, max=COUNT_MAX, help="Items that no drop has reserved.")
    ],
    *,
    was: Annotated[
        int | None,
        typer.Option(min=0, help="What the slot showed when you counted; refused if it is not."),
    ] = None,
    why: Why = "",
    request_id: RequestId,
) -> None:
    """Set a slot to what was counted, unless something is sold or loaded in between."""
    request = pb.AdjustStockRequest(name=slot_name(name), count=items)
    machine = pb.GetMachineRequest(name=request.name.partition("/slots/")[0])
    with shared(context).api() as api:
        found = api.call_public(api.machines.GetMachine, machine).machine.slots
    slot = next((each for each in found if each.name == request.name), None)
    if slot is None:
        raise CommandError(f"there is no slot {name}", Exit.NOT_FOUND)
    if was is not None and slot.available != was:
        text = f"{name} has {slot.available} left, not {was}: look and count again"
        raise CommandError(text, Exit.REFUSED)
    request.etag = slot.etag
    _adjust(context, request, why, request_id)


@slots.command("movements")
@command
def list_movements(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[SLOT]", help="Of one slot only, such as d/1.")
    ] = None,
    *,
    kind: Annotated[
        list[str] | None, typer.Option(help="Of this kind only, such as lost; may repeat.")
    ] = None,
    since: Since = None,
    before: Before = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="So many of the newest.")] = 50,
) -> None:
    """Show what changed the stock of slots, the newest first."""
    options = shared(context)
    request = pb.ListStockMovementsRequest(
        slot="" if name is None else slot_name(name),
        kinds=[_kind(each) for each in kind or ()],
        **time_range(since, before),
    )
    with options.api() as api:
        found = api.rows(api.machines.ListStockMovements, request, "movements", count)
    rows = [movement_facts(each) for each in found]
    if not options.output.is_json:
        for row, movement in zip(rows, found, strict=True):
            row["time"] = local_time(movement.create_time)
    options.output.rows(rows, MOVEMENT_COLUMNS, "there are no such movements")


def _adjust(
    context: typer.Context, request: pb.AdjustStockRequest, why: str, request_id: str
) -> None:
    options = shared(context)
    request.request_id, request.reason = request_id, why
    with options.api() as api:
        answer = api.call(api.machines.AdjustStock, request)
    movement = answer.movement
    facts = {**_slot_facts(answer.slot), "request_id": request.request_id}
    facts["movement"] = movement_facts(movement)
    options.output.result(
        facts,
        f"{short(answer.slot.name)}: {movement_word(movement.kind)}, {movement.change:+d} is"
        f" {movement.on_hand}",
    )


def movement_facts(movement: pb.StockMovement) -> dict[str, Any]:
    """A movement of stock as JSON values."""
    return {
        "time": iso_time(movement.create_time),
        "slot": short(movement.name.partition("/movements/")[0]),
        "kind": movement_word(movement.kind),
        "change": movement.change,
        "on_hand": movement.on_hand,
        "actor": movement.actor,
        "drop": short(movement.drop),
        "reason": movement.reason,
    }


def _kind(word: str) -> pb.StockMovement.Kind.ValueType:
    for value, known in MOVEMENTS.items():
        if known == word.lower().replace("_", " "):
            return value
    words = ", ".join(MOVEMENTS.values())
    raise CommandError(f"no kind of movement is {word}; they are {words}", Exit.USAGE)


def _new_file(path: Path) -> int:
    try:
        return create_private(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", Exit.USAGE) from None


def _facts(machine: pb.Machine) -> dict[str, Any]:
    return {
        "machine": short(machine.name),
        "display_name": machine.display_name,
        "location": machine.location,
        "enabled": machine.enabled,
        **machine_facts(machine),
        "slots": [short(slot.name) for slot in machine.slots],
    }


def _sentence(machine: pb.Machine) -> str:
    place = f", {machine.location}" if machine.location else ""
    service = "" if machine.enabled else ", out of service"
    return f"{short(machine.name)}: {machine.display_name}{place}{service}"


def _item_name(number: int | None) -> str | None:
    """The resource name of an item; empty for 0, which stands for none."""
    return None if number is None else f"items/{number}" if number else ""


def _slot_facts(slot: pb.Slot) -> dict[str, Any]:
    return {
        "slot": short(slot.name),
        "item": slot.item,
        "price": slot.price,
        "available": slot.available,
        "enabled": slot.enabled,
        "item_number": short(slot.sold_item),
        "capacity": slot.capacity,
        "low_stock_mark": slot.low_stock_mark,
        "low_stock": slot.low_stock,
    }


def _slot_sentence(slot: pb.Slot) -> str:
    service = "" if slot.enabled else ", out of service"
    low = ", low stock" if slot.low_stock else ""
    return (
        f"{short(slot.name)} sells {slot.item} for {slot.price} credits, "
        f"{slot.available} left{low}{service}"
    )
