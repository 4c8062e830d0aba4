import gc
import importlib
import sys
from collections.abc import Iterator

import pytest

from drink_frontend.system.startup import GC_THRESHOLD, gc_paused, package_hidden


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_garbage_is_not_looked_for_while_loading_and_seldom_then() -> None:
    with gc_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] == GC_THRESHOLD


def test_garbage_is_looked_for_again_though_loading_failed() -> None:
    with pytest.raises(ImportError), gc_paused():
        raise ImportError
    assert gc.isenabled()


def test_a_package_cannot_be_found_meanwhile() -> None:
    sys.modules.pop("this", None)
    with package_hidden("this"), pytest.raises(ImportError):
        importlib.import_module("this")
    assert "this" not in sys.modules


def test_what_is_loaded_already_stays() -> None:
    with package_hidden("gc"):
        assert importlib.import_module("gc") is gc
    assert sys.modules["gc"] is gc
