"""Faster import of modules at the start of a process."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

GC_THRESHOLD = 10_000
"""Objects allocated between two runs of the garbage collector. Python's default of 700 is reached
after a drop or two, whose objects are nearly all freed by reference counts: the collector took 2 %
of a busy frontend's CPU."""


@contextmanager
def gc_paused() -> Iterator[None]:
    """Imports modules without garbage collection, and excludes their objects from it later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        gc.enable()


@contextmanager
def package_hidden(package: str) -> Iterator[None]:
    """Makes the import of a package fail, unless it is imported already."""
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    hidden = modules.setdefault(package, None) is None
    try:
        yield
    finally:
        if hidden:
            del modules[package]
