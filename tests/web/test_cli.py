from pathlib import Path

from typer.testing import CliRunner

from drink_web.cli import main
from drink_web.settings import reference


def test_settings_are_checked_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "web.toml"
    path.write_text("[http]\nport = 81\n")
    result = CliRunner().invoke(main, ["--config", str(path), "config", "check"])
    assert '"port": 81' in result.output
    path.write_text("[http]\nprot = 81\n")
    result = CliRunner().invoke(main, ["--config", str(path), "config", "check"])
    assert result.exit_code == 2
    assert "http.prot" in result.output


def test_the_reference_is_printed() -> None:
    assert CliRunner().invoke(main, ["config", "reference"]).output == reference()


def test_a_page_that_does_not_run_is_not_healthy() -> None:
    result = CliRunner().invoke(main, ["health"], env={"DRINK_WEB_HTTP__PORT": "1"})
    assert result.exit_code == 1


def test_keys_that_cannot_be_used_end_the_start(tmp_path: Path) -> None:
    variable = {"DRINK_WEB_COOKIES__KEY_FILE": str(tmp_path / "missing" / "keys")}
    result = CliRunner().invoke(main, ["serve"], env=variable)
    assert result.exit_code == 2
    assert "cookies.key_file" in result.output
