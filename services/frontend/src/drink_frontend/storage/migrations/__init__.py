"""Steps from one schema of the database to the next."""

from drink_frontend.storage.migrations.run import migrate

__all__ = ["migrate"]
