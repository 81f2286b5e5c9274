"""Export of a complete, proven file of a replica on this host, its room, and the removal of dead exports."""

import errno
import os
from collections.abc import Callable, Container
from pathlib import Path

from catalog.errors import StorageError, StorageRefused
from catalog.files import made_aside
from catalog.privacy import make_folder
from catalog.records import ImageFormat, Replica
from catalog.settings import Settings
from storage.formats.convert import convert_reader, data_bytes, write_sparse
from storage.local_files import LocalReader, measure
from storage.protocols import Digests, ImageStorage, Progress
from storage.replicas.copy import recorded, require_equal
from storage.replicas.source import reader_of
from storage.scratch import scratch_folder

HoleEnd = Callable[[int], int]
OVERHEAD_BYTES = 1 << 20
OVERHEAD_PARTS = 64  # tables of a qcow2 or VMDK, as a part of the data
STEP_BYTES = 64 << 10  # guest bytes counted at a time: a cluster of qcow2 and of VMDK


def write_export(
    storage: ImageStorage,
    replica: Replica,
    wanted: ImageFormat,
    target: Path,
    settings: Settings,
    progress: Progress,
) -> Digests:
    """Write the file under its name, durable, and return its digests; no incomplete file is left.

    Raises DigestMismatch if it differs from what was recorded when the image was added, ConversionFailed,
    CapacityExceeded.
    """
    if wanted != replica.format:
        return _convert(storage, replica, wanted, target, settings, progress)
    digests = storage.export(replica.image_id, target, progress)
    try:
        require_equal(f"export {target}", recorded(replica) or digests, digests)
    except StorageError:
        target.unlink(missing_ok=True)
        raise
    return digests


def _convert(
    storage: ImageStorage, replica: Replica, wanted: ImageFormat, target: Path, settings: Settings, progress: Progress
) -> Digests:
    with scratch_folder(settings, "export") as scratch:
        with reader_of(storage, replica.image_id) as reader:
            file = convert_reader(reader, replica.format, wanted, scratch, progress)
        with made_aside(target) as aside:
            _bring(file, aside)
            return measure(aside)


def _bring(file: Path, aside: Path) -> None:
    """Move a finished file to another name, keeping it sparse on another file system as well."""
    try:
        file.replace(aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with LocalReader(file) as made:
            write_sparse(made, aside, lambda _done, _total: None)


def make_export_folder(folder: Path) -> None:
    """Make the folder of an image's exports. Raises StorageRefused."""
    try:
        make_folder(folder)
    except OSError as error:
        raise StorageRefused(f"exports at {folder.parent}", error.strerror or str(error)) from error


def sweep_exports(folder: Path, known: Container[str]) -> None:
    """Delete what dead exports of an image left in its folder: every file except the known ones, given by path."""
    for file in folder.iterdir():
        if str(file) not in known and file.is_file():
            file.unlink(missing_ok=True)


def disk_of(folder: Path) -> str:
    """Return the name under which room for exports on this host's disk is reserved."""
    return f"exports on {os.uname().nodename}, disk {folder.stat().st_dev}"


def room_needed(storage: ImageStorage, replica: Replica, wanted: ImageFormat, enough: int) -> int:
    """Return the most bytes the file will take, without holes: it is written sparse.

    enough: counting stops beyond it, since tables can claim more data than any disk holds.
    """
    with reader_of(storage, replica.image_id) as reader:
        if wanted == replica.format:
            return data_bytes(reader)
        from storage.formats.blocks import Cached
        from storage.formats.guest_disk import open_disk

        disk = open_disk(Cached(reader), replica.format)
        hole_end = getattr(disk, "hole_end", None)
        data = data_bytes(reader) if hole_end is None else _guest_bytes(disk.size_bytes, hole_end, enough)
    return data + data // OVERHEAD_PARTS + OVERHEAD_BYTES


def _guest_bytes(size: int, hole_end: HoleEnd, enough: int) -> int:
    at, data = 0, 0
    while at < size and data <= enough:
        end = hole_end(at)
        if end == at:
            end = min(at + STEP_BYTES, size)
            data += end - at
        at = end
    return data
