from pathlib import Path

import pytest

from drink_agent.link.certificate import problem_of
from drink_agent.link.errors import LinkSetupError
from tests.fakes.certificates import Certificates


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def test_nothing_is_wrong_with_the_machines_own(made: Certificates) -> None:
    assert not problem_of(*made.machine("d"), "d")


def test_fault_19_another_machines_is_told(made: Certificates) -> None:
    assert "['ld'], not for the machine d" in problem_of(*made.machine("ld"), "d")


def test_a_frontends_is_told(made: Certificates) -> None:
    assert "purpose" in problem_of(*made.server(), "d")


def test_an_expired_one_is_told(made: Certificates) -> None:
    assert "expired" in problem_of(*made.machine("d", expired=True), "d")


def test_files_of_no_use_are_named(made: Certificates, tmp_path: Path) -> None:
    certificate, key = made.machine("d")
    with pytest.raises(LinkSetupError, match=r"machine-d\.pem and .*server\.key do not fit"):
        problem_of(certificate, made.server().key, "d")
    with pytest.raises(LinkSetupError, match="cannot be read"):
        problem_of(tmp_path / "nothing.pem", key, "d")
    key.write_text("no key")
    with pytest.raises(LinkSetupError, match="do not fit"):
        problem_of(certificate, key, "d")
