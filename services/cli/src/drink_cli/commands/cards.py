"""Commands for cards: listing, adding and removing them."""

from typing import Annotated, Any

import typer

from drink.v1 import account_service_pb2 as pb
from drink_cli.commands.account import asked_secret
from drink_cli.commands.tokens import Account, account_path, own_account
from drink_cli.context import command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.text import iso_time, local_time

cards = typer.Typer(
    help="Cards with which people log in.", no_args_is_help=True, rich_markup_mode=None
)

COLUMNS = {
    "card": "CARD",
    "name": "NAME",
    "kind": "KIND",
    "since": "SINCE",
    "kiosk": "KIOSK ONLY",
}

_KINDS: dict[int, str] = {pb.Card.KIND_CHIP: "chip", pb.Card.KIND_BARCODE: "barcode"}


@cards.command("list")
@command
def list_cards(context: typer.Context, *, account: Account = None) -> None:
    """Show the cards of the own account, the oldest first; never their numbers."""
    options = shared(context)
    with options.api() as api:
        request = pb.ListCardsRequest(parent=account_path(account))
        found = api.call(api.accounts.ListCards, request).cards
    rows = [_facts(each) for each in found]
    if not options.output.is_json:
        for row, each in zip(rows, found, strict=True):
            row["since"] = local_time(each.create_time)
            row["kiosk"] = "yes" if each.kiosk_only else ""
    options.output.rows(rows, COLUMNS, "there are no cards")


@cards.command("add")
@command
def add_card(
    context: typer.Context,
    *,
    account: Account = None,
    barcode: Annotated[bool, typer.Option("--barcode", help="The number is a barcode.")] = False,
    code: Annotated[
        bool, typer.Option("--code", help="Add the card for which a kiosk shows a code.")
    ] = False,
    name: Annotated[
        str, typer.Option("--name", metavar="TEXT", help="What to call the card in lists.")
    ] = "",
) -> None:
    """Add a card to an account: administrators by its number, everybody with a code.

    The number is asked for, or read from the standard input: 8 to 32 hexadecimal digits of an
    iButton or radio chip, or a barcode. With --code the 6 digits are that a kiosk shows for the
    card; they are good for some minutes.
    """
    options = shared(context)
    if barcode and code:
        raise CommandError("--code says nothing of the number: leave --barcode out", Exit.USAGE)
    number = asked_secret("code: " if code else "card: ")
    kind = "code" if code else "barcode" if barcode else "chip"
    if code:
        number = "".join(number.split())
    with options.api() as api:
        request = pb.AddCardRequest(
            parent=account_path(account) or own_account(api),
            display_name=name,
            **{kind: number},
        )
        card = api.call(api.accounts.AddCard, request).card
    facts = _facts(card)
    where = " for paired kiosks only" if card.kiosk_only else ""
    options.output.result(facts, f"card {facts['card']} added{where}")


@cards.command("remove")
@command
def remove_card(
    context: typer.Context,
    card: Annotated[str, typer.Argument(metavar="CARD", help="As `drink cards list` shows it.")],
    *,
    account: Account = None,
) -> None:
    """Remove a card, such as a lost one; ends every login that was made with a card."""
    options = shared(context)
    with options.api() as api:
        owner = account_path(account) or own_account(api)
        api.call(api.accounts.RemoveCard, pb.RemoveCardRequest(name=f"{owner}/cards/{card}"))
    options.output.result({"removed": card}, f"card {card} removed")


def _facts(card: pb.Card) -> dict[str, Any]:
    return {
        "card": card.name.rpartition("/")[2],
        "name": card.display_name,
        "kind": _KINDS.get(card.kind, "other"),
        "created": iso_time(card.create_time),
        "kiosk_only": card.kiosk_only,
    }
