"""A command that each build of a family must run successfully. Only adds: older programs keep working."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("families", sa.Column("boot_command", TEXT, nullable=False, server_default=""))
