"""The command line: `drink`."""

import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import typer

from drink_cli.commands.account import balance, login, logout, password, send, whoami
from drink_cli.commands.admin import admin
from drink_cli.commands.cards import cards
from drink_cli.commands.drops import cancel, drop, history, refund, report, show
from drink_cli.commands.items import items, picture
from drink_cli.commands.machines import machines, watch
from drink_cli.commands.manual import man
from drink_cli.commands.preferences import favourites, preferences
from drink_cli.commands.session import session
from drink_cli.commands.stats import stats
from drink_cli.commands.temperatures import temperatures
from drink_cli.commands.tokens import tokens
from drink_cli.context import Shared
from drink_cli.output import Output

main = typer.Typer(
    help="Drop a can from anywhere: a client of Drink's API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
main.command()(login)
main.command()(logout)
main.command()(whoami)
main.command()(password)
main.command()(machines)
main.command()(temperatures)
main.command()(items)
main.command()(picture)
main.command()(drop)
main.command()(show)
main.command()(cancel)
main.command()(report)
main.command(context_settings={"ignore_unknown_options": True})(refund)
main.command()(history)
main.command()(watch)
main.command()(balance)
main.command()(stats)
main.command()(send)
main.command()(session)
main.command()(preferences)
main.add_typer(favourites, name="favourites")
main.add_typer(tokens, name="tokens")
main.add_typer(cards, name="cards")
main.command()(man)
main.add_typer(admin, name="admin")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"drink {version('drink-cli')}")
        raise typer.Exit


@main.callback()
def options(
    context: typer.Context,
    profile: Annotated[
        str | None,
        typer.Option(help="Which server and login to use; also DRINK_PROFILE.", metavar="NAME"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Drop a can from anywhere: a client of Drink's API."""
    context.obj = Shared(profile, Output(is_json=json))


def run() -> None:
    """Runs the command of the arguments; ends the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that does not know a character of a name gets its number.
            stream.reconfigure(errors="backslashreplace")
    main(prog_name="drink")
