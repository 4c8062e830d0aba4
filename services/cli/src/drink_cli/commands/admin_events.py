"""The command that shows what happens."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import alarm_service_pb2 as alarms
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import event_service_pb2 as pb
from drink.v1 import item_service_pb2 as items
from drink.v1 import kiosk_service_pb2 as kiosks
from drink.v1 import machine_service_pb2 as machines
from drink_cli.api import Api
from drink_cli.commands.machines import celsius
from drink_cli.context import command, shared
from drink_cli.errors import CallError, CommandError, Exit
from drink_cli.text import local_time, reach_word, short, state_word

AGAIN = {"SHUTTING_DOWN", "WATCH_TOO_SLOW"}
"""Reasons after which the watch goes on from its cursor at once."""

PREFIX = "KIND_"


@command
def events(
    context: typer.Context,
    *,
    cursor: Annotated[
        str, typer.Option("--from", metavar="CURSOR", help="Begin after it instead of now.")
    ] = "",
    machine: Annotated[str | None, typer.Option(help="About one machine only.")] = None,
    account: Annotated[str | None, typer.Option(help="About one account only.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Of this kind only, such as DROP; may repeat.")
    ] = None,
) -> None:
    """Show everything that happens, until Ctrl-C. With --json each line has its cursor."""
    options = shared(context)
    request = pb.WatchEventsRequest(
        cursor=cursor,
        machine=f"machines/{machine}" if machine else "",
        account=f"accounts/{account}" if account else "",
        kinds=[_kind(each) for each in kind or ()],
    )
    with options.api() as api:
        for response in _responses(api, request):
            for event in response.events:
                options.output.event(_facts(event), _line(event))
            if not response.events and request.cursor != response.cursor:
                sentence = f"--from {response.cursor} begins here"
                options.output.event({"cursor": response.cursor}, sentence)
            request.cursor = response.cursor


def _responses(api: Api, request: pb.WatchEventsRequest) -> Iterator[pb.WatchEventsResponse]:
    """The responses of one watch after the other; the caller keeps the request's cursor."""
    while True:
        try:
            yield from api.watch(api.events.WatchEvents, request)
        except CallError as error:
            if error.reason not in AGAIN:
                raise
        else:
            raise CommandError("the server ended the watch", Exit.UNREACHABLE)


def _kind(name: str) -> pb.Event.Kind.ValueType:
    try:
        return pb.Event.Kind.Value(PREFIX + name.strip().upper().replace("-", "_"))
    except ValueError:
        kinds = ", ".join(each.removeprefix(PREFIX) for each in pb.Event.Kind.keys()[1:])
        raise CommandError(f"--kind: must be one of {kinds}", Exit.USAGE) from None


def _word(kind: int) -> str:
    """A kind in a word; of a newer server's kinds, the number."""
    known = pb.Event.Kind.DESCRIPTOR.values_by_number.get(kind)
    name = f"kind {kind}" if known is None else known.name.removeprefix(PREFIX)
    return name.lower().replace("_", " ")


def _facts(event: pb.Event) -> dict[str, Any]:
    """An event as protobuf writes it in JSON, where 64-bit numbers are texts."""
    return dict(MessageToDict(event, preserving_proto_field_name=True))


def _line(event: pb.Event) -> str:
    by = f" by {event.actor}" if event.actor else ""
    time = local_time(event.event_time)
    return f"{time}  {_word(event.kind)} {short(event.name)}: {_summary(event)}{by}"


def _summary(event: pb.Event) -> str:
    """What is most important of the resource after the change."""
    resource = event.WhichOneof("resource")
    # A newer server may send types that this program does not know.
    return "changed" if resource is None else _SUMMARIES[resource](getattr(event, resource))


def _drop(drop: drops.Drop) -> str:
    return f"{drop.item} for {short(drop.account)} {state_word(drop.state)}"


def _record(record: drops.DropRecord) -> str:
    return record.kind


def _account(account: accounts.Account) -> str:
    words = [f"{account.posted_credits} credits, {account.held_credits} held"]
    words += ["closed"] * account.closed + ["administrator"] * account.admin
    words += [f"called {account.display_name}"] * bool(account.display_name)
    return ", ".join(words)


def _machine(machine: machines.Machine) -> str:
    since = local_time(machine.reach_time)
    words = [reach_word(machine.reach) + (f" since {since}" if since else "")]
    if machine.HasField("temperature_celsius"):
        since = local_time(machine.temperature_time)
        words.append(f"{celsius(machine)}" + (f" since {since}" if since else ""))
    words += [f"agent {machine.agent_version}"] * bool(machine.agent_version)
    words += [f"firmware {machine.firmware_version}"] * bool(machine.firmware_version)
    return ", ".join(words + ["out of service"] * (not machine.enabled))


def _slot(slot: machines.Slot) -> str:
    return f"{slot.item}, {slot.price} credits, {slot.available} left"


def _item(item: items.Item) -> str:
    return f"{item.display_name}, {item.price} credits"


def _alarm(alarm: alarms.Alarm) -> str:
    return f"{alarm.kind} of {short(alarm.subject)}, {alarm.count} times"


def _kiosk(kiosk: kiosks.Kiosk) -> str:
    state = "ended" if kiosk.state == kiosks.Kiosk.STATE_ENDED else ""
    state = state or ("paired" if kiosk.HasField("pair_time") else "made")
    name = f" ({kiosk.display_name})" if kiosk.display_name else ""
    return f"{short(kiosk.machine)}{name}, {state}"


_SUMMARIES: Mapping[str, Callable[[Any], str]] = {
    "drop": _drop,
    "drop_record": _record,
    "account": _account,
    "machine": _machine,
    "slot": _slot,
    "item": _item,
    "alarm": _alarm,
    "kiosk": _kiosk,
}
