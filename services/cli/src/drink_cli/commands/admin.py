"""Commands of administrators."""

import uuid
from typing import Annotated

import typer

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from drink_cli.commands.account import account_facts, account_sentence
from drink_cli.commands.drops import HISTORY_COLUMNS, drop_rows, list_drops
from drink_cli.context import command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.purchase import slot_name
from drink_cli.text import short

admin = typer.Typer(
    help="What administrators do: accounts, credits, slots, everybody's drops.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@admin.command("account")
@command
def account(
    context: typer.Context, name: Annotated[str, typer.Argument(metavar="ACCOUNT")]
) -> None:
    """Show somebody's credits."""
    options = shared(context)
    with options.api() as api:
        request = accounts.GetAccountRequest(name=f"accounts/{name}")
        found = api.call(api.accounts.GetAccount, request).account
    options.output.result(account_facts(found), account_sentence(found))


@admin.command("credits", context_settings={"ignore_unknown_options": True})
@command
def credits_(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ACCOUNT")],
    number: Annotated[int, typer.Argument(metavar="CREDITS", help="-50 takes 50 back.")],
) -> None:
    """Give somebody credits, or take them back."""
    options = shared(context)
    request = accounts.AddCreditsRequest(
        request_id=str(uuid.uuid4()), account=f"accounts/{name}", credits=number
    )
    with options.api() as api:
        changed = api.call(api.accounts.AddCredits, request).account
    options.output.result(
        {**account_facts(changed), "added": number, "request_id": request.request_id},
        f"{number:+} credits; {account_sentence(changed)}",
    )


@admin.command("slot")
@command
def slot(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SLOT", help="MACHINE/NUMBER, such as d/1.")],
    *,
    item: Annotated[str | None, typer.Option(help="What it sells from now on.")] = None,
    price: Annotated[int | None, typer.Option(min=0, metavar="CREDITS")] = None,
    available: Annotated[
        int | None, typer.Option(min=0, help="Items that can be bought, as counted.")
    ] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether it sells.")
    ] = None,
) -> None:
    """Change what a slot sells, its price or stock, or take it out of service."""
    if item is None and price is None and available is None and enabled is None:
        raise CommandError("nothing to change; see drink admin slot --help", Exit.USAGE)
    options = shared(context)
    request = machines.UpdateSlotRequest(
        name=slot_name(name), item=item, price=price, available=available, enabled=enabled
    )
    with options.api() as api:
        changed = api.call(api.machines.UpdateSlot, request).slot
    options.output.result(
        {
            "slot": short(changed.name),
            "item": changed.item,
            "price": changed.price,
            "available": changed.available,
            "enabled": changed.enabled,
        },
        f"{short(changed.name)} sells {changed.item} for {changed.price} credits, "
        f"{changed.available} left{'' if changed.enabled else ', out of service'}",
    )


@admin.command("drops")
@command
def list_all(
    context: typer.Context,
    name: Annotated[str | None, typer.Option("--account", help="Of one account only.")] = None,
    state: Annotated[
        list[str] | None, typer.Option(help="In this state only, such as unknown; may repeat.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="So many of the newest.")] = 50,
) -> None:
    """Show everybody's drops, the newest first."""
    options = shared(context)
    request = drops.ListDropsRequest(
        parent=f"accounts/{name or '-'}", states=[_state(each) for each in state or ()]
    )
    with options.api() as api:
        found = list_drops(api, request, count)
    columns = {"account": "ACCOUNT", **HISTORY_COLUMNS}
    rows = drop_rows(found, is_json=options.output.is_json)
    options.output.rows(rows, columns, "there are no such drops")


def _state(text: str) -> drops.Drop.State.ValueType:
    name = f"STATE_{text.strip().upper().replace(' ', '_').replace('-', '_')}"
    names = drops.Drop.State.keys()[1:]
    if name not in names:
        known = [each.removeprefix("STATE_").lower() for each in names]
        raise CommandError(f"not a state: {text!r}; one of {', '.join(known)}", Exit.USAGE)
    return drops.Drop.State.Value(name)
