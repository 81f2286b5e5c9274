"""Upgrade the schema with alembic."""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parents[1] / "migrations"


def revisions() -> "Config":
    """Return alembic's configuration with the folders of revisions."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("recursive_version_locations", "true")
    return config


def upgrade(connection: sa.Connection, to: str = "head") -> None:
    """Run the missing migrations inside the connection's transaction."""
    from alembic import command

    config = revisions()
    config.attributes["connection"] = connection
    command.upgrade(config, to)
