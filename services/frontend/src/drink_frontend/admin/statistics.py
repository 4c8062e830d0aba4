"""`admin statistics`: how far the sums are, and making them anew."""

from typing import TYPE_CHECKING

import typer

from drink_frontend.admin.command import run
from drink_frontend.domain.statistics import Phase, Progress

if TYPE_CHECKING:
    from drink_frontend.app import Administration

TOLD_EVERY = 20_000
"""Drops between two lines of progress."""

statistics = typer.Typer(help="The sums of statistics.", no_args_is_help=True)


@statistics.command("show")
def show(context: typer.Context) -> None:
    """Show how far the sums are."""
    progress, newest = run(context, lambda drink: drink.counting.progress())
    typer.echo(_sentence(progress, newest))


@statistics.command("rebuild")
def rebuild(context: typer.Context) -> None:
    """Make the sums anew from all drops, in the time zone of the settings, while sales go on.

    Where it is interrupted, the next run or a running frontend goes on from there.
    """

    async def make(drink: "Administration") -> tuple[Progress, int]:
        _, newest = await drink.counting.progress()
        told = 0

        def tell(progress: Progress) -> None:
            nonlocal told
            if progress.drop_sequence >= told + TOLD_EVERY:
                told = progress.drop_sequence
                typer.echo(_sentence(progress, newest))

        await drink.counting.rebuild(tell)
        return await drink.counting.progress()

    typer.echo(_sentence(*run(context, make)))


def _sentence(progress: Progress, newest: int) -> str:
    zone = progress.time_zone or "no time zone yet"
    match progress.phase:
        case Phase.CLEARING:
            return f"Sums are deleted, to be made anew ({zone})."
        case Phase.COUNTING:
            return f"{progress.drop_sequence} of {newest} drops are counted ({zone})."
        case Phase.FOLLOWING:
            return f"All drops are counted ({zone})."
