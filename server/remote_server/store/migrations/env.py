"""Alembic's entry point: runs the migrations on the connection that `store.versions` gives it."""

from __future__ import annotations

from alembic import context

from remote_server.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter most things in place: alembic copies the table instead.
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
