"""How modules are loaded where a start should not take longer than it must."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

GARBAGE_LOOK = 10_000
"""Objects that are made between two looks for garbage. Python's 700 are a drop or two, whose
objects nearly all go by themselves: looking then was 2 % of a busy frontend's CPU."""


@contextmanager
def loading() -> Iterator[None]:
    """Looks for no garbage among a hundred thousand objects that all stay, then or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(GARBAGE_LOOK)
        gc.enable()


@contextmanager
def without(package: str) -> Iterator[None]:
    """Lets nobody find a package that is not loaded yet."""
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    hidden = modules.setdefault(package, None) is None
    try:
        yield
    finally:
        if hidden:
            del modules[package]
