"""Triggers that keep lines current, by dialect: no program can forget them, and older ones need not know them."""

from collections.abc import Mapping, Sequence

_SQLITE_NOTE = """
CREATE TRIGGER image_lines_behind_{event} AFTER {event} ON images BEGIN
    INSERT INTO image_lines_behind (image_id)
    SELECT NEW.id WHERE NOT EXISTS (SELECT 1 FROM image_lines_behind WHERE image_id = NEW.id);
END
"""
_POSTGRESQL_NOTE = """
CREATE FUNCTION note_image_line_behind() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO image_lines_behind (image_id) VALUES (NEW.id)
    ON CONFLICT (image_id) DO UPDATE SET image_id = EXCLUDED.image_id;
    RETURN NULL;
END $$
"""  # an existing note is locked: its removal waits for the writing transaction
_POSTGRESQL_NOTING = """
CREATE TRIGGER image_lines_behind AFTER INSERT OR UPDATE ON images
FOR EACH ROW EXECUTE FUNCTION note_image_line_behind()
"""
NOTES: Mapping[str, Sequence[str]] = {
    "sqlite": [_SQLITE_NOTE.format(event=event) for event in ("INSERT", "UPDATE")],
    "postgresql": [_POSTGRESQL_NOTE, _POSTGRESQL_NOTING],
}
"""Triggers that write notes, by dialect, as in revision 0014. A revision that recreates the table `images` must
recreate them."""
_FIRST = "(SELECT min(image_storage) FROM image_places WHERE image_places.image_id = {of}.image_id)"
_SQLITE_PLACE = """
CREATE TRIGGER image_lines_storage_{event} AFTER {event} ON image_places BEGIN
    UPDATE image_lines SET storage = {first} WHERE image_id = {of}.image_id;
END
"""
_SQLITE_LINE = """
CREATE TRIGGER image_lines_storage_line AFTER INSERT ON image_lines BEGIN
    UPDATE image_lines SET storage = {first} WHERE created_at = NEW.created_at AND image_id = NEW.image_id;
END
"""
_POSTGRESQL_PLACE = """
CREATE FUNCTION keep_image_line_storage() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE place image_places := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    UPDATE image_lines SET storage = {first} WHERE image_id = place.image_id;
    RETURN NULL;
END $$
"""
_POSTGRESQL_PLACES = """
CREATE TRIGGER image_lines_storage AFTER INSERT OR DELETE ON image_places
FOR EACH ROW EXECUTE FUNCTION keep_image_line_storage()
"""
_POSTGRESQL_LINE = """
CREATE FUNCTION set_image_line_storage() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.storage := {first};
    RETURN NEW;
END $$
"""
_POSTGRESQL_LINES = """
CREATE TRIGGER image_lines_storage_line BEFORE INSERT ON image_lines
FOR EACH ROW EXECUTE FUNCTION set_image_line_storage()
"""
KEEPING: Mapping[str, Sequence[str]] = {
    "sqlite": [
        *(_SQLITE_PLACE.format(event=e, of=of, first=_FIRST.format(of=of)) for e, of in (("INSERT", "NEW"), ("DELETE", "OLD"))),
        _SQLITE_LINE.format(first=_FIRST.format(of="NEW")),
    ],
    "postgresql": [
        _POSTGRESQL_PLACE.format(first=_FIRST.format(of="place")), _POSTGRESQL_PLACES,
        _POSTGRESQL_LINE.format(first=_FIRST.format(of="NEW")), _POSTGRESQL_LINES,
    ],
}  # fmt: skip
"""Triggers that maintain the first storage of lines, by dialect, as in revision 0016."""
