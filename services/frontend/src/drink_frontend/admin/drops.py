"""Drops, their history, and decisions about drops in the state UNKNOWN."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

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
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import MS_MAX, MS_MIN, AuditRecord, Drop, DropSelection
from drink_frontend.domain.limits import SLOT_MAX

if TYPE_CHECKING:
    from drink_frontend.app import Administration

drops = typer.Typer(help="Drops.", no_args_is_help=True)

ROWS_MAX = 1_000
"""Most rows a command shows."""

DropId = Annotated[str, typer.Argument(help="The drop's id.")]
Limit = Annotated[int, typer.Option(min=1, max=ROWS_MAX, help="At most this many.")]


@drops.command("list")
def list_drops(
    context: typer.Context,
    *,
    account: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    state: Annotated[list[State] | None, typer.Option(help="Only in this state.")] = None,
    machine: Annotated[str | None, typer.Option(help="Only of this machine.")] = None,
    slot: Annotated[
        int | None, typer.Option(min=1, max=SLOT_MAX, help="Only of this slot of the machine.")
    ] = None,
    item: Annotated[str | None, typer.Option(help="Only of this item.")] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Reserved at this time (UTC) or later.")
    ] = None,
    before: Annotated[
        datetime | None, typer.Option(help="Reserved before this time (UTC).")
    ] = None,
    limit: Limit = 50,
) -> None:
    """Show drops, newest first."""
    if slot is not None and machine is None:
        raise typer.BadParameter("--slot needs --machine")
    selection = DropSelection(
        account=account,
        states=tuple(state or ()),
        machine=machine,
        slot=slot,
        item=item,
        from_ms=MS_MIN if since is None else epoch_ms(since),
        before_ms=MS_MAX if before is None else epoch_ms(before),
    )
    found = run(context, lambda drink: drink.drops.list(operator_account(), selection, None, limit))
    table(
        ("drop", "account", "machine", "slot", "item", "price", "state", "cause", "reserved"),
        [
            (
                drop.id,
                drop.buyer,
                drop.machine,
                drop.slot,
                drop.item,
                drop.price,
                drop.state,
                "" if drop.cause == "NONE" else drop.cause,
                moment(drop.created_ms),
            )
            for drop in found
        ],
    )


@drops.command()
def show(context: typer.Context, drop: DropId) -> None:
    """Show one drop with its whole history and evidence."""

    async def read(drink: "Administration") -> tuple[Drop, list[AuditRecord]]:
        found = await drink.drops.get(operator_account(), drop)
        records = await drink.storage.read(lambda tx: tx.audit.list(drop_id=drop, limit=ROWS_MAX))
        return found, list(reversed(records))

    found, records = run(context, read)
    typer.echo(
        f"{found.id}  {found.state} {found.cause}\n"
        f"{found.buyer} for {found.price} credits: {found.item},"
        f" machine {found.machine} slot {found.slot}"
        + (f"; {found.refunded} credits were given back" if found.refunded else "")
    )
    for record in records:
        _show_record(record)


@drops.command()
@recorded
def resolve(
    context: typer.Context,
    drop: DropId,
    why: Annotated[str, typer.Option(help="What you know, for the audit log.")],
    *,
    dispensed: Annotated[
        bool, typer.Option("--dispensed/--not-dispensed", help="Whether the can fell.")
    ],
) -> None:
    """Decide what became of a drop in the state UNKNOWN."""
    decided = run(
        context,
        lambda drink: drink.drops.decide(operator(), drop, dispensed=dispensed, why=why),
    )
    typer.echo(f"{decided.id}  {decided.state} {decided.cause}")


# A number below zero looks like an option, and is refused as a number.
@drops.command(context_settings={"ignore_unknown_options": True})
@recorded
def refund(
    context: typer.Context,
    drop: DropId,
    why: Annotated[str, typer.Option(help="Why, for the audit log and the buyer.")],
    *,
    amount: Annotated[
        int | None, typer.Option("--credits", help="So many; all that was paid if not given.")
    ] = None,
    restock: Annotated[
        bool, typer.Option("--restock", help="The can is back in its slot.")
    ] = False,
    request_id: RequestId,
) -> None:
    """Give back what was paid for a drop, once, in whole or part."""

    async def give_back(drink: "Administration") -> Drop:
        from drink_frontend.usecases.refunds import RefundOrder  # noqa: PLC0415

        order = RefundOrder(
            request_id=request_id, drop_id=drop, reason=why, credits_given=amount, restock=restock
        )
        return await drink.drops.refund(operator_account(), order)

    given = run(context, give_back)
    typer.echo(f"{given.id}  {given.refunded} of {given.price} credits are back at {given.buyer}")


def _show_record(record: AuditRecord) -> None:
    about = " ".join(
        part for part in (record.drop_id, record.machine, record.account) if part is not None
    )
    facts = json.dumps(record.facts, ensure_ascii=False)
    typer.echo(f"{moment(record.at_ms)}  {record.kind}  {record.actor}  {about}  {facts}")
