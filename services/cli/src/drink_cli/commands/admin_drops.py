"""Commands of administrators for everybody's drops."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from drink.v1 import drop_service_pb2 as pb
from drink_cli.commands.drops import (
    HISTORY_COLUMNS,
    drop_facts,
    drop_rows,
    drop_sentence,
    give_back,
)
from drink_cli.context import RequestId, command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.filters import At, Before, Item, Since, drop_filters
from drink_cli.text import iso_time, local_time, short

drops = typer.Typer(help="Everybody's drops.", no_args_is_help=True, rich_markup_mode=None)

DropName = Annotated[str, typer.Argument(metavar="DROP", help="The drop's id.")]


@drops.command("list")
@command
def list_all(
    context: typer.Context,
    *,
    name: Annotated[str | None, typer.Option("--account", help="Of one account only.")] = None,
    state: Annotated[
        list[str] | None, typer.Option(help="In this state only, such as unknown; may repeat.")
    ] = None,
    at: At = None,
    item: Item = None,
    since: Since = None,
    before: Before = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="So many of the newest.")] = 50,
) -> None:
    """Show everybody's drops, the newest first."""
    options = shared(context)
    request = pb.ListDropsRequest(
        parent=f"accounts/{name or '-'}",
        states=[_state(each) for each in state or ()],
        **drop_filters(at, item, since, before),
    )
    with options.api() as api:
        found = api.rows(api.drops.ListDrops, request, "drops", count)
    columns = {"account": "ACCOUNT", **HISTORY_COLUMNS}
    rows = drop_rows(found, is_json=options.output.is_json)
    options.output.rows(rows, columns, "there are no such drops")


@drops.command("show")
@command
def show_drop(context: typer.Context, name: DropName) -> None:
    """Show all that is kept of a drop, with the evidence."""
    options = shared(context)
    with options.api() as api:
        drop = api.call(api.drops.GetDrop, pb.GetDropRequest(name=f"drops/{short(name)}")).drop
        request = pb.ListDropRecordsRequest(parent=drop.name)
        records = api.call(api.drops.ListDropRecords, request).records
    if options.output.is_json:
        facts = {**drop_facts(drop), "records": [_record(each) for each in records]}
        options.output.result(facts, "")
        return
    options.output.say(f"{short(drop.account)}: {drop_sentence(drop)}")
    for record in records:
        facts = plain_facts(record.facts)
        evidence = facts.pop("evidence", None) or {}
        options.output.say(
            f"{local_time(record.create_time)}  {record.kind}  {record.actor}: {facts_words(facts)}"
        )
        for sentence in _evidence(evidence):
            options.output.say(f"    {sentence}")


@drops.command("resolve")
@command
def resolve(
    context: typer.Context,
    name: DropName,
    *,
    dispensed: Annotated[
        bool, typer.Option("--dispensed/--not-dispensed", help="Whether the can fell.")
    ],
    why: Annotated[str, typer.Option(help="What you know, for the audit log.")],
) -> None:
    """Decide what became of a drop that nobody can tell of: its buyer pays, or gets the credits."""
    options = shared(context)
    request = pb.ResolveDropRequest(
        name=f"drops/{short(name)}",
        state=pb.Drop.STATE_DISPENSED if dispensed else pb.Drop.STATE_NOT_DISPENSED,
        reason=why,
    )
    with options.api() as api:
        drop = api.call(api.drops.ResolveDrop, request).drop
    credits_ = f"pays {drop.price} credits" if dispensed else f"has {drop.price} credits back"
    options.output.result(
        drop_facts(drop), f"{short(drop.name)}: decided; {short(drop.account)} {credits_}"
    )


# A number below zero looks like an option, and is refused as a number.
@drops.command("refund", context_settings={"ignore_unknown_options": True})
@command
def refund(
    context: typer.Context,
    name: DropName,
    *,
    why: Annotated[str, typer.Option(help="Why, for the audit log and the buyer.")],
    number: Annotated[
        int | None,
        typer.Option("--credits", help="So many; all that was paid if not given."),
    ] = None,
    restock: Annotated[
        bool, typer.Option("--restock", help="The can is back in its slot, and counted there.")
    ] = False,
    request_id: RequestId,
) -> None:
    """Give back what was paid for a drop, once, in whole or part."""
    request = pb.RefundDropRequest(
        request_id=request_id,
        name=f"drops/{short(name)}",
        credits=number,
        reason=why,
        restock=restock,
    )
    give_back(shared(context), request)


def _record(record: pb.DropRecord) -> dict[str, Any]:
    return {
        "time": iso_time(record.create_time),
        "kind": record.kind,
        "actor": record.actor,
        "facts": plain_facts(record.facts),
    }


def _evidence(facts: dict[str, Any]) -> Iterator[str]:
    """What an agent saw, in sentences: each line between it and the board, then the rest."""
    for line in facts.pop("lines", ()):
        offset_s = line.pop("offset_ms", 0) / 1_000
        text, direction = line.pop("text", ""), str(line.pop("direction", "")).lower()
        more = f" ({facts_words(line)})" if line else ""
        yield f"{offset_s:+9.3f} s  {direction:<8}  {text}{more}"
    if words := facts_words(facts):
        yield words


def facts_words(facts: dict[str, Any]) -> str:
    """Facts as words: `cause BOARD_SILENT, slot 2`; without those that say nothing."""
    return ", ".join(
        f"{name.replace('_', ' ')} {_fact_word(value)}"
        for name, value in sorted(facts.items())
        if value not in (None, "", [], {})
    )


def _fact_word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def plain_facts(facts: Struct) -> Any:
    """The facts of a record or alarm as JSON values."""
    return _whole(MessageToDict(facts))


def _whole(value: Any) -> Any:
    """The value with whole numbers as such: a Struct has every number as a float."""
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _state(text: str) -> pb.Drop.State.ValueType:
    name = f"STATE_{text.strip().upper().replace(' ', '_').replace('-', '_')}"
    names = pb.Drop.State.keys()[1:]
    if name not in names:
        known = [each.removeprefix("STATE_").lower() for each in names]
        raise CommandError(f"not a state: {text!r}; one of {', '.join(known)}", Exit.USAGE)
    return pb.Drop.State.Value(name)
