import os
from pathlib import Path

import pytest

from drink_agent.ownership import give_to_owner

OWNER = 61184


def made(folder: Path) -> tuple[int, int]:
    """Owner and group of a file that is made in a folder and handed over."""
    path = folder / "file"
    with path.open("w") as file:
        give_to_owner(file.fileno(), folder)
    return path.stat().st_uid, path.stat().st_gid


def test_in_a_folder_of_ones_own_nothing_changes(tmp_path: Path) -> None:
    assert made(tmp_path) == (os.geteuid(), tmp_path.stat().st_gid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, OWNER, OWNER)
    assert made(tmp_path) == (OWNER, OWNER)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_a_file_that_has_an_owner_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", OWNER + 1, OWNER + 1)
    os.chown(tmp_path, OWNER, OWNER)
    assert made(tmp_path) == (OWNER + 1, OWNER + 1)
