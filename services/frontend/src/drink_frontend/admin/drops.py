"""Drops, their history, alarms, and decisions about drops in the state UNKNOWN."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from drink_frontend.admin.command import moment, operator, operator_account, recorded, run, table
from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Alarm, AuditKind, AuditRecord, Drop

if TYPE_CHECKING:
    from drink_frontend.app import Administration
    from drink_frontend.storage.transaction import Transaction

drops = typer.Typer(help="Drops.", no_args_is_help=True)

ROWS_MAX = 1_000
"""Most rows a command shows."""

DropId = Annotated[str, typer.Argument(help="The drop's id.")]
Limit = Annotated[int, typer.Option(min=1, max=ROWS_MAX, help="At most this many.")]


@drops.command("list")
def list_drops(
    context: typer.Context,
    account: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    state: Annotated[list[State] | None, typer.Option(help="Only in this state.")] = None,
    limit: Limit = 50,
) -> None:
    """Show drops, newest first."""
    found = run(
        context,
        lambda drink: drink.drops.list(operator_account(), account, state or (), None, limit),
    )
    table(
        ("drop", "account", "machine", "slot", "item", "price", "state", "cause", "reserved"),
        [
            (
                drop.id,
                drop.account,
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
        f"{found.account} for {found.price} credits: {found.item},"
        f" machine {found.machine} slot {found.slot}"
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


def alarms(context: typer.Context, limit: Limit = 50) -> None:
    """Show what an operator should look at: unknown drops, contradictions, floods."""

    def look(tx: "Transaction") -> tuple[list[Drop], list[AuditRecord], list[Alarm]]:
        kinds = [kind for kind in AuditKind if kind.alarming]
        return (
            list(tx.drops.in_state(State.UNKNOWN)),
            list(tx.audit.list(kinds=kinds, limit=limit)),
            list(tx.alarms.list()),
        )

    unknown, records, counted = run(context, lambda drink: drink.storage.read(look))
    for drop in unknown:
        typer.echo(
            f"{moment(drop.settled_ms)}  {drop.state} {drop.cause}  {drop.id}"
            f"  {drop.account}, {drop.price} credits held, {drop.machine} slot {drop.slot}"
        )
    for record in reversed(records):
        _show_record(record)
    for alarm in counted:
        facts = json.dumps(alarm.facts, ensure_ascii=False)
        typer.echo(
            f"{moment(alarm.last_ms)}  {alarm.kind}  {alarm.machine}  {alarm.count} times since"
            f" {moment(alarm.first_ms)}  {facts}"
        )
    if not unknown and not records and not counted:
        typer.echo("Nothing to look at.")


def _show_record(record: AuditRecord) -> None:
    about = " ".join(
        part for part in (record.drop_id, record.machine, record.account) if part is not None
    )
    facts = json.dumps(record.facts, ensure_ascii=False)
    typer.echo(f"{moment(record.at_ms)}  {record.kind}  {record.actor}  {about}  {facts}")
