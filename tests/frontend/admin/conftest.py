"""The admin commands, run in this process on a database of their own."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import structlog
from typer.testing import CliRunner, Result

from drink_frontend.app import Administration, administration
from drink_frontend.cli import main
from drink_frontend.config import Settings
from drink_frontend.storage.migrations import migrate
from drink_frontend.storage.settings import StorageSettings

T = TypeVar("T")


class Operator:
    """Runs admin commands as an operator does, on a database of its own."""

    def __init__(self, path: Path) -> None:
        self.settings = Settings(storage=StorageSettings(path=path))
        self._environment = {"DRINK_STORAGE__PATH": str(path)}

    def set(self, key: str, value: object) -> None:
        """Sets a setting for the commands that follow."""
        self._environment[f"DRINK_{key.replace('.', '__').upper()}"] = str(value)

    def type(self, *arguments: str, text: str = "") -> Result:
        """Runs `drink-frontend` with the arguments, and with `text` on a pipe."""
        result = CliRunner().invoke(main, arguments, input=text, env=self._environment)
        # The command's terminal is closed; what this process logs must not go there.
        structlog.reset_defaults()
        return result

    def admin(self, *arguments: str, text: str = "") -> str:
        """Runs an admin command that must succeed, and returns what it printed."""
        result = self.type("admin", *arguments, text=text)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, *arguments: str, text: str = "") -> str:
        """Runs an admin command that must be refused, and returns what it said."""
        result = self.type("admin", *arguments, text=text)
        assert result.exit_code == 1, result.output
        assert "Traceback" not in result.output
        return result.stderr.strip()

    def look(self, question: Callable[[Administration], Awaitable[T]]) -> T:
        """What the use cases say."""

        async def ask() -> T:
            async with administration(self.settings) as drink:
                return await question(drink)

        return asyncio.run(ask())


@pytest.fixture
def operator(tmp_path: Path, restored_logging: None) -> Operator:
    """An operator of an empty database."""
    operator = Operator(tmp_path / "drink.db")
    migrate(operator.settings.storage)
    return operator
