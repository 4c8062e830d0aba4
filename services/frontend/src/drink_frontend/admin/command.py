"""Shared parts of admin commands: the database, the operator's name, errors, tables."""

import asyncio
import contextlib
import functools
import getpass
import inspect
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

import typer

from drink_frontend.config import Settings
from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import DrinkError
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.storage.engine import StorageError

if TYPE_CHECKING:
    from drink_frontend.app import Administration

T = TypeVar("T")
P = ParamSpec("P")


OPERATOR_MAX = 64
"""Longest name of an operator, in characters."""

_by: ContextVar[str | None] = ContextVar("by", default=None)


def _checked_name(name: str | None) -> str | None:
    if name is not None and not _is_name(name):
        raise typer.BadParameter(
            f"must be 1 to {OPERATOR_MAX} printable characters without blanks around them"
        )
    return name


By = Annotated[
    str | None,
    typer.Option(
        callback=_checked_name,
        metavar="NAME",
        help="Your name for the audit log, where the system does not know it.",
    ),
]

RequestId = Annotated[
    str,
    typer.Option(
        default_factory=lambda: str(uuid.uuid4()),
        show_default=False,
        help="Names this request, so that a repeat changes nothing twice; made if not given.",
    ),
]
"""Option of commands that move credits or stock."""

EntryReason = Annotated[str, typer.Option("--why", help="Why, for the user's entries.")]
"""Option of commands whose reason is kept with a ledger entry."""


def recorded(command: Callable[P, None]) -> Callable[P, None]:
    """Adds the option `--by`, the operator's name, to a command that writes an audit record."""

    @functools.wraps(command)
    def named(*arguments: P.args, **options: P.kwargs) -> None:
        name = options.pop("by")
        assert name is None or isinstance(name, str)
        token = _by.set(name)
        try:
            command(*arguments, **options)
        finally:
            _by.reset(token)

    # Typer reads the signature and the annotations.
    signature = inspect.signature(command)
    option = inspect.Parameter("by", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=By)
    parameters = [*signature.parameters.values(), option]
    named.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    named.__annotations__ = {**command.__annotations__, "by": By}
    return named


def operator() -> str:
    """Name of the operator for the audit log: the person, as far as it can be determined.

    The system's user is often the one of the service: with `sudo -u`, `su`, or in a container.
    """
    return f"operator:{_by.get() or next(filter(_is_name, _names()))}"


def _names() -> Iterator[str]:
    """Names that the system has for the operator; the most likely name of a person first."""
    for variable in ("SUDO_USER", "DOAS_USER"):
        # A user who became root first has another, earlier name.
        if (name := os.environ.get(variable, "root")) != "root":
            yield name
    # In a container there was no login.
    with contextlib.suppress(OSError):
        yield os.getlogin()
    # A user id may have no name.
    with contextlib.suppress(KeyError, OSError):
        yield getpass.getuser()
    yield f"uid-{os.getuid()}"


def _is_name(name: str) -> bool:
    return name == name.strip() and 1 <= len(name) <= OPERATOR_MAX and name.isprintable()


def operator_account() -> Account:
    """The operator as an administrator's account, as use cases require it."""
    return Account(
        id=operator(),
        name=operator(),
        kind=AccountKind.USER,
        admin=True,
        closed=False,
        password_hash=None,
        posted=0,
        held=0,
    )


def moment(ms: int | None) -> str:
    """A time in UTC for output; `-` for None."""
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def epoch_ms(time: datetime) -> int:
    """Milliseconds since the epoch of a time in UTC, as an option gives it."""
    return (time.replace(tzinfo=UTC) - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def run(context: typer.Context, work: Callable[["Administration"], Awaitable[T]]) -> T:
    """Runs `work` on the configured database; an error ends the command with exit code 1."""
    # Importing the whole service takes a second, and --help and `health` do not need it.
    from drink_frontend.app import administration  # noqa: PLC0415

    settings = context.find_root().obj
    assert isinstance(settings, Settings)

    async def inside() -> T:
        async with administration(settings) as administered:
            return await work(administered)

    try:
        return asyncio.run(inside())
    except DrinkError as error:
        typer.echo(f"{error.reason}: {error}", err=True)
        raise typer.Exit(1) from None
    except (StorageError, OSError) as error:
        typer.echo(f"drink-frontend: {error}", err=True)
        raise typer.Exit(1) from None


def table(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Prints rows in aligned columns under a header."""
    cells = [header, *(tuple("-" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())
