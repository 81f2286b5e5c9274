"""Indexes in listing order for the images of a storage and for images by name."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "image_places",
        sa.Column("image_storage", TEXT, primary_key=True, nullable=False),
        sa.Column("created_at", TIME, primary_key=True, nullable=False),
        sa.Column("image_id", TEXT, sa.ForeignKey("images.id"), primary_key=True, nullable=False),
    )
    op.execute(
        "INSERT INTO image_places (image_storage, created_at, image_id) "
        "SELECT r.image_storage, i.created_at, i.id FROM replicas r JOIN images i ON i.id = r.image_id"
    )
    op.create_index("ix_image_places_image_id", "image_places", ["image_id"])
    op.drop_index("ix_images_name_id", "images")
    op.create_index("ix_images_name_created_at_id", "images", ["name", "created_at", "id"])
