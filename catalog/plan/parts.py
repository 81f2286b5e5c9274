"""Picking records out of a snapshot."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from catalog.errors import ImageNotFound, StorageNotFound
from catalog.history import Snapshot
from catalog.records import Image, ImageStorage, Record, Replica

R = TypeVar("R", bound=Record)


def those(snapshot: Snapshot, kind: type[R], wanted: Callable[[R], bool] = lambda _: True) -> Iterator[R]:
    """Yield the wanted records of one kind, in the order of their subjects."""
    found = {s: record for s, record in snapshot.items() if isinstance(record, kind) and wanted(record)}
    return (found[subject] for subject in sorted(found))


def image_in(snapshot: Snapshot, image_id: str) -> Image:
    """Return an image. Raises ImageNotFound."""
    found = snapshot.get(f"image:{image_id}")
    if not isinstance(found, Image):
        raise ImageNotFound(image_id)
    return found


def storage_in(snapshot: Snapshot, name: str) -> ImageStorage:
    """Return an image storage. Raises StorageNotFound."""
    found = snapshot.get(f"image_storage:{name}")
    if not isinstance(found, ImageStorage):
        raise StorageNotFound(name)
    return found


def replica_in(snapshot: Snapshot, image_id: str, image_storage: str) -> Replica | None:
    """Return the replica of an image on a storage, or None."""
    found = snapshot.get(f"replica:{image_id}@{image_storage}")
    return found if isinstance(found, Replica) else None


def by(field: str, records: Iterable[R]) -> Mapping[str, tuple[R, ...]]:
    """Return records grouped by the value of a field: looked up once per plan instead of searched for each record."""
    groups: dict[str, list[R]] = {}
    for record in records:
        groups.setdefault(str(getattr(record, field)), []).append(record)
    return {value: tuple(group) for value, group in groups.items()}
