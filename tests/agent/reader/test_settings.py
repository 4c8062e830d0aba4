"""The settings of a reader of cards."""

from pathlib import Path
from typing import Any

import pytest

from drink_agent.reader.settings import ReaderSettings


def test_there_is_no_reader_by_default() -> None:
    assert (ReaderSettings().type, ReaderSettings().port) == ("none", None)


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"type": "serial"}, "port is required"),
        ({"baudrate": 9601}, "baudrate 9601"),
        ({"repeat_s": 0.0}, "repeat_s"),
        ({"reads_burst": 0}, "reads_burst"),
        ({"read_interval_s": -1.0}, "read_interval_s"),
        ({"backoff_first_s": 0.0}, "backoff_first_s"),
        ({"backoff_limit_s": 0.5}, "backoff_limit_s"),
    ],
)
def test_wrong_values_are_named(how: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ReaderSettings(**how)
    assert ReaderSettings(type="hid", port=Path("/dev/input/event0")).type == "hid"
