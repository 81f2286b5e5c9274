"""Salvage a dead process's landing: its published packs, and the whole records of its unfinished packs."""

from collections.abc import Sequence

from catalog.errors import DigestMismatch, ObjectMissing
from storage.imagestore.format import pack
from storage.imagestore.format.codec import Unpacker
from storage.imagestore.format.index import Table, merge, table_of
from storage.imagestore.format.pack import RECORD
from storage.imagestore.writing.packer import Encoded, Packer
from storage.protocols import ObjectStore


def packs_left(objects: ObjectStore, names: Sequence[bytes]) -> tuple[Table, ...]:
    """Return the table of the packs that were published before the death, if any."""
    tables: list[Table] = []
    for name in dict.fromkeys(names):
        try:
            tables.append(table_of([(name, pack.read_contents(objects, name).entries)]))
        except (ObjectMissing, DigestMismatch):
            continue  # unpublished or damaged: its chips are fetched again
    return (merge(tables),) if tables else ()


def parts_in(objects: ObjectStore, folder: str) -> list[str]:
    """Return the names of unfinished packs in a landing's folder."""
    return [info.name for info in objects.list(f"{folder}/") if info.name.endswith(".part")]


def move_parts(objects: ObjectStore, parts: Sequence[str], packer: Packer) -> None:
    """Move the undamaged chips of unfinished packs into new ones, made durable before the old ones are deleted."""
    for name in parts:
        packer.add(salvaged_chips(name, objects.get(name)))
    packer.close_part()
    packer.wait()
    for name in parts:
        objects.delete(name)


def salvaged_chips(part: str, data: bytes) -> list[Encoded]:
    """Return the undamaged chips of an unfinished pack."""
    view, unpacker = memoryview(data), Unpacker()
    chips: list[Encoded] = []
    for entry in pack.salvage(data):
        start = entry.offset + RECORD.size
        payload = view[start : start + entry.stored]
        try:
            unpacker.take(entry.codec, payload, entry.raw, entry.digest, part)
        except DigestMismatch:
            break
        chips.append(Encoded(entry.digest, entry.codec, entry.raw, payload))
    return chips
