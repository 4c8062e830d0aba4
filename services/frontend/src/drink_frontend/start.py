"""The command `drink-frontend`: imports only what it needs, then runs the command line."""

import sys

from drink_frontend.loglines.process import open_standard_streams, quiet_grpc
from drink_frontend.system.startup import gc_paused, package_hidden

# The imports are inside of context managers.
# ruff: noqa: PLC0415


def main() -> None:
    """Runs the command line."""
    open_standard_streams()
    quiet_grpc()
    with gc_paused():
        with package_hidden("rich"):
            # structlog imports rich if it is installed, and typer installs it. Its colours are not
            # used, because tracebacks are logged as plain text, and the import takes a tenth of the
            # time of the start.
            import structlog  # noqa: F401
        from drink_frontend import cli
    try:
        cli.main()
    except OSError as error:
        if error.filename is not None:
            raise
        # Commands print last, after their changes.
        sys.exit(
            f"drink-frontend: the answer cannot be printed ({error.strerror});"
            " what was asked for may be done"
        )
