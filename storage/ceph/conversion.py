"""From a qcow2 or VMDK landing to a raw one in the same pool, without a copy on the worker, resumable and proven."""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from catalog.errors import ConversionFailed, ProgramFailed
from catalog.records import ImageFormat
from storage.ceph.address import CephAddress
from storage.ceph.landing import CephLanding
from storage.ceph.layout import OBJECT_BYTES
from storage.ceph.reader import CephReader
from storage.formats import qemu
from storage.formats.disk import MalformedDisk, SparseDisk
from storage.protocols import Converted, Progress, SourceInfo, StoredFile

WINDOW_GAP = 1 << 30


def convert(
    source: CephLanding, from_format: ImageFormat, target: CephLanding, progress: Progress
) -> Converted:
    """Write the guest's disk in `source` to `target` as it is, holes kept. Raises ConversionFailed."""
    with closing(source.open()) as reader, closing(target):
        try:
            disk = _open(reader, from_format)
            stored = _written(disk, source, target, progress)
        except MalformedDisk as error:
            raise ConversionFailed(from_format, "raw", str(error)) from error
    return Converted(
        landing_id=target.landing_id,
        format="raw",
        size_bytes=disk.size_bytes,
        stored_bytes=stored.stored_bytes,
    )


def _open(reader: CephReader, from_format: ImageFormat) -> SparseDisk:
    from storage.formats.qcow2_disk import Qcow2Disk
    from storage.formats.vmdk_disk import VmdkDisk

    return Qcow2Disk(reader) if from_format == "qcow2" else VmdkDisk(reader)


def _written(disk: SparseDisk, source: CephLanding, target: CephLanding, progress: Progress) -> StoredFile:
    """Go on after what an attempt before kept of the same landing."""
    origin = SourceInfo(url=f"landing:{source.landing_id}", size_bytes=disk.size_bytes, etag=source.root())
    kept = 0
    if target.begun_with() == origin:
        kept = target.restore(lambda _: None)
    else:
        target.begin(origin)
    for offset in _copied(disk, target, kept):
        progress(offset, 2 * disk.size_bytes)
    return target.finish()


def _copied(disk: SparseDisk, target: CephLanding, offset: int) -> Iterator[int]:
    """Copy object by object, holes at once however large; yield how far it is."""
    while offset < disk.size_bytes:
        boundary = min((offset // OBJECT_BYTES + 1) * OBJECT_BYTES, disk.size_bytes)
        hole = disk.hole_end(offset)
        if hole >= boundary:
            target.write_zeros(hole - offset)
            offset = hole
        else:
            target.write(memoryview(disk.read_at(offset, boundary - offset)))
            offset = boundary
        yield offset


def prove(
    address: CephAddress, key: str | None, source: CephLanding, from_format: ImageFormat, target: CephLanding,
    scratch: Path, progress: Progress,
) -> None:  # fmt: skip
    """Let qemu-img, which had no part in the conversion, say what a guest saw before and compare it with what it sees now.

    Where qemu knows zeros only and the target has no object there is nothing to read; everything else is compared.
    Raises ConversionFailed if it differs or can't be compared, MissingProgram.
    """
    with closing(target.open()) as reader:
        size_bytes, objects = reader.size_bytes, tuple(reader.extents())
    before, after = (_node(address, source.name, key), from_format), (_node(address, target.name, key), "raw")
    try:
        with _key_file(key, scratch) as secret:
            data = qemu.data_extents(*before, size_bytes, secret)
            parts = _windows(data, size_bytes)
            equal = _covered(objects, parts) and qemu.compare_parts(
                (before, after), parts, _second_half(progress, size_bytes), secret
            )
    except ProgramFailed as failed:
        raise ConversionFailed(from_format, "raw", failed.reason) from failed
    if not equal:
        raise ConversionFailed(from_format, "raw", "a guest would not see the same bytes before and after")


def _covered(objects: Iterable[tuple[int, int, bool]], parts: qemu.Extents) -> bool:
    """Tell whether all that the target stores lies in the parts that are compared."""
    stored = [(start, end) for start, end, is_hole in objects if not is_hole]
    return all(any(first <= start and end <= last for first, last in parts) for start, end in stored)


def _windows(data: qemu.Extents, size_bytes: int) -> qemu.Extents:
    """Widen extents to whole objects and join those with small holes between them.

    A run of qemu-img costs 60 ms, to compare a hole of 1 GiB takes about 150 ms.
    """
    joined: list[tuple[int, int]] = []
    for start, end in data:
        first, last = (
            start // OBJECT_BYTES * OBJECT_BYTES,
            min(-(-end // OBJECT_BYTES) * OBJECT_BYTES, size_bytes),
        )
        if joined and first - joined[-1][1] < WINDOW_GAP:
            first = joined.pop()[0]
        joined.append((first, last))
    return tuple(joined)


def _node(address: CephAddress, name: str, key: str | None) -> qemu.Node:
    node = {"driver": "rbd", "pool": address.pool, "image": name, "conf": address.conf, "user": address.user}
    return node | ({"key-secret": "key"} if key else {})


@contextmanager
def _key_file(key: str | None, scratch: Path) -> Iterator[Path | None]:
    """Lay the key in a file that only we can read: on the command line every user of the machine could."""
    if key is None:
        yield None
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=scratch, prefix="key-") as folder:
        file = Path(folder) / "key"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(key)
        yield file


def _second_half(progress: Progress, size_bytes: int) -> Progress:
    def report(done: int, total: int | None) -> None:
        progress(size_bytes + size_bytes * done // max(total or 1, 1), 2 * size_bytes)

    return report
