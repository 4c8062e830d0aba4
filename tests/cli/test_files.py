from pathlib import Path

import pytest

from drink_cli.files import config_folder, remove, state_folder, write_private


def test_folders_are_those_of_the_environment(folders: Path) -> None:
    assert config_folder() == folders / "config" / "drink"
    assert state_folder() == folders / "state" / "drink"


def test_a_relative_folder_of_the_environment_is_ignored(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(folders))

    assert state_folder() == folders / ".local/state/drink"


def test_only_its_owner_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"

    write_private(path, "one")
    write_private(path, "two")

    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "one")

    with pytest.raises(UnicodeEncodeError):
        write_private(path, "two \udc80")

    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_removing_tells_whether_there_was_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch()

    assert (remove(path), remove(path)) == (True, False)
