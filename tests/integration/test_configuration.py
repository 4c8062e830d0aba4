"""A configuration that cannot be used is refused by every command before anything is started."""

import os
import subprocess
from pathlib import Path

import pytest

from scripts.processes import BIN
from tests.support import programs

EXIT_CONFIG = 2

SOUND = 'machine = "d"\n[board]\nurl = "serial:///dev/null"\n'
"""A configuration of an agent."""


def attempt(
    folder: Path, *command: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return programs.run(
        BIN / command[0], *command[1:], cwd=folder, env={**os.environ, **(environment or {})}
    )


def assert_refused(done: subprocess.CompletedProcess[str], named: str, folder: Path) -> None:
    """It names the wrong key and has created nothing."""
    assert done.returncode == EXIT_CONFIG
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert {file.suffix for file in folder.iterdir()} <= {".toml"}


FRONTEND = ("drink-frontend", "--config=used.toml", "serve")
AGENT = ("drink-machine-agent", "--config=used.toml", "run")


@pytest.mark.parametrize(
    ("command", "config", "named"),
    [
        (FRONTEND, '[rpc]\nport = "fifty"\n', "rpc.port"),
        (FRONTEND, "[rpc]\nprot = 50051\n", "rpc.prot"),
        (FRONTEND, "[rpc\n", "line 1"),
        (FRONTEND, None, "used.toml"),
        (AGENT, "", "machine"),
        (AGENT, 'machine = "d"\n', "board"),
        (AGENT, SOUND.replace('"d"', '"The D"'), "machine"),
        (AGENT, SOUND + "[link]\nwelcome_limit_s = true\n", "link.welcome_limit_s"),
        (AGENT, SOUND + "[link]\nwelcome_limit_s = 0\n", "welcome_limit_s"),
        (AGENT, SOUND + "[link]\nadress = 'localhost:1'\n", "link.adress"),
        (AGENT, SOUND + "[lnik]\naddresses = ['localhost:1']\n", "lnik"),
        (AGENT, SOUND.replace("serial://", "carrier-pigeon://"), "carrier-pigeon"),
        (AGENT, SOUND + "password = 'open'\n", "board.password"),
        (AGENT, "machine = \n", "line 1"),
        (AGENT, None, "used.toml"),
    ],
)
def test_no_service_starts_with_a_bad_or_missing_configuration(
    tmp_path: Path, command: tuple[str, ...], config: str | None, named: str
) -> None:
    if config is not None:
        (tmp_path / "used.toml").write_text(config)
    assert_refused(attempt(tmp_path, *command), named, tmp_path)


@pytest.mark.parametrize("command", ["migrate", "health", "admin verify", "config check"])
def test_no_command_of_the_frontend_works_with_a_bad_configuration(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / "frontend.toml").write_text("[storage]\nwrite_queue_max = true\n")
    done = attempt(tmp_path, "drink-frontend", "--config=frontend.toml", *command.split())
    assert_refused(done, "storage.write_queue_max", tmp_path)


def test_the_environment_is_checked_as_the_file_is(tmp_path: Path) -> None:
    frontend = attempt(
        tmp_path, "drink-frontend", "serve", environment={"DRINK_RPC__PORT": "fifty"}
    )
    assert_refused(frontend, "rpc.port", tmp_path)
    (tmp_path / "agent.toml").write_text(SOUND)
    agent = attempt(
        tmp_path,
        *("drink-machine-agent", "--config=agent.toml", "run"),
        environment={"DRINK_AGENT_LINK__WELCOME_LIMIT_S": "soon"},
    )
    assert_refused(agent, "link.welcome_limit_s", tmp_path)


def test_the_frontend_does_not_start_without_a_database(tmp_path: Path) -> None:
    done = attempt(tmp_path, "drink-frontend", "serve")
    assert done.returncode == 1
    assert "migrate makes it" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--pty"),
        (("--pty=board", "--cans=one"), "one"),
        (("--pty=board", "--cans=0:5"), "slots"),
        (("--listen=4343",), "HOST:PORT"),
        (("--config=missing.toml",), "missing.toml"),
    ],
)
def test_the_emulator_does_not_start_with_bad_options(
    tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    assert_refused(attempt(tmp_path, "tini-emulator", *arguments), named, tmp_path)
