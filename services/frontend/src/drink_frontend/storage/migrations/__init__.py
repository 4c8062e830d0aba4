"""Migrations of the database's schema."""

from drink_frontend.storage.migrations.run import migrate

__all__ = ["migrate"]
