"""Families, their promotions and watches; builds, labels, parents and recalls of images.

Only adds: older programs keep working.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    for name in ("build_version", "parent", "recalled"):
        op.add_column("images", sa.Column(name, TEXT, nullable=True))
    op.add_column("images", sa.Column("labels", sa.JSON(), nullable=False, server_default="[]"))
    op.create_index("ix_images_parent_created_at_id", "images", ["parent", "created_at", "id"])
    op.create_table(
        "image_labels",
        sa.Column("label", TEXT, primary_key=True, nullable=False),
        sa.Column("created_at", TIME, primary_key=True, nullable=False),
        sa.Column("image_id", TEXT, sa.ForeignKey("images.id"), primary_key=True, nullable=False),
    )
    op.create_index("ix_image_labels_image_id", "image_labels", ["image_id"])
    _families()
    _watches()


def _families() -> None:
    op.create_table(
        "families",
        sa.Column("name", TEXT, primary_key=True, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("keep_last", BIG, nullable=True),
        sa.Column("keep_days", sa.Float(), nullable=True),
        sa.Column("keep_used", sa.Boolean(), nullable=False),
        sa.Column("deprecate_after_days", sa.Float(), nullable=True),
        sa.Column("soak_hours", sa.Float(), nullable=False),
        sa.Column("approval", sa.Boolean(), nullable=False),
        sa.Column("boot_check", TEXT, nullable=False),
        sa.Column("hygiene", TEXT, nullable=False),
        sa.Column("signature", TEXT, nullable=False),
        sa.Column("image_storages", sa.JSON(), nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
    )
    op.create_table(
        "promotions",
        sa.Column("family", TEXT, primary_key=True, nullable=False),
        sa.Column("cpu_architecture", TEXT, primary_key=True, nullable=False),
        sa.Column("number", BIG, primary_key=True, nullable=False, autoincrement=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("image_id", TEXT, nullable=True),
        sa.Column("build_version", TEXT, nullable=True),
        sa.Column("previous", TEXT, nullable=True),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "channels",
        sa.Column("family", TEXT, primary_key=True, nullable=False),
        sa.Column("cpu_architecture", TEXT, primary_key=True, nullable=False),
        sa.Column("image_id", TEXT, nullable=True),
        sa.Column("number", BIG, nullable=False),
    )
    op.create_index("ix_channels_image_id", "channels", ["image_id"])


def _watches() -> None:
    op.create_table(
        "watches",
        sa.Column("name", TEXT, primary_key=True, nullable=False),
        sa.Column("family", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("pattern", TEXT, nullable=True),
        sa.Column("cpu_architecture", TEXT, nullable=False),
        sa.Column("checksums_url", TEXT, nullable=True),
        sa.Column("signature_url", TEXT, nullable=True),
        sa.Column("public_keys", sa.JSON(), nullable=False),
        sa.Column("add", sa.JSON(), nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
    )
    op.create_index("ix_watches_family", "watches", ["family"])
    op.create_table(
        "watch_states",
        sa.Column("watch", TEXT, primary_key=True, nullable=False),
        sa.Column("etag", TEXT, nullable=True),
        sa.Column("last_modified", TEXT, nullable=True),
        sa.Column("digest", TEXT, nullable=True),
        sa.Column("place", TEXT, nullable=True),
        sa.Column("builds", BIG, nullable=False),
        sa.Column("newest", TEXT, nullable=True),
        sa.Column("waiting", TEXT, nullable=True),
        sa.Column("refused", TEXT, nullable=False),
    )
