"""Webhooks, their position in the log, and their deliveries. Only adds: older programs keep working."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("name", TEXT, primary_key=True, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("secret", TEXT, nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "webhook_cursors",
        sa.Column("webhook", TEXT, primary_key=True, nullable=False),
        sa.Column("sequence", BIG, nullable=False),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("webhook", TEXT, primary_key=True, nullable=False),
        sa.Column("sequence", BIG, primary_key=True, nullable=False, autoincrement=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("event", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("attempts", BIG, nullable=False),
        sa.Column("tried_at", TIME, nullable=True),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("response", BIG, nullable=True),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index(
        "ix_webhook_deliveries_webhook_status_sequence", "webhook_deliveries", ["webhook", "status", "sequence"]
    )
