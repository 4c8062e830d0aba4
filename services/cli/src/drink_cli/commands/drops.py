"""Commands of drops: buying, following, cancelling, looking back."""

import re
import sys
from typing import Annotated, Any

import typer

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as pb
from drink_cli.api import Api
from drink_cli.context import RequestId, Shared, command, shared
from drink_cli.errors import CallError, CommandError, Exit
from drink_cli.filters import At, Before, Item, Since, drop_filters, time_range
from drink_cli.follow import Progress, is_answered, queue_words, states
from drink_cli.output import Output
from drink_cli.purchase import PendingPurchases, Purchase, new_purchase, slot_name
from drink_cli.text import cause_words, iso_time, local_time, short, state_word

AWAY_LIMIT_S = 300.0
"""Seconds without an answer after which a drop is no longer followed; `--resume` goes on later."""

DELAY_MAX_S = 300

HISTORY_COLUMNS = {
    "time": "TIME",
    "item": "ITEM",
    "slot": "SLOT",
    "price": "PRICE",
    "state": "STATE",
    "why": "WHY",
    "drop": "DROP",
}
ENTRY_COLUMNS = {
    "time": "TIME",
    "kind": "KIND",
    "credits": "CREDITS",
    "counterpart": "COUNTERPART",
    "item": "ITEM",
    "reason": "REASON",
    "actor": "BY",
    "drop": "DROP",
}
ENTRY_KINDS = {
    accounts.Entry.KIND_TRANSFER: "transfer",
    accounts.Entry.KIND_HOLD: "held",
    accounts.Entry.KIND_POST: "paid",
    accounts.Entry.KIND_VOID: "freed",
}


def drop_facts(drop: pb.Drop) -> dict[str, Any]:
    """A drop as JSON values."""
    return {
        "drop": short(drop.name),
        "account": short(drop.account),
        "slot": short(drop.slot),
        "item": drop.item,
        "price": drop.price,
        "state": _enum_name(pb.Drop.State, drop.state, "STATE_"),
        "cause": _enum_name(pb.Drop.Cause, drop.cause, "CAUSE_"),
        "decided_by": drop.decided_by or None,
        "decision_reason": drop.decision_reason or None,
        "drops_ahead": drop.drops_ahead if drop.HasField("drops_ahead") else None,
        "expected_s": (
            drop.expected_duration.ToMilliseconds() / 1_000
            if drop.HasField("expected_duration")
            else None
        ),
        "refunded": drop.refunded_credits,
        "request_id": drop.request_id,
        "created": iso_time(drop.create_time),
        "scheduled": iso_time(drop.schedule_time),
        "dispatched": iso_time(drop.dispatch_time),
        "settled": iso_time(drop.settle_time),
    }


def _enum_name(enum: Any, value: int, prefix: str) -> str | int:
    """Name of an enum's value; of a newer server's values, the number."""
    return enum.Name(value).removeprefix(prefix) if value in enum.values() else value


def drop_rows(drops: list[pb.Drop], *, is_json: bool) -> list[dict[str, Any]]:
    """Drops as rows of a table, or as JSON values."""
    if is_json:
        return [drop_facts(each) for each in drops]
    return [
        {
            "time": local_time(each.create_time),
            "account": short(each.account),
            "item": each.item,
            "slot": short(each.slot),
            "price": each.price,
            "state": state_word(each.state),
            "why": "" if each.state == pb.Drop.STATE_DISPENSED else cause_words(each.cause),
            "drop": short(each.name),
        }
        for each in drops
    ]


def drop_sentence(drop: pb.Drop) -> str:
    """What became of a drop, for its buyer."""
    what, why = f"{drop.item} from {short(drop.slot)}", cause_words(drop.cause)
    match drop.state:
        case pb.Drop.STATE_DISPENSED:
            back = f" and have {drop.refunded_credits} back" if drop.refunded_credits else ""
            return f"{what} fell. You paid {drop.price} credits{back}.{_decision(drop)}"
        case pb.Drop.STATE_NOT_DISPENSED:
            return f"{what} did not fall: {why}. You paid nothing.{_decision(drop)}"
        case pb.Drop.STATE_UNKNOWN:
            return (
                f"Nobody can tell whether {what} fell: {why}. {drop.price} credits are held, not "
                "paid, until evidence or an operator decides. Please do not buy again for it. "
                f"`drink show {short(drop.name)}` tells how it stands."
            )
        case _:
            return (
                f"{what}: {state_word(drop.state)}{queue_words(drop)}, {drop.price} credits held. "
                f"`drink show {short(drop.name)}` tells how it stands."
            )


