"""Room for exported files: measured, promised once, given back however the export ended."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.records import ImageFormat, Replica
from storage.protocols import ImageReader, ImageStorage
from storage.replica_source import Closable
from tasks.resources import is_dead, run_id

if TYPE_CHECKING:
    from catalog.change import Change
    from catalog.repository import Catalog

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


@contextmanager
def export_room(catalog: "Catalog", account: str, subject: str, folder: Path, needed: int) -> Iterator[None]:
    """Set room aside in a folder for the block. Raises CapacityExceeded if it does not fit beside other exports.

    What exports that died had set aside is given back: their locks say that nobody makes them any more.
    """
    free = shutil.disk_usage(folder).free
    dead = {r.subject for r in catalog.reservations("") if _abandoned(catalog, r.subject)}
    with catalog.changing(actor=account, run_id=run_id()) as change:
        for one in dead - {subject}:
            change.release(one)
        change.reserve_room(subject=subject, place=place_of(folder), size_bytes=needed, available_bytes=free)
    try:
        yield
    finally:
        with catalog.changing(actor=account, run_id=run_id()) as change:
            change.release(subject)


def _abandoned(catalog: "Catalog", subject: str) -> bool:
    image_id = subject.removeprefix(PREFIX).partition("@")[0]
    holder = catalog.lease(lock_of(image_id)).holder
    return subject.startswith(PREFIX) and (holder is None or is_dead(holder))


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
