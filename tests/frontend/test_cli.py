"""The command line of the frontend, without its admin part."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from drink_frontend.cli import main
from tests.support import programs
from tests.support.ports import free_port

pytestmark = pytest.mark.usefixtures("restored_logging")


def type_(folder: Path, *arguments: str) -> Result:
    environment = {"DRINK_STORAGE__PATH": str(folder / "drink.db"), "DRINK_RPC__PORT": "1"}
    return CliRunner().invoke(main, arguments, env=environment)


def test_migrate_makes_a_database_and_again_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        assert type_(tmp_path, "migrate").exit_code == 0
    assert (tmp_path / "drink.db").stat().st_mode & 0o777 == 0o600
    assert type_(tmp_path, "admin", "verify").stdout == "The books agree.\n"


def test_serve_without_a_database_says_what_to_do(tmp_path: Path) -> None:
    served = programs.run(
        *(sys.executable, "-c", "from drink_frontend.start import main; main()", "serve"),
        env={**os.environ, "DRINK_STORAGE__PATH": str(tmp_path / "drink.db")},
    )
    assert served.returncode == 1
    [line] = map(json.loads, served.stdout.splitlines())
    assert (line["event"], line["level"]) == ("frontend_failed", "critical")
    assert "migrate makes it" in line["error"]
    assert served.stderr == ""


def test_health_of_nobody_is_not_serving(tmp_path: Path) -> None:
    result = type_(tmp_path, "health")
    assert (result.exit_code, result.stdout) == (1, "NOT_SERVING\n")


def test_health_of_nobody_says_why_as_json(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "frontend.toml"
    file.write_text(f'metrics.listen = "127.0.0.1:{port}"')
    result = type_(tmp_path, "--config", str(file), "health", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["status"], told["reasons"]) == ("NOT_SERVING", ["no_answer"])
    assert f"127.0.0.1:{port}" in told["details"]


def test_config_check_shows_what_is_in_force(tmp_path: Path) -> None:
    result = type_(tmp_path, "config", "check")
    assert json.loads(result.stdout)["rpc"]["port"] == 1


def test_config_reference_is_markdown(tmp_path: Path) -> None:
    assert type_(tmp_path, "config", "reference").stdout.startswith("# Configuration")


@pytest.mark.parametrize("text", ["[rpc]\nprot = 1", "= ="])
def test_a_bad_configuration_ends_every_command_with_2_and_the_reason(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    for command in ("serve", "migrate", "health"):
        result = type_(tmp_path, "--config", str(file), command)
        assert result.exit_code == 2
        assert "rpc.prot" in result.output or "bad.toml" in result.output
    assert not (tmp_path / "drink.db").exists()


def test_a_backup_is_a_database_again(tmp_path: Path) -> None:
    type_(tmp_path, "migrate")
    type_(tmp_path, "admin", "user", "add", "alice")
    (tmp_path / "restored").mkdir()
    copy = str(tmp_path / "restored" / "drink.db")
    assert type_(tmp_path, "admin", "backup", copy).exit_code == 0
    assert "alice" in type_(tmp_path / "restored", "admin", "user", "list").stdout
    again = type_(tmp_path, "admin", "backup", copy)
    assert again.exit_code == 1
    assert "exists already" in again.output


def test_version_is_that_of_the_distribution(tmp_path: Path) -> None:
    told = type_(tmp_path, "--version")
    assert (told.exit_code, told.stdout) == (0, f"drink-frontend {version('drink-frontend')}\n")
