from dataclasses import replace
from pathlib import Path

import pytest

from drink_agent.link.settings import LinkSettings
from drink_agent.tools.check_files import file_problems
from tests.support.certificates import Certificates


def problems(link: LinkSettings) -> str:
    return "\n".join(file_problems(link, Path("/nowhere/journal"), "d"))


@pytest.fixture
def link(tmp_path: Path) -> LinkSettings:
    token = tmp_path / "token"
    token.write_text("token")
    token.chmod(0o600)
    return LinkSettings(token_file=token)


def test_usable_files_are_no_problem(link: LinkSettings, tmp_path: Path) -> None:
    ours = Certificates(tmp_path / "ours")
    certificate, key = ours.machine("d")
    assert problems(link) == ""
    assert problems(replace(link, ca_file=ours.ca, cert_file=certificate, key_file=key)) == ""
    assert problems(replace(link, token_file=None, cert_file=certificate, key_file=key)) == ""


def test_a_token_that_cannot_be_used_is_named(link: LinkSettings, tmp_path: Path) -> None:
    assert link.token_file is not None
    assert problems(replace(link, token_file=tmp_path / "none")).startswith("link.token_file: ")
    link.token_file.chmod(0o644)
    assert "0600" in problems(link)
    link.token_file.chmod(0o600)
    link.token_file.write_text("")
    assert problems(link).startswith("link.token_file: ")


def test_certificates_that_cannot_be_used_are_named(link: LinkSettings, tmp_path: Path) -> None:
    ours = Certificates(tmp_path / "ours")
    certificate, key = ours.machine("ld")
    missing, text = tmp_path / "missing", tmp_path / "text"
    text.write_text("no certificate")
    assert problems(replace(link, ca_file=missing)).startswith("link.ca_file: ")
    assert problems(replace(link, ca_file=text)).startswith("link.ca_file: ")
    for own in ((missing, key), (text, key), (certificate, key), (certificate, text)):
        named = problems(replace(link, cert_file=own[0], key_file=own[1]))
        assert named.startswith("link.cert_file: "), named


def test_a_journal_that_no_user_could_write_is_named(link: LinkSettings, tmp_path: Path) -> None:
    def told(path: Path) -> str:
        return "\n".join(file_problems(link, path, "d"))

    file = tmp_path / "file"
    file.touch()
    for sound in (file, tmp_path / "journal", tmp_path / "folder" / "journal"):
        assert told(sound) == ""
    assert told(tmp_path) == f"journal.path: {tmp_path} is not a regular file"
    assert told(Path("/dev/full")) == "journal.path: /dev/full is not a regular file"
    assert told(file / "journal").startswith("journal.path: ")
    link_to_nothing = tmp_path / "link"
    link_to_nothing.symlink_to(tmp_path / "absent")
    assert told(link_to_nothing / "journal").startswith("journal.path: ")
