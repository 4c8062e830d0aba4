"""What every admin command shares: its database, who asks, and how errors are told."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import typer

from drink_frontend.config import Settings
from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import DrinkError
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.storage.errors import StorageError

if TYPE_CHECKING:
    from drink_frontend.app import Administration

T = TypeVar("T")


def operator() -> str:
    """Who asks, for the audit log: the name of the system's user."""
    return f"operator:{getpass.getuser()}"


def operator_account() -> Account:
    """The operator, as use cases know an administrator."""
    return Account(
        name=operator(),
        kind=AccountKind.USER,
        admin=True,
        closed=False,
        password_hash=None,
        posted=0,
        held=0,
    )


def moment(ms: int | None) -> str:
    """A time for people; `-` for none."""
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def run(context: typer.Context, work: Callable[["Administration"], Awaitable[T]]) -> T:
    """Does `work` on the database that the settings name; a refusal ends the command with 1."""
    # The whole service behind it takes a second to load, which --help and `health` do not need.
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
    except StorageError as error:
        typer.echo(f"drink-frontend: {error}", err=True)
        raise typer.Exit(1) from None


def table(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Prints rows in aligned columns under a header."""
    cells = [header, *(tuple("-" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())
