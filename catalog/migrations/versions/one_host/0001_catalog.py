"""The initial schema of the catalog."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON()
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "images",
        sa.Column("id", TEXT, primary_key=True, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("image_type", TEXT, nullable=False),
        sa.Column("format", TEXT, nullable=False),
        sa.Column("format_stored", TEXT, nullable=False),
        sa.Column("media", TEXT, nullable=False),
        sa.Column("cpu_architecture", TEXT, nullable=True),
        sa.Column("platform", TEXT, nullable=True),
        sa.Column("os", TEXT, nullable=False),
        sa.Column("virtio", sa.Boolean(), nullable=True),
        sa.Column("bios_mode", TEXT, nullable=True),
        sa.Column("enable_csm", sa.Boolean(), nullable=False),
        sa.Column("elastic_baremetal", sa.Boolean(), nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("expected_checksum", TEXT, nullable=True),
        sa.Column("size_bytes", BIG, nullable=True),
        sa.Column("virtual_size_bytes", BIG, nullable=True),
        sa.Column("actual_size_bytes", BIG, nullable=True),
        sa.Column("md5", TEXT, nullable=True),
        sa.Column("sha256", TEXT, nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("error", TEXT, nullable=True),
        sa.Column("warnings", JSON, nullable=False),
        sa.Column("verdict", JSON, nullable=True),
        sa.Column("boot", JSON, nullable=True),
        sa.Column("quality", JSON, nullable=True),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("sharing_mode", TEXT, nullable=False),
        sa.Column("shared_accounts", JSON, nullable=False),
        sa.Column("shared_projects", JSON, nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("family", TEXT, nullable=True),
        sa.Column("deprecated", sa.Boolean(), nullable=False),
        sa.Column("replaced_by", TEXT, nullable=True),
        sa.Column("image_storages", JSON, nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("deleted_at", TIME, nullable=True),
    )
    op.create_index("ix_images_created_at_id", "images", ["created_at", "id"])
    op.create_index("ix_images_family_created_at_id", "images", ["family", "created_at", "id"])
    op.create_index("ix_images_name_id", "images", ["name", "id"])
    op.create_index("ix_images_owner_created_at_id", "images", ["owner", "created_at", "id"])
    op.create_index("ix_images_sharing_mode_created_at_id", "images", ["sharing_mode", "created_at", "id"])
    op.create_index("ix_images_status_created_at_id", "images", ["status", "created_at", "id"])
    op.create_index("ix_images_updated_at_id", "images", ["updated_at", "id"])
    op.create_table(
        "replicas",
        sa.Column("image_id", TEXT, sa.ForeignKey("images.id"), primary_key=True, nullable=False),
        sa.Column("image_storage", TEXT, primary_key=True, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("format", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("stored_bytes", BIG, nullable=False),
        sa.Column("md5", TEXT, nullable=True),
        sa.Column("sha256", TEXT, nullable=True),
        sa.Column("error", TEXT, nullable=True),
        sa.Column("verified_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_replicas_image_storage_image_id", "replicas", ["image_storage", "image_id"])
    op.create_table(
        "exported_images",
        sa.Column("id", TEXT, primary_key=True, nullable=False),
        sa.Column("image_id", TEXT, sa.ForeignKey("images.id"), nullable=False),
        sa.Column("image_storage", TEXT, nullable=False),
        sa.Column("format", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=True),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("md5", TEXT, nullable=False),
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_exported_images_created_at_id", "exported_images", ["created_at", "id"])
    op.create_index("ix_exported_images_image_id_image_storage", "exported_images", ["image_id", "image_storage"])
    op.create_table(
        "leftovers",
        sa.Column("id", TEXT, primary_key=True, nullable=False),
        sa.Column("image_id", TEXT, nullable=False),
        sa.Column("image_storage", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("moved_to", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_leftovers_created_at_id", "leftovers", ["created_at", "id"])
    op.create_index("ix_leftovers_image_id_id", "leftovers", ["image_id", "id"])
    op.create_index("ix_leftovers_image_storage_id", "leftovers", ["image_storage", "id"])
    op.create_table(
        "volumes",
        sa.Column("id", TEXT, primary_key=True, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("image_id", TEXT, nullable=False),
        sa.Column("primary_storage", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("backing", TEXT, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_volumes_created_at_id", "volumes", ["created_at", "id"])
    op.create_index("ix_volumes_image_id_id", "volumes", ["image_id", "id"])
    op.create_index("ix_volumes_primary_storage_id", "volumes", ["primary_storage", "id"])
    op.create_table(
        "cached_images",
        sa.Column("image_id", TEXT, primary_key=True, nullable=False),
        sa.Column("primary_storage", TEXT, primary_key=True, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("last_used_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_cached_images_primary_storage_image_id", "cached_images", ["primary_storage", "image_id"])
    op.create_table(
        "image_storages",
        sa.Column("name", TEXT, primary_key=True, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("credentials", TEXT, nullable=True),
        sa.Column("endpoint", TEXT, nullable=True),
        sa.Column("sync_network", TEXT, nullable=True),
        sa.Column("capacity_bytes", BIG, nullable=True),
        sa.Column("reserve_bytes", BIG, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("connection", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "primary_storages",
        sa.Column("name", TEXT, primary_key=True, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("credentials", TEXT, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "accounts",
        sa.Column("name", TEXT, primary_key=True, nullable=False),
        sa.Column("projects", JSON, nullable=False),
        sa.Column("quota_images", BIG, nullable=True),
        sa.Column("quota_bytes", BIG, nullable=True),
        sa.Column("quota_stored_bytes", BIG, nullable=True),
        sa.Column("retention_days", sa.Float(), nullable=True),
        sa.Column("retention_policy", TEXT, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "deferred_work",
        sa.Column("id", TEXT, primary_key=True, nullable=False),
        sa.Column("operation", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("image_id", TEXT, nullable=True),
        sa.Column("storage", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("bytes", BIG, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("attempts", BIG, nullable=False),
        sa.Column("tried_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_deferred_work_image_id_id", "deferred_work", ["image_id", "id"])
    op.create_index("ix_deferred_work_storage_id", "deferred_work", ["storage", "id"])
    op.create_table(
        "counted",
        sa.Column("account", TEXT, primary_key=True, nullable=False),
        sa.Column("images", BIG, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("stored_bytes", BIG, nullable=False),
        sa.Column("binned_images", BIG, nullable=False),
        sa.Column("binned_bytes", BIG, nullable=False),
    )
    op.create_table(
        "reservations",
        sa.Column("subject", TEXT, primary_key=True, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("storages", JSON, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("landed_bytes", BIG, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_reservations_account", "reservations", ["account"])
    op.create_table(
        "leases",
        sa.Column("image_id", TEXT, primary_key=True, nullable=False),
        sa.Column("holder", TEXT, nullable=True),
        sa.Column("token", BIG, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("sequence", BIG, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("image_id", TEXT, nullable=True),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=True),
        sa.Column("before", JSON, nullable=True),
        sa.Column("after", JSON, nullable=True),
        sa.Column("previous_hash", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
    )
    op.create_index("ix_events_at", "events", ["at"])
    op.create_index("ix_events_image_id_sequence", "events", ["image_id", "sequence"])
    op.create_index("ix_events_subject_sequence", "events", ["subject", "sequence"])
    op.create_table(
        "image_shares",
        sa.Column("grantee", TEXT, primary_key=True, nullable=False),
        sa.Column("created_at", TIME, primary_key=True, nullable=False),
        sa.Column("image_id", TEXT, sa.ForeignKey("images.id"), primary_key=True, nullable=False),
    )
    op.create_index("ix_image_shares_image_id", "image_shares", ["image_id"])
