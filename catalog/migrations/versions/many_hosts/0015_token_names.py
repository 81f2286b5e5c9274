"""Names of tokens, given by their makers. Only adds: older programs keep working."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("tokens", sa.Column("name", TEXT, nullable=False, server_default=""))
