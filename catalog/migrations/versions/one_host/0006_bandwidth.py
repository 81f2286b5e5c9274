"""A bandwidth cap of image storages, and the row by which all writers share it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    size = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("image_storages", sa.Column("bandwidth_bytes_s", size, nullable=True))
    op.create_table(
        "pacing",
        sa.Column("image_storage", TEXT, primary_key=True, nullable=False),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=False),
    )
