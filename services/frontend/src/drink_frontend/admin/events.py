"""`admin end-cursors`: what readers of events must know after a restore."""

import secrets

import typer

from drink_frontend.admin.command import run

MARK_BYTES = 8
"""Random bytes of a mark: no two databases have the same one by chance."""


def end_cursors(context: typer.Context) -> None:
    """End the cursors of all readers of events, after a backup was restored."""
    mark = secrets.token_hex(MARK_BYTES)
    run(context, lambda drink: drink.events.end_cursors(mark))
    typer.echo("Cursors of before are refused; whoever watches events begins anew.")
