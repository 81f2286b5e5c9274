"""Schema revisions, one per file; alembic searches the folders."""
