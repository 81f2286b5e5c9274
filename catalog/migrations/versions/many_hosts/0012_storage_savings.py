"""Savings of image storages, and whether they may keep recipes. Only adds: older programs keep working."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
SIZES = (
    "logical_bytes",
    "kept_bytes",
    "saved_by_dedup_bytes",
    "saved_by_compression_bytes",
    "saved_by_compaction_bytes",
)


def upgrade() -> None:
    op.add_column("image_storages", sa.Column("recipes", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name in SIZES:
        op.add_column("image_storages", sa.Column(name, BIG, nullable=True))
    op.add_column("image_storages", sa.Column("measured_at", TIME, nullable=True))
