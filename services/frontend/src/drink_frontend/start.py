"""The command `drink-frontend`: loads what it needs and nothing else, then runs it."""

import sys

from drink_frontend.loglines.process import open_standard_streams, quiet_grpc
from drink_frontend.system.loading import loading, without

# What is imported here is imported in a certain way.
# ruff: noqa: PLC0415


def main() -> None:
    """Runs the command line."""
    open_standard_streams()
    quiet_grpc()
    with loading():
        with without("rich"):
            # It would take rich along wherever that is, as typer sees to: a tenth of a start, for
            # colours in tracebacks, which are logged as plain text.
            import structlog  # noqa: F401
        from drink_frontend import cli
    try:
        cli.main()
    except OSError as error:
        if error.filename is not None:
            raise
        # Commands print last: what they change is changed by then.
        sys.exit(
            f"drink-frontend: the answer cannot be printed ({error.strerror});"
            " what was asked for may be done"
        )
