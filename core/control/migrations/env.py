"""Alembic's entry point: migrations run on the connection that `core.control.engine.upgrade` hands in."""

from alembic import context

from core.control.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