def _decision(drop: pb.Drop) -> str:
    """Who decided what became of a drop; why, for administrators."""
    if not drop.decided_by:
        return ""
    if drop.decision_reason:
        return f" {drop.decided_by} decided so: {drop.decision_reason}"
    is_told = drop.state == pb.Drop.STATE_NOT_DISPENSED
    return "" if is_told else " An operator decided so."


@command
def drop(
    context: typer.Context,
    slot: Annotated[str | None, typer.Argument(help="MACHINE/NUMBER, such as d/1.")] = None,
    *,
    delay: Annotated[
        str, typer.Option(metavar="TIME", help="Wait before the motor: 5, 5s or 2m, 5m at most.")
    ] = "0",
    max_price: Annotated[
        int | None, typer.Option(min=0, metavar="CREDITS", help="Buy only up to this price.")
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the end.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Find out what became of drops whose end was not seen."),
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="With --resume: buy what never reached the server.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="With --resume: give up what never reached it.")
    ] = False,
) -> Exit | None:
    """Drop a can, and say how it comes along and what became of it.

    The purchase is kept on disk before the server is asked. Whatever happens to this program or to
    the network, `drink drop --resume` finds out, and nothing is bought twice.
    """
    options = shared(context)
    if resume:
        if slot is not None or (again and forget):
            raise CommandError("--resume takes no slot, and --again or --forget", Exit.USAGE)
        return _resume(options, again=again, forget=forget)
    if slot is None or again or forget:
        raise CommandError("name a slot, such as d/1, or --resume", Exit.USAGE)
    purchase = new_purchase(slot_name(slot), seconds(delay), max_price)
    with options.api() as api:
        if not api.profile.token():
            raise CommandError("not logged in; `drink login` does it", Exit.LOGIN)
        pending = PendingPurchases(api.profile.purchases_folder)
        pending.keep(purchase)
        placed = _place(api, pending, purchase)
        return _follow(options, api, pending, purchase, placed, wait=not no_wait)


def seconds(text: str) -> int:
    """Seconds of a delay such as `5`, `5s` or `2m`.

    Raises:
        CommandError: it is none, or longer than 5 minutes.
    """
    match = re.fullmatch(r"([0-9]{1,4})(s|m|)", text.strip())
    if match is None:
        raise CommandError(f"not a delay: {text!r}; write 5, 5s or 2m", Exit.USAGE)
    delay_s = int(match[1]) * (60 if match[2] == "m" else 1)
    if delay_s > DELAY_MAX_S:
        raise CommandError(f"a delay is at most {DELAY_MAX_S} s", Exit.USAGE)
    return delay_s


def _place(api: Api, pending: PendingPurchases, purchase: Purchase) -> pb.Drop:
    try:
        return api.call(api.drops.Drop, purchase.request()).drop
    except CallError as error:
        if error.is_lost:
            raise CommandError(
                f"{error}. Whether the drop was made is not known: `drink drop --resume` finds out",
                error.code,
            ) from None
        pending.forget(purchase)
        raise


def _follow(
    options: Shared,
    api: Api,
    pending: PendingPurchases,
    purchase: Purchase,
    placed: pb.Drop,
    *,
    wait: bool = True,
) -> Exit | None:
    """Follows a drop to its end, tells it, and removes the purchase once its end is known."""
    latest = placed
    delay_s = purchase.delay_s if placed.state == pb.Drop.STATE_SCHEDULED else 0
    if wait:
        try:
            with Progress(options.output, delay_s) as progress:
                for latest in states(api, placed, AWAY_LIMIT_S):
                    progress.show(latest)
        except KeyboardInterrupt:
            latest = _interrupted(api, latest)
            if not is_answered(latest):
                _tell(options.output, latest)
                return Exit.INTERRUPTED
        except CallError as error:
            raise CommandError(
                f"{error}. The drop {short(latest.name)} goes on: `drink drop --resume` tells its "
                "end",
                error.code,
            ) from None
    _tell(options.output, latest)
    if latest.state in {pb.Drop.STATE_DISPENSED, pb.Drop.STATE_NOT_DISPENSED}:
        # Only now: whoever ends this program before has not been told yet.
        pending.forget(purchase)
    return _exit_code(latest)


