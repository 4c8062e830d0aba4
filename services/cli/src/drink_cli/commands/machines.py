"""Commands that show machines; everybody may use them."""

from typing import Annotated, Any

import typer

from drink.v1 import machine_service_pb2 as pb
from drink_cli.context import command, shared
from drink_cli.errors import CallError, CommandError, Exit
from drink_cli.text import iso_time, local_time, reach_word, short

COLUMNS = {
    "slot": "SLOT",
    "item": "ITEM",
    "price": "PRICE",
    "available": "LEFT",
    "state": "STATE",
    "machine": "MACHINE",
    "temperature": "TEMP",
    "since": "NOT READY SINCE",
}


def slot_state(machine: pb.Machine, slot: pb.Slot) -> str:
    """Whether something can be bought from a slot, or else why not, in a word or three."""
    if not machine.enabled or not slot.enabled:
        return "out of service"
    if machine.reach != pb.Machine.REACH_READY:
        return reach_word(machine.reach)
    return "ready" if slot.available > 0 else "sold out"


def machine_facts(machine: pb.Machine) -> dict[str, Any]:
    """How far a command gets to a machine, and what its agent and board report, as JSON values."""
    has_temperature = machine.HasField("temperature_celsius")
    return {
        "reach": reach_word(machine.reach),
        "reach_time": iso_time(machine.reach_time),
        "temperature_celsius": machine.temperature_celsius if has_temperature else None,
        "temperature_time": iso_time(machine.temperature_time),
        "agent_version": machine.agent_version,
        "firmware_version": machine.firmware_version,
    }


def celsius(machine: pb.Machine) -> str | None:
    """A machine's temperature for people; None without one."""
    known = machine.HasField("temperature_celsius")
    return f"{machine.temperature_celsius:.1f} °C" if known else None


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
        **machine_facts(machine),
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
    rows = [
        slot_facts(each, slot) | ({} if options.output.is_json else _cells(each))
        for each in found
        for slot in each.slots
    ]
    options.output.rows(rows, COLUMNS, "there are no machines")


def _cells(machine: pb.Machine) -> dict[str, Any]:
    """What the table shows of a slot's machine."""
    is_ready = machine.reach == pb.Machine.REACH_READY
    return {
        "temperature": celsius(machine),
        "since": None if is_ready else local_time(machine.reach_time),
    }


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
