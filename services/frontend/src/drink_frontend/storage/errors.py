"""Why a database cannot be opened or migrated. The messages are for operators."""


class StorageError(Exception):
    """The database cannot be used as it is; the message says what to do."""


class DatabaseLockedError(StorageError):
    """Another frontend has the database open."""


class SchemaError(StorageError):
    """The database's schema is not the one this program was made for."""
