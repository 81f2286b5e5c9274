"""Mark log entries that change no record, as replaying them could have corrupted a record."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("events", sa.Column("note", sa.Boolean(), nullable=False, server_default=sa.false()))
