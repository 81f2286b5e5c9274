"""Images may expire."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("images", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_images_expires_at_id", "images", ["expires_at", "id"])
