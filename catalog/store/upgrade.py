"""Upgrading the schema with alembic."""

from pathlib import Path

import sqlalchemy as sa

MIGRATIONS = Path(__file__).parents[1] / "migrations"


def upgrade(connection: sa.Connection, to: str = "head") -> None:
    """Run the migrations that are missing, inside the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