def _interrupted(api: Api, drop: pb.Drop) -> pb.Drop:
    """The drop after Ctrl-C: cancelled, if it still can be and the buyer wants it."""
    if drop.state != pb.Drop.STATE_SCHEDULED or not sys.stdin.isatty():
        return drop
    try:
        is_wanted = typer.confirm("Cancel the drop?", default=True, err=True)
    except typer.Abort:
        # Ctrl-C again: to leave, and to let the drop be.
        is_wanted = False
    if not is_wanted:
        return drop
    try:
        return api.call(api.drops.CancelDrop, pb.CancelDropRequest(name=drop.name)).drop
    except CallError as error:
        if error.reason != "DROP_NOT_CANCELLABLE":
            raise
        return api.call(api.drops.GetDrop, pb.GetDropRequest(name=drop.name)).drop


def _tell(output: Output, drop: pb.Drop) -> None:
    output.result(drop_facts(drop), drop_sentence(drop))


def _exit_code(drop: pb.Drop) -> Exit | None:
    match drop.state:
        case pb.Drop.STATE_DISPENSED:
            return None
        case pb.Drop.STATE_NOT_DISPENSED:
            return Exit.NOT_DISPENSED
        case pb.Drop.STATE_UNKNOWN:
            return Exit.UNKNOWN
        case _:
            return Exit.PENDING


def _resume(options: Shared, *, again: bool, forget: bool) -> Exit | None:
    """Finds out what became of each pending purchase; the worst exit code of all."""
    codes: list[int] = []
    with options.api() as api:
        pending = PendingPurchases(api.profile.purchases_folder)
        purchases = list(pending)
        if not purchases:
            options.output.result({"pending": 0}, "the end of every drop was seen")
        for purchase in purchases:
            try:
                placed = _find(api, purchase)
            except CallError as error:
                if error.reason != "DROP_NOT_FOUND":
                    raise
                codes.append(
                    _never_made(options, api, pending, purchase, again=again, forget=forget) or 0
                )
                continue
            codes.append(_follow(options, api, pending, purchase, placed) or 0)
    return Exit(max(codes)) if any(codes) else None


def _find(api: Api, purchase: Purchase) -> pb.Drop:
    return api.call(api.drops.GetDrop, pb.GetDropRequest(request_id=purchase.request_id)).drop


def _never_made(
    options: Shared,
    api: Api,
    pending: PendingPurchases,
    purchase: Purchase,
    *,
    again: bool,
    forget: bool,
) -> Exit | None:
    if again:
        placed = _place(api, pending, purchase)
        return _follow(options, api, pending, purchase, placed)
    facts = {"slot": short(purchase.slot), "request_id": purchase.request_id, "state": None}
    if forget:
        options.output.result(facts, f"{short(purchase.slot)}: never bought, and given up")
        pending.forget(purchase)
        return None
    options.output.result(
        facts,
        f"{short(purchase.slot)}: the server has no such drop, nothing was bought so far. "
        "`drink drop --resume --again` buys it, `drink drop --resume --forget` gives it up.",
    )
    return Exit.PENDING


@command
def show(context: typer.Context, name: Annotated[str, typer.Argument(metavar="DROP")]) -> None:
    """Show how a drop stands."""
    options = shared(context)
    with options.api() as api:
        request = pb.GetDropRequest(name=f"drops/{short(name)}")
        _tell(options.output, api.call(api.drops.GetDrop, request).drop)


@command
def cancel(context: typer.Context, name: Annotated[str, typer.Argument(metavar="DROP")]) -> None:
    """Cancel a drop that has not reached its machine."""
    options = shared(context)
    with options.api() as api:
        request = pb.CancelDropRequest(name=f"drops/{short(name)}")
        _tell(options.output, api.call(api.drops.CancelDrop, request).drop)


