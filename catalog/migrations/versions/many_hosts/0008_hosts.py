"""Several hosts per catalog: owners of directories, heartbeats, shared keys and outcomes.

Only adds, and every addition is optional: programs of the previous revision keep reading and writing beside newer ones.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("alembic_version", sa.Column("readers", TEXT, nullable=True))
    for storages in ("image_storages", "primary_storages"):
        op.add_column(storages, sa.Column("host", TEXT, nullable=True))
        op.add_column(storages, sa.Column("shared", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("exported_images", sa.Column("host", TEXT, nullable=True))
    op.create_table(
        "hosts",
        sa.Column("name", TEXT, primary_key=True, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("storages", sa.JSON(), nullable=False),
        sa.Column("primary_storages", sa.JSON(), nullable=False),
        sa.Column("free_scratch_bytes", BIG, nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("last_seen", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "shared_keys",
        sa.Column("name", TEXT, primary_key=True, nullable=False),
        sa.Column("value", TEXT, nullable=False),
    )
    op.create_table(
        "upload_places",
        sa.Column("id", TEXT, primary_key=True, nullable=False),
        sa.Column("host", TEXT, nullable=False),
    )
    op.create_index("ix_upload_places_host", "upload_places", ["host"])
    op.create_table(
        "run_outcomes",
        sa.Column("run_id", TEXT, primary_key=True, nullable=False),
        sa.Column("result", TEXT, nullable=True),
        sa.Column("error", TEXT, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_run_outcomes_created_at", "run_outcomes", ["created_at"])
