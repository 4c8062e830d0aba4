"""Commands for the own preferences and favourites."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from drink.v1 import account_service_pb2 as pb
from drink_cli.api import Api
from drink_cli.context import command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.purchase import slot_name
from drink_cli.text import short

favourites = typer.Typer(
    help="The own favourites: items and slots.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="An item's number, or a slot such as d/1.")
]


@command
def preferences(
    context: typer.Context,
    *,
    language: Annotated[
        str | None, typer.Option(metavar="TAG", help="Such as de or en-GB; an empty one for none.")
    ] = None,
    ranked: Annotated[
        bool | None,
        typer.Option("--ranked/--not-ranked", help="Whether you may appear in rankings."),
    ] = None,
) -> None:
    """Show the own preferences, or change what is given."""
    options = shared(context)
    with options.api() as api:
        if language is None and ranked is None:
            found = _preferences(api)
        else:
            request = pb.UpdatePreferencesRequest(language=language, ranked=ranked)
            found = api.call(api.accounts.UpdatePreferences, request).preferences
    facts = _facts(found)
    shown = "you may appear in rankings" if found.ranked else "you do not appear in rankings"
    options.output.result(facts, f"language: {found.language or 'any'}; {shown}")


@favourites.command("list")
@command
def list_favourites(context: typer.Context) -> None:
    """Show the own favourites, in their order."""
    options = shared(context)
    with options.api() as api:
        found = _preferences(api).favourites
    rows = [{"favourite": short(name)} for name in found]
    options.output.rows(rows, {"favourite": "FAVOURITE"}, "there are no favourites")


@favourites.command("add")
@command
def add_favourite(context: typer.Context, name: Name) -> None:
    """Add an item or a slot to the own favourites, as the last one."""

    def add(names: list[str], wanted: str) -> None:
        if wanted not in names:
            names.append(wanted)

    _change(context, name, add)


@favourites.command("remove")
@command
def remove_favourite(context: typer.Context, name: Name) -> None:
    """Remove one from the own favourites."""

    def remove(names: list[str], wanted: str) -> None:
        if wanted not in names:
            raise CommandError(f"{short(wanted)} is no favourite", Exit.NOT_FOUND)
        names.remove(wanted)

    _change(context, name, remove)


def _change(context: typer.Context, name: str, change: Callable[[list[str], str], None]) -> None:
    options = shared(context)
    wanted = f"items/{name}" if name.isdigit() else slot_name(name)
    with options.api() as api:
        names = list(_preferences(api).favourites)
        change(names, wanted)
        request = pb.UpdatePreferencesRequest(favourites=pb.Favourites(names=names))
        found = api.call(api.accounts.UpdatePreferences, request).preferences
    shown = ", ".join(short(each) for each in found.favourites) or "none"
    options.output.result(_facts(found), f"favourites: {shown}")


def _preferences(api: Api) -> pb.Preferences:
    return api.call(api.accounts.GetPreferences, pb.GetPreferencesRequest()).preferences


def _facts(found: pb.Preferences) -> dict[str, Any]:
    return {
        "favourites": [short(each) for each in found.favourites],
        "ranked": found.ranked,
        "language": found.language,
    }
