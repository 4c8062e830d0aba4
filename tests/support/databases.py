"""Databases for tests: migrated once per run, then copied."""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from drink_frontend.domain.errors import StorageUnavailableError
from drink_frontend.storage.database import Database
from drink_frontend.storage.migrations import migrate
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.transaction import Transaction

LIMIT_S = 30
"""Longest wait in seconds for a database to serve again."""


def fresh_sqlite(folder: Path, **changes: Any) -> StorageSettings:
    """Settings of a new, empty, migrated SQLite database in `folder`."""
    settings = StorageSettings(path=folder / "drink.db", **changes)
    shutil.copyfile(_template(), settings.path)
    return settings


async def persist(storage: Database, unit: Callable[[Transaction], object]) -> None:
    """Asks for a unit until it is done, as a buyer's program does."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            with suppress(StorageUnavailableError):
                await storage.write(unit)
                return
            await asyncio.sleep(0.01)


@contextmanager
def interrupted_at(statement: int) -> Iterator[None]:
    """Raises in place of a migration's n-th statement that changes anything."""
    numbers = itertools.count(1)

    def before_execute(_: Any, __: Any, sql: str, *___: Any) -> None:
        changes = sql.lstrip().startswith(("CREATE", "INSERT", "UPDATE"))
        if changes and next(numbers) == statement:
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", before_execute)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", before_execute)


@cache
def _template() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="drink-template-")
    _FOLDERS.append(folder)
    settings = StorageSettings(path=Path(folder.name) / "drink.db")
    migrate(settings)
    return settings.path


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []
