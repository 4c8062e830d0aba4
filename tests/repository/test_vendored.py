"""The check of the files of others finds what it is there to find."""

from hashlib import sha256
from pathlib import Path

import pytest

from scripts.check_vendored import problems


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one file of others."""
    folder = tmp_path / "third_party"
    (folder / "thing").mkdir(parents=True)
    (folder / "thing/thing.js").write_bytes(b"code")
    digest = sha256(b"code").hexdigest()
    (folder / "vendored.toml").write_text(
        f'[thing]\nversion = "1"\nsource = "s"\nlicence = "MIT"\nfor = "tests"\n'
        f'files."third_party/thing/thing.js" = "{digest}"\n'
    )
    return tmp_path


def test_files_as_listed_are_fine(root: Path) -> None:
    assert list(problems(root)) == []


def test_a_changed_file_is_found(root: Path) -> None:
    (root / "third_party/thing/thing.js").write_bytes(b"other code")
    assert list(problems(root)) == [
        "thing: third_party/thing/thing.js is not the file of version 1"
    ]


def test_a_file_without_an_entry_is_found(root: Path) -> None:
    (root / "third_party/thing/more.js").touch()
    assert list(problems(root)) == ["third_party/thing/more.js is not in third_party/vendored.toml"]


def test_a_missing_file_and_a_missing_licence_are_found(root: Path) -> None:
    (root / "third_party/thing/thing.js").unlink()
    listed = root / "third_party/vendored.toml"
    listed.write_text(listed.read_text().replace('licence = "MIT"\n', ""))
    assert list(problems(root)) == [
        "thing: `licence` is missing",
        "thing: third_party/thing/thing.js is missing",
    ]
