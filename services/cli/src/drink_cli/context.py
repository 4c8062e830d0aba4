"""What every command gets: the profile, the output, and the errors turned into exit codes."""

import functools
import os
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ParamSpec

import typer

from drink_cli.api import Api
from drink_cli.errors import CommandError, Exit
from drink_cli.output import Output
from drink_cli.profile import Profile, load_profile

P = ParamSpec("P")

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


@dataclass(frozen=True, slots=True)
class Shared:
    """The options before the command.

    Attributes:
        profile_name: Of `--profile`; None for the default.
        output: Where results go.
    """

    profile_name: str | None
    output: Output

    def profile(self) -> Profile:
        """The profile to use.

        Raises:
            CommandError: there is none of that name.
        """
        return load_profile(self.profile_name)

    def api(self) -> Api:
        """The API of the profile's server.

        Raises:
            CommandError: there is no such profile, or its file of an authority cannot be read.
        """
        return Api(self.profile())


def shared(context: typer.Context) -> Shared:
    """The options before the command."""
    assert isinstance(context.obj, Shared)
    return context.obj


def command(body: Callable[P, Exit | None]) -> Callable[P, None]:
    """A command: its errors become a sentence on the standard error and an exit code."""

    @functools.wraps(body)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            code = body(*arguments, **options)
        except CommandError as error:
            sys.stderr.write(f"drink: {error}\n")
            raise typer.Exit(error.code) from None
        except (KeyboardInterrupt, typer.Abort):
            raise typer.Exit(Exit.INTERRUPTED) from None
        except BrokenPipeError:
            # What is left in the buffer has nowhere to go, and must not be an error at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(Exit.PIPE_CLOSED) from None
        if code:
            raise typer.Exit(code)

    return run
