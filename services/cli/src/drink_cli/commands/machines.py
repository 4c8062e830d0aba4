"""Commands that show machines; everybody may use them."""

from typing import Annotated, Any

import typer

from drink.v1 import machine_service_pb2 as pb
from drink_cli.context import command, shared
from drink_cli.errors import CallError, CommandError, Exit
from drink_cli.text import reach_word, short

COLUMNS = {
    "slot": "SLOT",
    "item": "ITEM",
    "price": "PRICE",
    "available": "LEFT",
    "state": "STATE",
    "machine": "MACHINE",
    "temperature": "TEMP",
}


def slot_state(machine: pb.Machine, slot: pb.Slot) -> str:
    """Whether something can be bought from a slot, or else why not, in a word or three."""
    if not machine.enabled or not slot.enabled:
        return "out of service"
    if machine.reach != pb.Machine.REACH_READY:
        return reach_word(machine.reach)
    return "ready" if slot.available > 0 else "sold out"


def slot_facts(machine: pb.Machine, slot: pb.Slot) -> dict[str, Any]:
    """A slot with its machine as JSON values."""
    return {
        "slot": short(slot.name),
        "item": slot.item,
        "price": slot.price,
        "available": slot.available,
        "low_stock": slot.low_stock,
        "state": slot_state(machine, slot),
        "machine": machine.display_name or short(machine.name),
        "location": machine.location,
        "temperature_celsius": machine.temperature_celsius
        if machine.HasField("temperature_celsius")
        else None,
    }


@command
def machines(
    context: typer.Context,
    machine: Annotated[str | None, typer.Argument(help="One machine only.")] = None,
) -> None:
    """Show what the machines hold: item, price, stock, and whether it can be bought now."""
    options = shared(context)
    with options.api() as api:
        if machine is None:
            found = list(
                api.call_public(api.machines.ListMachines, pb.ListMachinesRequest()).machines
            )
        else:
            request = pb.GetMachineRequest(name=f"machines/{machine}")
            found = [api.call_public(api.machines.GetMachine, request).machine]
    rows = [slot_facts(each, slot) for each in found for slot in each.slots]
    if not options.output.is_json:
        for row in rows:
            celsius = row["temperature_celsius"]
            row["temperature"] = None if celsius is None else f"{celsius:.1f} °C"
    options.output.rows(rows, COLUMNS, "there are no machines")


@command
def watch(
    context: typer.Context,
    machine: Annotated[list[str] | None, typer.Argument(help="These machines only.")] = None,
) -> None:
    """Show each machine's changes as they come, until Ctrl-C."""
    options = shared(context)
    request = pb.WatchMachinesRequest(names=[f"machines/{each}" for each in machine or ()])
    seen: dict[str, str] = {}
    with options.api() as api:
        while True:
            try:
                for update in api.watch(api.machines.WatchMachines, request, public=True):
                    for slot in update.machine.slots:
                        facts = slot_facts(update.machine, slot)
                        line = _line(facts)
                        if seen.get(slot.name) != line:
                            seen[slot.name] = line
                            options.output.event(facts, line)
            except CallError as error:
                if error.reason != "SHUTTING_DOWN":
                    raise
            else:
                raise CommandError("the server ended the watch", Exit.UNREACHABLE)


def _line(facts: dict[str, Any]) -> str:
    return (
        f"{facts['slot']:<6} {facts['item']}: {facts['price']} credits, "
        f"{facts['available']} left, {facts['state']}"
    )