@command
def report(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="DROP")],
    *,
    fell: Annotated[
        bool | None, typer.Option("--fell/--did-not-fall", help="Whether the can fell.")
    ] = None,
    text: Annotated[str, typer.Option(help="What else there is to say.")] = "",
) -> None:
    """Say what you saw of a drop; administrators read it, and it decides nothing."""
    options = shared(context)
    seen = {
        None: pb.ReportDropRequest.SEEN_UNSPECIFIED,
        True: pb.ReportDropRequest.SEEN_FELL,
        False: pb.ReportDropRequest.SEEN_DID_NOT_FALL,
    }[fell]
    request = pb.ReportDropRequest(name=f"drops/{short(name)}", seen=seen, text=text)
    with options.api() as api:
        drop = api.call(api.drops.ReportDrop, request).drop
    options.output.result(drop_facts(drop), f"{short(drop.name)}: kept with the drop")


@command
def refund(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="DROP")],
    *,
    why: Annotated[str, typer.Option(help="Why, for administrators and the own entries.")],
    number: Annotated[
        int | None, typer.Option("--credits", help="So many; all that was paid if not given.")
    ] = None,
    request_id: RequestId,
) -> None:
    """Give an own drop back, once, where the house lets buyers do so for some minutes."""
    request = pb.RefundDropRequest(
        request_id=request_id, name=f"drops/{short(name)}", credits=number, reason=why
    )
    give_back(shared(context), request)


def give_back(options: Shared, request: pb.RefundDropRequest) -> None:
    """Asks for a refund, and tells it.

    Raises:
        CallError: the server refused, or did not answer.
    """
    with options.api() as api:
        drop = api.call(api.drops.RefundDrop, request).drop
    options.output.result(
        {**drop_facts(drop), "request_id": request.request_id},
        f"{short(drop.name)}: {short(drop.account)} has {drop.refunded_credits}"
        f" of {drop.price} credits back",
    )


@command
def history(
    context: typer.Context,
    *,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="So many of the newest.")] = 20,
    entries: Annotated[
        bool,
        typer.Option(
            "--entries", help="Every movement of credits; held or freed ones in brackets."
        ),
    ] = False,
    at: At = None,
    item: Item = None,
    since: Since = None,
    before: Before = None,
) -> None:
    """Show the own drops, the newest first."""
    options = shared(context)
    if entries and (at is not None or item is not None):
        raise CommandError("--entries goes with --since and --before only", Exit.USAGE)
    with options.api() as api:
        if entries:
            request = accounts.ListEntriesRequest(**time_range(since, before))
            found = api.rows(api.accounts.ListEntries, request, "entries", count)
            rows = [entry_row(each, is_json=options.output.is_json) for each in found]
            options.output.rows(rows, ENTRY_COLUMNS, "no credits have moved")
            return
        wanted = pb.ListDropsRequest(**drop_filters(at, item, since, before))
        drops = api.rows(api.drops.ListDrops, wanted, "drops", count)
    rows = drop_rows(drops, is_json=options.output.is_json)
    options.output.rows(rows, HISTORY_COLUMNS, "no such drops; `drink drop` makes one")


def entry_row(entry: accounts.Entry, *, is_json: bool) -> dict[str, Any]:
    """An entry of the ledger as a row, or as JSON values."""
    stamp, change = entry.create_time, _entry_credits(entry)
    # In brackets for people, as on the page: what is paid or moved adds up to what is owned.
    is_held = entry.kind in (accounts.Entry.KIND_HOLD, accounts.Entry.KIND_VOID)
    return {
        "time": iso_time(stamp) if is_json else local_time(stamp),
        "kind": _entry_kind(entry),
        "credits": f"({change})" if is_held and not is_json else change,
        "counterpart": short(entry.counterpart),
        "drop": short(entry.drop) if entry.drop else None,
        "item": entry.item or None,
        "actor": entry.actor or None,
        "reason": entry.reason or None,
    }


def _entry_credits(entry: accounts.Entry) -> int:
    """What an entry does to what can be spent; what a payment takes of the held credits."""
    return -entry.credits if entry.kind == accounts.Entry.KIND_VOID else entry.credits


def _entry_kind(entry: accounts.Entry) -> str:
    if entry.kind == accounts.Entry.KIND_TRANSFER and entry.drop:
        return "refund"
    return ENTRY_KINDS.get(entry.kind, f"kind {entry.kind}")
