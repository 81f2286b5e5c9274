"""One file a revision; alembic looks through the folders."""
