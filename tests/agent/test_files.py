import os
from pathlib import Path

import pytest

from drink_agent.files import SECRET_BYTES_MAX, SecretFileError, give_to_owner, read_secret


def secret_in(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_secret_is_read_without_blanks_around_it(tmp_path: Path, mode: int) -> None:
    assert read_secret(secret_in(tmp_path / "s", b" secret \n", mode)) == "secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o601])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SecretFileError, match="others"):
        read_secret(secret_in(tmp_path / "s", b"secret", mode))


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"two\nlines", b"se\0cret", b"s\xc3\xa9cret", b"x" * (SECRET_BYTES_MAX + 1)],
)
def test_an_invalid_secret_is_refused_and_not_shown(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(SecretFileError) as caught:
        read_secret(secret_in(tmp_path / "s", data))
    assert str(caught.value).endswith("does not hold one line of printable ASCII")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError, match="nowhere"):
        read_secret(tmp_path / "nowhere")


def test_a_credential_of_systemd_may_have_an_access_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = secret_in(tmp_path / "token", b"secret", 0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_secret(path) == "secret"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "another"))
    with pytest.raises(SecretFileError):
        read_secret(path)


OWNER = 61184


def made(folder: Path) -> tuple[int, int]:
    """Owner and group of a file after `give_to_owner`."""
    path = folder / "file"
    with path.open("w") as file:
        give_to_owner(file.fileno(), folder)
    return path.stat().st_uid, path.stat().st_gid


def test_in_a_folder_of_ones_own_nothing_changes(tmp_path: Path) -> None:
    assert made(tmp_path) == (os.geteuid(), tmp_path.stat().st_gid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_a_file_made_by_root_belongs_to_the_owner_of_its_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, OWNER, OWNER)
    assert made(tmp_path) == (OWNER, OWNER)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_a_file_that_has_an_owner_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", OWNER + 1, OWNER + 1)
    os.chown(tmp_path, OWNER, OWNER)
    assert made(tmp_path) == (OWNER + 1, OWNER + 1)
