"""The note of which images were compacted: `compacted`, JSON and its seal. If lost, they are examined again."""

from collections.abc import Mapping

from pydantic import ValidationError

from catalog.errors import StorageRefused
from catalog.records import Record
from storage.imagestore.format.seal import read_if_whole, sealed
from storage.protocols import ObjectStore

NAME = "compacted"
NEWEST = -1  # all done, while nothing newer was similar: it may lean once something is
FORM = 1  # version of the compacted form: a better one gets a higher number, and all images are compacted again


class Note(Record):
    """The progress of compaction.

    images: by id, the piece to resume at, None if all of it is done, or NEWEST.
    tried: by id, the libraries that could make no recipe.
    """

    form: int = FORM
    images: Mapping[str, int | None] = {}
    tried: Mapping[str, str] = {}


def read(objects: ObjectStore) -> dict[str, int | None]:
    """Return how far each image is compacted, by id."""
    note = _note(objects)
    return dict(note.images) if note.form == FORM else {}


def read_tried(objects: ObjectStore) -> dict[str, str]:
    """Return the libraries that could make no recipe of an image, by image id."""
    return dict(_note(objects).tried)


def write(objects: ObjectStore, images: Mapping[str, int | None], tried: Mapping[str, str] | None = None) -> None:
    """Record how far images are compacted. tried: as `read_tried` returns it; None leaves it unchanged."""
    note = Note(images=images, tried=read_tried(objects) if tried is None else tried)
    # Programs that know no recipes can read the note as long as `tried` is empty.
    objects.put(NAME, sealed(note.model_dump_json(exclude=None if note.tried else {"tried"}).encode()))


def _note(objects: ObjectStore) -> Note:
    body = read_if_whole(objects, NAME, 0, "all images are looked at again")
    if body is None:
        return Note()
    try:
        return Note.model_validate_json(bytes(body))
    except ValidationError as error:  # whole, so another program wrote it
        where = f"{objects.location}/{NAME}"
        raise StorageRefused(where, "a note that this program can't read; use the one that wrote it") from error
