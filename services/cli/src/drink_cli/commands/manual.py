"""The manual page, written from the commands themselves."""

import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated, Any

import typer

from drink_cli.context import command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.files import data_folder

FILES = (
    ("~/.config/drink/config.toml", "The profiles: server, authority, plain, keyring."),
    ("~/.local/state/drink/tokens/PROFILE", "The token, unless the keyring has it."),
    ("~/.local/state/drink/purchases/PROFILE/", "Purchases whose end was not seen."),
)
VARIABLES = (
    ("DRINK_PROFILE", "The profile to use, as --profile."),
    ("DRINK_SERVER", "Another server, with a login of its own."),
    ("DRINK_TOKEN", "A token for scripts, instead of the file or keyring."),
    ("NO_COLOR", "If set, no colours."),
    ("XDG_CONFIG_HOME, XDG_STATE_HOME", "Other places for the files."),
)


@command
def man(
    context: typer.Context,
    install: Annotated[
        bool, typer.Option("--install", help="Write it where man finds it, for this user.")
    ] = False,
) -> None:
    """Print the manual page, such as for `drink man | man -l -`."""
    page = written(context.find_root())
    if not install:
        sys.stdout.write(page)
        return
    path = data_folder() / "man" / "man1" / "drink.1"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write the manual page: {error}", Exit.FAULT) from None
    shared(context).output.result({"path": str(path)}, f"The manual page is {path}.")


def written(root: Any) -> str:
    """The page in the language of man(7).

    Args:
        root: The context of `drink` itself; Typer has no public type for what it makes.
    """
    lines = [
        f'.TH DRINK 1 "" "drink {version("drink-cli")}" "Drink"',
        ".SH NAME",
        "drink \\- drop a can from anywhere: a client of Drink's API",
        ".SH SYNOPSIS",
        ".B drink",
        "[OPTIONS] COMMAND [ARGUMENTS]",
        ".SH OPTIONS",
        *_options(root),
        ".SH COMMANDS",
        *_commands(root, "drink"),
    ]
    codes = [(str(code.value), code.explanation) for code in Exit]
    for heading, entries in (
        ("EXIT STATUS", codes),
        ("FILES", FILES),
        ("ENVIRONMENT", VARIABLES),
    ):
        lines.append(f".SH {heading}")
        for name, text in entries:
            lines += _entry(name, text)
    return "\n".join(lines) + "\n"


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, each in group.command.commands.items():
        if each.hidden:
            continue
        full = f"{path} {name}"
        context = type(group)(each, info_name=name, parent=group)
        if hasattr(each, "commands"):
            yield from _commands(context, full)
            continue
        places = [piece for option in each.params for piece in option.get_usage_pieces(context)]
        yield f".SS {_escaped(' '.join([full, *places]))}"
        yield _escaped(" ".join((each.help or "").split()))
        yield from _options(context)


def _options(context: Any) -> Iterator[str]:
    for option in context.command.params:
        record = option.get_help_record(context)
        if option.param_type_name == "option" and record is not None:
            yield from _entry(*record)


def _entry(name: str, text: str) -> list[str]:
    return [".TP", f".B {_escaped(name)}", _escaped(" ".join(text.split()))]


def _escaped(text: str) -> str:
    """Text in which nothing is a request or an escape of man(7)."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
