"""The command that opens a session of the text protocol."""

from typing import Annotated

import typer

from drink_cli.context import command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.session import PLAIN_PORT, TLS_PORT, End, run

CODES = {End.DONE: Exit.DONE, End.REFUSED: Exit.REFUSED, End.LOST: Exit.UNREACHABLE}
"""Exit code of each end of a session."""


@command
def session(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="Name or address of the server.")],
    port: Annotated[
        int | None,
        typer.Argument(help=f"Default {PLAIN_PORT}, with --tls {TLS_PORT}.", min=1, max=65_535),
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt, and check the certificate.")] = False,
    ca: Annotated[
        str | None, typer.Option(help="Certificates to trust; implies --tls.", metavar="FILE")
    ] = None,
) -> Exit:
    """Type commands of the text protocol; in a pipe, send line after line."""
    if shared(context).output.is_json:
        raise CommandError("a session shows the server's replies as they are", Exit.USAGE)
    return CODES[run("drink", host, port, ca, tls=tls)]
