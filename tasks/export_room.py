"""Exported files: how much room one takes, and what exports that died have left."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.records import ImageFormat, Replica
from storage.protocols import ImageReader, ImageStorage
from storage.replica_source import Closable

if TYPE_CHECKING:
    from catalog.change import Change

HoleEnd = Callable[[int], int]
PREFIX = "export:"
OVERHEAD_BYTES = 1 << 20
OVERHEAD_PARTS = 64  # tables of a qcow2 or VMDK, of the data
STEP_BYTES = 64 << 10  # guest bytes counted at once: a cluster of qcow2 and of VMDK


def lock_of(image_id: str) -> str:
    """Return the lock under which an image's exports are made: reading an image is no work on the image itself."""
    return f"{PREFIX}{image_id}"


@contextmanager
def reader_of(storage: ImageStorage, image_id: str) -> Iterator[ImageReader]:
    """Read a replica for the block. Raises ImageNotFound."""
    reader = storage.open(image_id)
    try:
        yield reader
    finally:
        if isinstance(reader, Closable):
            reader.close()


def room_needed(reader: ImageReader, replica: Replica, wanted: ImageFormat, enough: int) -> int:
    """Return how many bytes the file will take at most, holes left out: it is written sparse.

    enough: counting stops past it, since tables can claim more data than there are disks.
    """
    if wanted == replica.format:
        return data_bytes(reader)
    from storage.formats.disk import Cached, open_disk

    disk = open_disk(Cached(reader), replica.format)
    hole_end = getattr(disk, "hole_end", None)
    data = data_bytes(reader) if hole_end is None else _guest_bytes(disk.size_bytes, hole_end, enough)
    return data + data // OVERHEAD_PARTS + OVERHEAD_BYTES


def data_bytes(reader: ImageReader) -> int:
    """Return how much of a stored file is not a hole."""
    return sum(end - start for start, end, is_hole in reader.extents() if not is_hole)


def _guest_bytes(size: int, hole_end: HoleEnd, enough: int) -> int:
    at, data = 0, 0
    while at < size and data <= enough:
        end = hole_end(at)
        if end == at:
            end = min(at + STEP_BYTES, size)
            data += end - at
        at = end
    return data


def place_of(folder: Path) -> str:
    """Return the name under which room on this host's disk is promised."""
    return f"exports on {os.uname().nodename}, disk {folder.stat().st_dev}"


def sweep(change: "Change", image_id: str, folder: Path) -> None:
    """Delete what exports of this image that died left in its folder. Only under the image's export lock."""
    known = {export.path for export in change.exports(image_id)}
    for file in folder.iterdir():
        if str(file) not in known and file.is_file():
            with suppress(FileNotFoundError):
                file.unlink()


def brought_near(file: Path, target: Path) -> Path:
    """Bring a finished file beside its target under another name, sparse also across file systems, durable."""
    aside = target.with_name(f".{target.name}.part")
    try:
        file.replace(aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        from storage.formats.convert import write_sparse
        from storage.formats.local import LocalFile

        with LocalFile(file) as made:
            write_sparse(made, aside, lambda _done, _total: None)
    descriptor = os.open(aside, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return aside


def nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above that is there."""
    return next(place for place in (folder, *folder.parents) if place.exists())
