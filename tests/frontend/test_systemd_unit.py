"""The unit file that ships with the frontend, and what docs/operations.md tells people to make."""

import re
from pathlib import Path

UNIT = Path("services/frontend/systemd/drink-frontend.service")
PAGE = Path("docs/operations.md")


def test_the_folder_of_the_configuration_has_the_mode_that_the_unit_expects() -> None:
    """Otherwise systemd complains at each start, and makes a missing one readable by everybody."""
    told = re.search(r"--mode=(\d+) /etc/drink-frontend$", PAGE.read_text(), re.MULTILINE)
    assert told is not None
    assert f"ConfigurationDirectoryMode={told[1]}\n" in UNIT.read_text()
