"""Volumes belong to an account."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("volumes", sa.Column("owner", TEXT, nullable=False, server_default="admin"))
