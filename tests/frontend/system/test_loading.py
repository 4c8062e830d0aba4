import gc
import importlib
import sys

import pytest

from drink_frontend.system.loading import loading, without


def test_garbage_is_not_looked_for_while_loading() -> None:
    try:
        with loading():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_garbage_is_looked_for_again_though_loading_failed() -> None:
    try:
        with pytest.raises(ImportError), loading():
            importlib.import_module("drink_frontend.nothing_of_the_kind")
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_a_package_cannot_be_found_meanwhile() -> None:
    sys.modules.pop("this", None)
    with without("this"), pytest.raises(ImportError):
        importlib.import_module("this")
    assert "this" not in sys.modules


def test_what_is_loaded_already_stays() -> None:
    with without("gc"):
        assert importlib.import_module("gc") is gc
    assert sys.modules["gc"] is gc
