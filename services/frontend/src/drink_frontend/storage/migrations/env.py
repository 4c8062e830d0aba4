"""Alembic's environment: runs the migrations on the caller's connection and transaction."""

from alembic import context

from drink_frontend.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
