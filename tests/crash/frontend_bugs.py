"""Bugs to plant into the frontend; each breaks a promise."""

from sqlite3 import Connection
from typing import Any

from drink_frontend.storage import sqlite_engine
from tests.crash.kill_switch import replace


def do_not_sync() -> None:
    """Commits return before they are on the disk."""
    open_file = sqlite_engine.open_file

    def wrapped(*arguments: Any, **options: Any) -> Connection:
        connection = open_file(*arguments, **options)
        connection.execute("PRAGMA synchronous = NORMAL").close()
        return connection

    replace(sqlite_engine, "open_file", wrapped)
