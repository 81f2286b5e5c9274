"""Lines: one narrow row per image, by which lists are searched and sorted. Only adds: older programs keep working.

An older program writes images without their lines, so triggers note each written image; newer programs remove the note.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
LINES: tuple["sa.Column[Any]", ...] = (
    sa.Column("created_at", TIME, primary_key=True, nullable=False),
    sa.Column("image_id", TEXT, sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True, nullable=False),
    sa.Column("words", TEXT, nullable=False),
    sa.Column("name", TEXT, nullable=False),
    sa.Column("system", TEXT, nullable=False),
    sa.Column("status", TEXT, nullable=False),
    sa.Column("image_type", TEXT, nullable=False),
    sa.Column("format", TEXT, nullable=False),
    sa.Column("owner", TEXT, nullable=False),
    sa.Column("sharing_mode", TEXT, nullable=False),
    sa.Column("deprecated", sa.Boolean(), nullable=False),
    sa.Column("cpu_architecture", TEXT, nullable=True),
    sa.Column("virtual_size_bytes", BIG, nullable=True),
)
COPIED = tuple(column.name for column in LINES[5:])
SAID = ("name", "description", "os", "family", "build_version", "labels", "boot", "id", "md5", "sha256")
DIGITS = re.compile("[0-9]+")
TOGETHER = 1000
SQLITE_NOTE = """
CREATE TRIGGER image_lines_behind_{event} AFTER {event} ON images BEGIN
    INSERT INTO image_lines_behind (image_id)
    SELECT NEW.id WHERE NOT EXISTS (SELECT 1 FROM image_lines_behind WHERE image_id = NEW.id);
END
"""
POSTGRESQL_NOTE = """
CREATE FUNCTION note_image_line_behind() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO image_lines_behind (image_id) VALUES (NEW.id)
    ON CONFLICT (image_id) DO UPDATE SET image_id = EXCLUDED.image_id;
    RETURN NULL;
END $$
"""  # an existing note is locked: its removal waits for the writing transaction
POSTGRESQL_NOTING = """
CREATE TRIGGER image_lines_behind AFTER INSERT OR UPDATE ON images
FOR EACH ROW EXECUTE FUNCTION note_image_line_behind()
"""
NOTES = {
    "sqlite": [SQLITE_NOTE.format(event=event) for event in ("INSERT", "UPDATE")],
    "postgresql": [POSTGRESQL_NOTE, POSTGRESQL_NOTING],
}


def upgrade() -> None:
    _note_what_is_written()
    lines = op.create_table("image_lines", *LINES, sqlite_with_rowid=False)
    op.create_index("ix_image_lines_image_id", "image_lines", ["image_id"])
    names = dict.fromkeys((*SAID, *COPIED))
    images = sa.table("images", sa.column("created_at", TIME), *(sa.column(name) for name in names))
    found = op.get_bind().execute(sa.select(images)).mappings()
    for rows in found.partitions(TOGETHER):
        op.bulk_insert(lines, [_line(dict(row)) for row in rows])


def _note_what_is_written() -> None:
    """Create the triggers first: they note every later write, and everything written before is copied."""
    image = sa.ForeignKey("images.id", ondelete="CASCADE")
    column = sa.Column("image_id", TEXT, image, primary_key=True, nullable=False)
    op.create_table("image_lines_behind", column, sqlite_with_rowid=False)
    for statement in NOTES[op.get_bind().dialect.name]:
        op.execute(statement)


def _line(row: dict[str, Any]) -> dict[str, object]:
    guest = (_parsed(row["boot"]) or {}).get("guest_os") or ""
    said = [row[name] for name in SAID if name not in ("labels", "boot")]
    words = "\n".join(filter(None, (*said, guest, *_labels(row["labels"])))).casefold()
    system = " ".join(filter(None, (guest or row["os"], row["cpu_architecture"])))
    copied = {name: row[name] for name in COPIED}
    line = {**copied, "deprecated": bool(row["deprecated"]), "created_at": row["created_at"], "image_id": row["id"]}
    return {**line, "words": words, "name": _counted(row["name"]), "system": _counted(system)}


def _labels(cell: object) -> Iterator[str]:
    found = _parsed(cell)
    return (str(one) for one in found) if isinstance(found, list) else iter(())


def _parsed(cell: object) -> Any:
    try:
        return json.loads(cell) if isinstance(cell, str) else cell
    except ValueError:  # an unreadable row is found by its readable columns
        return None


def _counted(text: str) -> str:
    def number(found: re.Match[str]) -> str:
        digits = found[0].lstrip("0")
        return f"{len(digits):04}{digits}"

    return DIGITS.sub(number, text.casefold())
