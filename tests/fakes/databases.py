"""Databases for tests: migrated once per run, then copied."""

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from drink_frontend.storage.migrations import migrate
from drink_frontend.storage.settings import StorageSettings


def fresh_sqlite(folder: Path, **changes: Any) -> StorageSettings:
    """Settings of a new, empty, migrated SQLite database in `folder`."""
    settings = StorageSettings(path=folder / "drink.db", **changes)
    shutil.copyfile(_template(), settings.path)
    return settings


@cache
def _template() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="drink-template-")
    _FOLDERS.append(folder)
    settings = StorageSettings(path=Path(folder.name) / "drink.db")
    migrate(settings)
    return settings.path


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []
