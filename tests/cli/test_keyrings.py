import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import keyring
import pytest

from drink_cli import keyrings
from drink_cli.errors import Exit
from drink_cli.keyrings import KeyringError
from drink_cli.profile import load_profile
from scripts.local_system import LocalSystem
from scripts.processes import BIN
from tests.cli.conftest import ALICE, Drink
from tests.fakes import hanging_keyring

ROOT = Path(__file__).parents[2]

Environment = Mapping[str, str]


@pytest.fixture
def bus(folders: Path) -> Iterator[dict[str, str]]:
    """The environment of a session bus, on which a secret service is started on demand."""
    for program in ("dbus-daemon", "gnome-keyring-daemon"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    environment = {
        **os.environ,
        "HOME": str(folders),
        "XDG_DATA_HOME": str(folders / "data"),
        "XDG_CACHE_HOME": str(folders / "cache"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.SecretService.Keyring",
    }
    environment.pop("DISPLAY", None)
    with subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as daemon:
        assert daemon.stdout is not None
        address = daemon.stdout.readline().strip()
        yield environment | {"DBUS_SESSION_BUS_ADDRESS": address}
        daemon.kill()


@pytest.fixture
def unlocked(bus: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same with GNOME's keyring, unlocked."""
    with subprocess.Popen(
        ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
        env=bus,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as daemon:
        assert daemon.stdin is not None
        assert daemon.stdout is not None
        daemon.stdin.write("a password")
        daemon.stdin.close()
        # It prints where it listens as soon as it does.
        daemon.stdout.readline()
        yield bus
        daemon.kill()


def _drink(environment: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "drink", *arguments],
        env=environment,
        input=ALICE.password,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _token_files(folder: Path) -> list[str]:
    return [each.name for each in (folder / "state/drink/tokens").glob("*")]


def test_a_token_is_kept_in_a_real_keyring(
    system: LocalSystem, unlocked: Environment, folders: Path
) -> None:
    login = _drink(unlocked, "login", "alice", "--server", system.address)
    who = _drink(unlocked, "whoami")
    machines = _drink({**unlocked, "PYTHON_KEYRING_BACKEND": "no.Keyring"}, "machines")
    logout = _drink(unlocked, "logout")
    after = _drink(unlocked, "whoami")

    assert (login.returncode, login.stderr) == (0, "")
    assert who.stdout.startswith("alice, member")
    # What needs no login asks no keyring.
    assert machines.returncode == 0
    assert logout.returncode == 0
    assert after.returncode == Exit.LOGIN
    assert _token_files(folders) == []
    assert "keyring = true" in (folders / "config/drink/config.toml").read_text(encoding="utf-8")


def test_a_locked_keyring_is_told_once_and_the_file_taken(
    system: LocalSystem, bus: Environment, folders: Path
) -> None:
    login = _drink(bus, "login", "alice", "--server", system.address)
    who = _drink(bus, "whoami")

    assert login.returncode == 0
    assert "the token is kept in" in login.stderr
    assert (who.returncode, who.stderr) == (0, "")
    assert _token_files(folders) == ["default"]


def test_a_keyring_that_hangs_holds_no_process_up(system: LocalSystem, folders: Path) -> None:
    hanging = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHON_KEYRING_BACKEND": f"{hanging_keyring.__name__}.Keyring",
    }

    began = time.monotonic()
    login = _drink(hanging, "login", "alice", "--server", system.address)
    seconds = time.monotonic() - began
    who = _drink(hanging, "whoami")

    assert login.returncode == 0
    assert "the keyring did not answer within 5 s; the token is kept in" in login.stderr
    assert seconds > keyrings.LIMIT_S
    assert (who.returncode, who.stderr) == (0, "")


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process has a keyring that hangs, and does not wait long for it."""
    monkeypatch.setattr(keyrings, "LIMIT_S", 0.1)
    before = keyring.get_keyring()
    keyring.set_keyring(hanging_keyring.Keyring())
    yield
    keyring.set_keyring(before)


def test_a_token_in_a_keyring_that_hangs_needs_another_login(
    drink: Drink, hanging: None, folders: Path
) -> None:
    config = folders / "config/drink/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'[profiles.default]\nserver = "{drink.server}"\nkeyring = true\n', encoding="utf-8"
    )

    refused = drink("whoami")
    assert refused.exit_code == Exit.LOGIN
    assert "drink login --no-keyring" in refused.stderr

    assert drink("login", "alice", "--no-keyring", typed=ALICE.password).stderr == ""
    assert drink("whoami").exit_code == 0
    assert load_profile().keyring is False


def test_no_keyring_is_no_reason_to_talk_but_where_one_is_wanted(alice: Drink) -> None:
    assert load_profile().keyring is None

    wanted = alice("login", "alice", "--keyring", typed=ALICE.password)

    assert wanted.exit_code == 0
    assert "there is no keyring" in wanted.stderr
    assert load_profile().keyring is False


def test_the_library_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)

    assert not keyrings.is_there()
    with pytest.raises(KeyringError, match=r"drink-cli\[keyring\]"):
        keyrings.store("a@b", "token")


def test_a_keyring_that_fails_says_why(hanging: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: str) -> None:
        raise OSError("out of order")

    monkeypatch.setattr(hanging_keyring.Keyring, "get_password", fail)
    with pytest.raises(KeyringError, match="cannot be used: out of order"):
        keyrings.read("a@b")
