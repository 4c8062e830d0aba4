"""The command `drink-frontend`: loads what it needs and nothing else, then runs it."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# What is imported here is imported in a certain way.
# ruff: noqa: PLC0415


def main() -> None:
    """Runs the command line."""
    with loading():
        with _without("rich"):
            # It would take rich along wherever that is, as typer sees to: a tenth of a start, for
            # colours in tracebacks, which are logged as plain text.
            import structlog  # noqa: F401
        from drink_frontend import cli
    cli.main()


@contextmanager
def loading() -> Iterator[None]:
    """Looks for no garbage among a hundred thousand objects that all stay, then or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _without(package: str) -> Iterator[None]:
    """Lets nobody find a package that is not loaded yet."""
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    hidden = modules.setdefault(package, None) is None
    try:
        yield
    finally:
        if hidden:
            del modules[package]
