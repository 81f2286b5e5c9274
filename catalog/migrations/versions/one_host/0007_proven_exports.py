"""Exports record the state of their file at the time its digests were verified."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("exported_images", sa.Column("proven", TEXT, nullable=True))
