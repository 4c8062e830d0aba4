"""Commands of administrators for kiosks."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from drink.v1 import kiosk_service_pb2 as pb
from drink_cli.context import command, shared
from drink_cli.text import iso_time, local_time, short

kiosks = typer.Typer(help="Kiosks at machines.", no_args_is_help=True, rich_markup_mode=None)

COLUMNS = {
    "kiosk": "KIOSK",
    "machine": "MACHINE",
    "name": "NAME",
    "state": "STATE",
    "since": "SINCE",
}

STATES = {
    pb.Kiosk.STATE_PAIRING: "waits for its code",
    pb.Kiosk.STATE_PAIRED: "paired",
    pb.Kiosk.STATE_ENDED: "ended",
}


@kiosks.command("list")
@command
def list_kiosks(context: typer.Context) -> None:
    """Show the kiosks that are paired or may be, the oldest first."""
    options = shared(context)
    with options.api() as api:
        found = api.call(api.kiosks.ListKiosks, pb.ListKiosksRequest()).kiosks
    rows = [dict(_facts(each)) for each in found]
    if not options.output.is_json:
        for row, each in zip(rows, found, strict=True):
            is_paired = each.HasField("pair_time")
            row["since"] = local_time(each.pair_time if is_paired else each.create_time)
    options.output.rows(rows, COLUMNS, "there are no kiosks")


@kiosks.command()
@command
def pair(
    context: typer.Context,
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="At which it sells.")],
    *,
    name: Annotated[
        str, typer.Option("--name", metavar="TEXT", help="What to call the kiosk in lists.")
    ] = "",
) -> None:
    """Make a kiosk, and show the code to type in at it."""
    options = shared(context)
    request = pb.PairKioskRequest(machine=f"machines/{short(machine)}", display_name=name)
    with options.api() as api:
        made = api.call(api.kiosks.PairKiosk, request)
    facts = {**_facts(made.kiosk), "pairing_code": made.pairing_code}
    until = local_time(made.kiosk.pairing_expire_time)
    sentence = f"kiosk {facts['kiosk']}: pairing code {made.pairing_code} until {until}"
    options.output.result(facts, sentence)


@kiosks.command()
@command
def unpair(
    context: typer.Context,
    kiosk: Annotated[
        str, typer.Argument(metavar="KIOSK", help="Its number, as `kiosks list` shows it.")
    ],
) -> None:
    """End a kiosk, such as a stolen one, and every login that was made at it."""
    options = shared(context)
    request = pb.UnpairKioskRequest(name=f"kiosks/{short(kiosk)}")
    with options.api() as api:
        ended = api.call(api.kiosks.UnpairKiosk, request).kiosk
    options.output.result(_facts(ended), f"kiosk {short(ended.name)} ended")


def _facts(kiosk: pb.Kiosk) -> Mapping[str, Any]:
    return {
        "kiosk": short(kiosk.name),
        "machine": short(kiosk.machine),
        "name": kiosk.display_name,
        "state": STATES.get(kiosk.state, f"state {kiosk.state}"),
        "created": iso_time(kiosk.create_time),
        "pairing_expires": iso_time(kiosk.pairing_expire_time),
        "paired": iso_time(kiosk.pair_time),
    }
