"""An index of lines without their words, and the first storage of each image. Only adds: older programs keep working.

An older program does not know the first storage, so triggers maintain it, whichever program writes a replica or a line.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NARROW = (
    "created_at", "image_id", "status", "image_type", "format", "owner", "sharing_mode", "deprecated", "cpu_architecture",
    "virtual_size_bytes", "name", "system", "storage",
)  # fmt: skip
FIRST = "(SELECT min(image_storage) FROM image_places WHERE image_places.image_id = {of}.image_id)"
SQLITE_PLACE = """
CREATE TRIGGER image_lines_storage_{event} AFTER {event} ON image_places BEGIN
    UPDATE image_lines SET storage = {first} WHERE image_id = {of}.image_id;
END
"""
SQLITE_LINE = """
CREATE TRIGGER image_lines_storage_line AFTER INSERT ON image_lines BEGIN
    UPDATE image_lines SET storage = {first} WHERE created_at = NEW.created_at AND image_id = NEW.image_id;
END
"""
POSTGRESQL_PLACE = """
CREATE FUNCTION keep_image_line_storage() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE place image_places := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    UPDATE image_lines SET storage = {first} WHERE image_id = place.image_id;
    RETURN NULL;
END $$
"""
POSTGRESQL_PLACES = """
CREATE TRIGGER image_lines_storage AFTER INSERT OR DELETE ON image_places
FOR EACH ROW EXECUTE FUNCTION keep_image_line_storage()
"""
POSTGRESQL_LINE = """
CREATE FUNCTION set_image_line_storage() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.storage := {first};
    RETURN NEW;
END $$
"""
POSTGRESQL_LINES = """
CREATE TRIGGER image_lines_storage_line BEFORE INSERT ON image_lines
FOR EACH ROW EXECUTE FUNCTION set_image_line_storage()
"""
FILL = "UPDATE image_lines SET storage = {first}"
KEEPING = {
    "sqlite": [
        *(SQLITE_PLACE.format(event=e, of=of, first=FIRST.format(of=of)) for e, of in (("INSERT", "NEW"), ("DELETE", "OLD"))),
        SQLITE_LINE.format(first=FIRST.format(of="NEW")),
    ],
    "postgresql": [
        POSTGRESQL_PLACE.format(first=FIRST.format(of="place")), POSTGRESQL_PLACES,
        POSTGRESQL_LINE.format(first=FIRST.format(of="NEW")), POSTGRESQL_LINES,
    ],
}  # fmt: skip


def upgrade() -> None:
    op.add_column("image_lines", sa.Column("storage", TEXT, nullable=True))
    for statement in KEEPING[op.get_bind().dialect.name]:
        op.execute(statement)
    op.execute(FILL.format(first=FIRST.format(of="image_lines")))
    op.create_index("ix_image_lines_narrow", "image_lines", NARROW)
