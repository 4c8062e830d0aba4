"""The commands that make an installation's certificates."""

import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from drink_frontend.cli import main
from drink_frontend.rpc.tls import Revoked
from drink_frontend.system.authority import facts_of

Type = Callable[..., Result]


@pytest.fixture
def certs(tmp_path: Path, restored_logging: None) -> Type:
    """Runs `admin certs` on a folder that has an authority, without any database."""

    def type_in(command: str, *arguments: str) -> Result:
        folder = f"--folder={tmp_path / 'certs'}"
        result = CliRunner().invoke(
            main,
            ["admin", "certs", command, folder, *arguments],
            env={"DRINK_STORAGE__PATH": str(tmp_path / "no" / "database")},
        )
        structlog.reset_defaults()
        assert "Traceback" not in result.output
        return result

    assert type_in("init").exit_code == 0
    return type_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "certs"


def days_left(path: Path) -> int:
    return round((facts_of(path.read_bytes()).until - datetime.now(UTC)) / timedelta(days=1))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_set_for_a_new_installation(certs: Type, folder: Path) -> None:
    assert certs("server", "drink.example.org", "192.0.2.1").exit_code == 0
    assert certs("machine", "d", "ld", "--days=30").exit_code == 0
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}"
        for name in ("ca", "server", "machine-d", "machine-ld")
        for kind in ("pem", "key")
    } | {"revoked"}
    assert facts_of((folder / "server.pem").read_bytes()).names == (
        "drink.example.org",
        "192.0.2.1",
    )
    assert days_left(folder / "ca.pem") == 3650
    assert days_left(folder / "server.pem") == 365
    assert days_left(folder / "machine-ld.pem") == 30
    assert {mode(key) for key in folder.glob("*.key")} == {0o600}
    assert {mode(pem) for pem in folder.glob("*.pem")} == {0o644}
    assert mode(folder) == 0o700


def test_every_frontend_may_have_its_own(certs: Type, folder: Path) -> None:
    assert certs("server", "a.example.org", "--file=frontend-a").exit_code == 0
    assert (folder / "frontend-a.key").exists()
    assert certs("server", "a.example.org", "--file=ca", "--force").exit_code == 2


@pytest.mark.parametrize("command", [("init",), ("server", "a"), ("machine", "d")])
def test_nothing_is_replaced_unless_it_must(
    certs: Type, folder: Path, command: tuple[str, ...]
) -> None:
    certs(*command)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    refused = certs(*command)
    assert refused.exit_code == 1
    assert "exists already" in refused.stderr
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert certs(*command, "--force").exit_code == 0
    assert before != {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {path.name for path in folder.iterdir()}


def test_only_what_ends_soon_is_renewed(certs: Type, folder: Path) -> None:
    certs("server", "a.example.org")
    certs("machine", "d", "--days=50")
    server, machine = folder / "server.pem", folder / "machine-d.pem"
    before = server.read_bytes(), machine.read_bytes()
    result = certs("renew")
    assert str(machine) in result.stdout
    assert (server.read_bytes(), facts_of(machine.read_bytes()).names) == (
        before[0],
        ("drink://machines/d",),
    )
    assert machine.read_bytes() != before[1]
    assert days_left(machine) == 50


def test_an_authority_that_ends_soon_is_told_and_left_alone(certs: Type, folder: Path) -> None:
    before = (folder / "ca.pem").read_bytes()
    result = certs("renew", "--within=36500")
    assert "needs a successor" in result.stderr
    assert (folder / "ca.pem").read_bytes() == before


def test_a_certificate_without_its_key_is_not_ours_to_renew(certs: Type, folder: Path) -> None:
    certs("machine", "d")
    (folder / "machine-d.key").unlink()
    before = (folder / "machine-d.pem").read_bytes()
    assert certs("renew", "--within=36500").exit_code == 0
    assert (folder / "machine-d.pem").read_bytes() == before


def test_a_renewed_key_keeps_who_may_read_it(certs: Type, folder: Path) -> None:
    certs("machine", "d")
    (folder / "machine-d.key").chmod(0o640)
    assert certs("machine", "d", "--force").exit_code == 0
    assert mode(folder / "machine-d.key") == 0o640


def test_the_list_says_what_is_there(certs: Type, folder: Path) -> None:
    certs("machine", "d")
    facts = facts_of((folder / "machine-d.pem").read_bytes())
    assert f"drink://machines/d  {facts.fingerprint}" in certs("list").stdout


def test_what_is_revoked_is_listed_for_the_frontends(certs: Type, folder: Path) -> None:
    certs("machine", "d", "ld")
    expected = {
        facts_of((folder / f"machine-{name}.pem").read_bytes()).fingerprint for name in ("d", "ld")
    }
    assert Revoked(folder / "revoked").current() == set()
    assert certs("revoke", "machine-d").exit_code == 0
    assert certs("revoke", "machine-ld").exit_code == 0
    assert Revoked(folder / "revoked").current() == expected
    assert certs("revoke", "machine-x").exit_code == 1
    assert certs("init", "--force").exit_code == 0
    assert Revoked(folder / "revoked").current() == expected


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("machine", "D"), "machine"),
        (("server", "a b"), "host name"),
        (("machine", "d", "--days=0"), "--days"),
    ],
)
def test_what_cannot_be_is_refused(certs: Type, command: tuple[str, ...], said: str) -> None:
    result = certs(*command)
    assert result.exit_code in (1, 2)
    assert said in result.stderr


def test_without_an_authority_there_are_no_certificates(certs: Type, folder: Path) -> None:
    (folder / "ca.key").unlink()
    result = certs("machine", "d")
    assert result.exit_code == 1
    assert "ca.key" in result.stderr
    (folder / "ca.key").write_text("junk")
    assert "cannot be read" in certs("machine", "d").stderr


def test_nothing_else_waits_for_the_library_behind_it() -> None:
    code = "import sys, drink_frontend.cli; sys.exit('cryptography' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
