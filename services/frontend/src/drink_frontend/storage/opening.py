"""Opens the storage on the engine that the settings name."""

from typing import TYPE_CHECKING

from drink_frontend.storage.errors import StorageError
from drink_frontend.storage.settings import StorageSettings
from drink_frontend.storage.sqlite import SqliteStorage

if TYPE_CHECKING:
    from drink_frontend.storage.postgres import PostgresStorage


def open_storage(
    settings: StorageSettings, *, beside: bool = False
) -> "SqliteStorage | PostgresStorage":
    """The database, on the event loop that uses it.

    Args:
        settings: Where it is, and its bounds.
        beside: For a command beside a running frontend.

    Raises:
        StorageError: it cannot be opened; the message says why.
    """
    if settings.url is None:
        return SqliteStorage.open(settings, beside=beside)
    require_postgres()
    from drink_frontend.storage.postgres import PostgresStorage  # noqa: PLC0415 - optional

    return PostgresStorage.open(settings, beside=beside)


def require_postgres() -> None:
    """Says what is missing where PostgreSQL's driver is not installed.

    Raises:
        StorageError: it is not.
    """
    try:
        import psycopg  # noqa: F401, PLC0415 - optional
    except ImportError as error:
        raise StorageError(
            "storage.url needs PostgreSQL's driver: install drink-frontend[postgres]"
        ) from error
