"""Certificates that change while a listener serves."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from drink_frontend.system.certificate import CertificateFiles

LIMIT_S = 20


def read(chain: Path, key: Path) -> str:
    """Stands for a listener's own format: the two must fit each other."""
    pair = chain.read_text(), key.read_text()
    if pair[0] != pair[1]:
        raise OSError("do not fit")
    return pair[0]


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    chain.write_text("one")
    key.write_text("one")
    return chain, key


def test_files_are_loaded_at_once_and_again_only_when_they_changed(
    paths: tuple[Path, Path],
) -> None:
    files = CertificateFiles(read, *paths)
    assert files.current == "one"
    assert files.renewed() is None
    for path in paths:
        path.write_text("second")
    assert files.renewed() == files.current == "second"
    assert files.renewed() is None


def test_a_renewal_that_is_half_done_changes_nothing(paths: tuple[Path, Path]) -> None:
    files = CertificateFiles(read, *paths)
    paths[0].write_text("second")
    assert files.renewed() is None
    paths[1].unlink()
    assert files.renewed() is None
    assert files.current == "one"
    paths[1].write_text("second")
    assert files.renewed() == "second"


def test_a_start_with_useless_files_fails(paths: tuple[Path, Path]) -> None:
    paths[0].write_text("other")
    with pytest.raises(OSError, match="do not fit"):
        CertificateFiles(read, *paths)
    paths[0].unlink()
    with pytest.raises(FileNotFoundError):
        CertificateFiles(read, *paths)


def test_threads_load_one_after_the_other_so_that_the_newest_stays(tmp_path: Path) -> None:
    path, reading, go_on = tmp_path / "list", threading.Event(), threading.Event()
    path.write_text("first")

    def load(file: Path) -> str:
        text = file.read_text()
        if text == "second":
            reading.set()
            assert go_on.wait(LIMIT_S)
        return text

    files = CertificateFiles(load, path)
    path.write_text("second")
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(files.renewed)
        assert reading.wait(LIMIT_S)
        path.write_text("the third")
        quick = threads.submit(files.renewed)
        assert not wait([quick], timeout=0.05).done, "it loads beside the other"
        go_on.set()
        assert (slow.result(LIMIT_S), quick.result(LIMIT_S)) == ("second", "the third")
    assert files.current == "the third"
