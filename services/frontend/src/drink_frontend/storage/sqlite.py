"""The storage on SQLite."""

from typing import Self

from drink_frontend.storage.database import Database
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite_engine import SqliteEngine


class SqliteStorage(Database):
    """`Storage` on an SQLite database.

    Args:
        settings: Where it is, and its bounds.
        beside: See `open`.
    """

    def __init__(self, settings: StorageSettings, *, beside: bool) -> None:
        engine = SqliteEngine(settings, exclusive=not beside)
        try:
            super().__init__(engine, settings)
        except BaseException:
            engine.close()
            raise

    @classmethod
    def open(cls, settings: StorageSettings, *, beside: bool = False) -> Self:
        """Opens the database, on the event loop that uses it.

        Args:
            settings: Where it is, and its bounds.
            beside: For a command beside a running frontend, with which it takes turns to write.
                Otherwise every other frontend is kept out until this one is closed.

        Raises:
            DatabaseLockedError: another frontend has it.
            SchemaError: there is none, or its schema is not this program's.
        """
        return cls(settings, beside=beside)
