"""Stores whose files are kept as their contents, packed members included."""

from storage.imagestore.format.members import table as members
from storage.imagestore.reading import manifests
from storage.imagestore.reading.reader import PieceReader
from storage.imagestore.storage import ImageStore
from storage.protocols import ObjectStore
from tests.storage.imagestore.compacting import (
    PARAMETERS,
    add_qcow2,
    compact,
    opened,
    prove,
)
from tests.storage.imagestore.packing import boot_disk
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import add, image_store


def filled(files: dict[str, bytes], objects: ObjectStore | None = None, *, wanted: bool = True) -> ImageStore:
    storage = image_store(objects or MemoryObjects(), PARAMETERS, recipes=wanted)
    for image_id, data in files.items():
        (add_qcow2 if "qcow2" in image_id else add)(storage, data, image_id)
    return storage


def taken(data: bytes) -> ImageStore:
    """Return a store with one file, compacted; it reads back, whatever became of it."""
    storage = filled({"1": data})
    report = compact(storage)
    assert report.items == ()
    prove(opened(storage.objects), {"1": data})
    return storage


def table_of(storage: ImageStore, image_id: str = "1") -> members.MemberTable | None:
    header, pieces = manifests.read(storage.objects, image_id)
    if header.members is None:
        return None
    reader = PieceReader(storage.chips.source(), pieces)
    table = reader.read_at(reader.size_bytes - header.members.table_bytes, header.members.table_bytes)
    return members.decode_members(table, header.members, reader.size_bytes, "there")


_STORE: list[ImageStore] = []


def boot_store() -> ImageStore:
    if not _STORE:
        _STORE.append(filled({"1": boot_disk(1)}))
        compact(_STORE[0])
    return _STORE[0]
