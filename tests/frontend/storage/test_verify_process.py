"""The check of the books in another process."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.verify_process import CheckFailedError, verify_beside
from tests.support.databases import fresh_sqlite

LIMIT_S = 60


@pytest.fixture
def settings(tmp_path: Path) -> StorageSettings:
    return fresh_sqlite(tmp_path)


async def test_sound_books_have_no_problem_and_unsound_ones_have(settings: StorageSettings) -> None:
    assert await verify_beside(settings, LIMIT_S) == []
    with closing(sqlite3.connect(settings.path)) as connection:
        connection.execute("UPDATE accounts SET debits_posted = 7 WHERE kind = 'FUNDING'")
        connection.commit()
    problems = await verify_beside(settings, LIMIT_S)
    assert problems
    assert all(problem.startswith("1: ") for problem in problems)


async def test_a_check_that_takes_too_long_or_fails_is_an_error(settings: StorageSettings) -> None:
    with pytest.raises(CheckFailedError, match="longer than"):
        await verify_beside(settings, 0.001)
    missing = settings.model_copy(update={"path": settings.path.with_name("none.db")})
    with pytest.raises(CheckFailedError, match="ended with 1"):
        await verify_beside(missing, LIMIT_S)
