"""Users and their credits."""

import getpass
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from drink_frontend.admin.command import (
    EntryReason,
    RequestId,
    moment,
    operator,
    operator_account,
    recorded,
    run,
    table,
)
from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.entities import Account, Drop

if TYPE_CHECKING:
    from drink_frontend.app import Administration

users = typer.Typer(help="Users.", no_args_is_help=True)
credits_ = typer.Typer(help="Credits.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The account.")]
Password = Annotated[
    bool, typer.Option("--password", help="Ask for a password, or read one line of a pipe.")
]
IButton = Annotated[str | None, typer.Option(help="16 hexadecimal digits.")]
DisplayName = Annotated[
    str | None, typer.Option(help="What to call the user, for people; empty for none.")
]


def _password(wanted: bool) -> str | None:
    if not wanted:
        return None
    password = _secret("Password: ")
    if sys.stdin.isatty() and password != getpass.getpass("Again: "):
        typer.echo("The passwords differ.", err=True)
        raise typer.Exit(1)
    return password


def _secret(prompt: str) -> str:
    """A secret that is typed without being shown, or the next line of a pipe."""
    return getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")


@users.command()
@recorded
def add(
    context: typer.Context,
    name: Name,
    *,
    password: Password = False,
    ibutton: IButton = None,
    admin: Annotated[bool, typer.Option("--admin", help="May administer.")] = False,
    display_name: DisplayName = None,
) -> None:
    """Make a user without credits."""
    secret = _password(password)
    run(
        context,
        lambda drink: drink.accounts.create(
            operator(),
            name,
            password=secret,
            ibutton=ibutton,
            admin=admin,
            display_name=display_name or "",
        ),
    )


@users.command()
@recorded
def change(
    context: typer.Context,
    name: Name,
    *,
    password: Password = False,
    ibutton: IButton = None,
    no_ibutton: Annotated[
        bool, typer.Option("--no-ibutton", help="Take the iButton away.")
    ] = False,
    admin: Annotated[bool | None, typer.Option(help="May administer.")] = None,
    closed: Annotated[
        bool | None, typer.Option("--closed/--open", help="May not log in or buy.")
    ] = None,
    credit_limit: Annotated[
        int | None, typer.Option(help="So many credits may be owed; 0 for none.")
    ] = None,
    display_name: DisplayName = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if nobody is left who administers.")
    ] = False,
) -> None:
    """Change what is given; a new password and a closed account end every login at once.

    A new iButton, or none, ends what the one before it had let in.
    """
    secret = _password(password)

    async def change(drink: "Administration") -> tuple[Account, Sequence[Drop]]:
        account = await drink.accounts.change(
            operator(),
            name,
            password=secret,
            ibutton=ibutton,
            no_ibutton=no_ibutton,
            admin=admin,
            closed=closed,
            credit_limit=credit_limit,
            display_name=display_name,
            force=force,
        )
        return account, await drink.accounts.open_drops(account.id) if closed else ()

    account, left = run(context, change)
    if closed and (account.posted or left):
        typer.echo(f"{account.name} owns {account.posted} credits, {account.held} of them held")
    for drop in left:
        typer.echo(f"open: {drop.id}  {drop.state}  {drop.price} credits")


@users.command()
@recorded
def rename(
    context: typer.Context,
    name: Name,
    new_name: Annotated[str, typer.Argument(help="With which the user logs in from now on.")],
) -> None:
    """Give a user another name; logins and tokens stay, and the books refer to no names."""
    run(context, lambda drink: drink.accounts.change(operator(), name, new_name=new_name))


@users.command()
@recorded
def erase(context: typer.Context, name: Name) -> None:
    """Erase names, password, iButton and cards of a closed user without credits; books stay."""
    account = run(context, lambda drink: drink.accounts.erase(operator(), name))
    typer.echo(f"erased; in the books it is {account.id}")


@users.command("list")
def list_users(context: typer.Context) -> None:
    """Show every user with credits."""
    accounts = run(context, lambda drink: drink.accounts.list_users())
    table(
        ("user", "available", "held", "admin", "closed", "owned", "limit", "called"),
        [
            (
                account.name,
                account.available,
                account.held,
                "yes" if account.admin else "",
                "yes" if account.closed else "",
                account.posted,
                account.credit_limit,
                account.display_name or "",
            )
            for account in accounts
        ],
    )


@users.command("cards")
def list_cards(context: typer.Context, name: Name) -> None:
    """Show the cards of a user; never their numbers."""
    cards = run(context, lambda drink: drink.accounts.cards.list(operator_account(), name))
    table(
        ("card", "kind", "added", "kiosk only", "label"),
        [
            (
                card.id,
                card.kind.value.lower(),
                moment(card.created_ms),
                "yes" if card.kiosk_only else "",
                card.name or "",
            )
            for card in cards
        ],
    )


@users.command("add-card")
@recorded
def add_card(
    context: typer.Context,
    name: Name,
    *,
    barcode: Annotated[bool, typer.Option("--barcode", help="The number is a barcode.")] = False,
    label: Annotated[str, typer.Option(help="What to call the card in lists.")] = "",
) -> None:
    """Add a card to a user; asks for its number, or reads one line of a pipe."""
    kind = CardKind.BARCODE if barcode else CardKind.CHIP
    number = _secret("Card: ")
    card = run(
        context,
        lambda drink: drink.accounts.cards.add(operator(), name, kind, number, label=label),
    )
    typer.echo(f"{card.id} added")


@users.command("remove-card")
@recorded
def remove_card(
    context: typer.Context,
    name: Name,
    card: Annotated[str, typer.Argument(help="As `cards` shows it.")],
) -> None:
    """Remove a card of a user; ends every login that was made with a card of the user."""
    run(context, lambda drink: drink.accounts.cards.remove(operator_account(), name, card))


# A number below zero looks like an option.
@credits_.command("add", context_settings={"ignore_unknown_options": True})
@recorded
def add_credits(
    context: typer.Context,
    name: Name,
    amount: Annotated[int, typer.Argument(help="Credits; negative takes back.")],
    *,
    request_id: RequestId,
    why: EntryReason = "",
) -> None:
    """Give a user credits, or take them back."""
    account = run(
        context,
        lambda drink: drink.transfers.add_credits(
            operator_account(), request_id, name, amount, reason=why
        ),
    )
    _show_credits(account)


# A number below zero looks like an option.
@credits_.command("set", context_settings={"ignore_unknown_options": True})
@recorded
def set_credits(
    context: typer.Context,
    name: Name,
    amount: Annotated[int, typer.Argument(help="Credits that the user shall own.")],
    *,
    expected: Annotated[int, typer.Option(help="Credits that the user owns now, held ones too.")],
    request_id: RequestId,
    why: EntryReason = "",
) -> None:
    """Set what a user owns to a number; refused if it is not what was expected before."""
    account = run(
        context,
        lambda drink: drink.transfers.set_posted(
            operator_account(), request_id, name, amount, expected, reason=why
        ),
    )
    _show_credits(account)


def _show_credits(account: Account) -> None:
    typer.echo(f"{account.name}: {account.available} credits available, {account.held} held")
