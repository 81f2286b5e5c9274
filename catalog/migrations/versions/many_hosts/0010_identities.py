"""Persons and robots, their tokens and sessions; who acted, in entries of the log; outcomes of runs."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("events", sa.Column("identity", TEXT, nullable=True))
    op.add_column("events", sa.Column("door", TEXT, nullable=True))
    op.create_table(
        "identities",
        sa.Column("name", TEXT, primary_key=True, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("projects", sa.JSON(), nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("id", TEXT, primary_key=True, nullable=False),
        sa.Column("identity", TEXT, nullable=False),
        sa.Column("scope", sa.JSON(), nullable=False),
        sa.Column("created_by", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
    )
    op.create_index("ix_tokens_identity_created_at_id", "tokens", ["identity", "created_at", "id"])
    op.create_index("ix_tokens_created_at_id", "tokens", ["created_at", "id"])
    _secrets()
    op.create_table(
        "outcomes",
        sa.Column("run_id", TEXT, primary_key=True, nullable=False),
        sa.Column("operation", TEXT, nullable=False),
        sa.Column("result", TEXT, nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
    )


def _secrets() -> None:
    op.create_table(
        "passwords",
        sa.Column("identity", TEXT, primary_key=True, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
    )
    op.create_table(
        "token_secrets",
        sa.Column("token_id", TEXT, primary_key=True, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("last_used_at", TIME, nullable=True),
    )
    op.create_table(
        "sessions",
        sa.Column("id", TEXT, primary_key=True, nullable=False),
        sa.Column("identity", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
    )
    op.create_index("ix_sessions_identity_id", "sessions", ["identity", "id"])
    op.create_index("ix_sessions_expires_at_id", "sessions", ["expires_at", "id"])
    op.create_table(
        "sign_in_attempts",
        sa.Column("subject", TEXT, primary_key=True, nullable=False),
        sa.Column("count", BIG, nullable=False),
        sa.Column("since", TIME, nullable=False),
    )
