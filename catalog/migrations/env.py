"""Alembic's environment; always runs in a connection that the caller opened."""

from alembic import context

from catalog.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
