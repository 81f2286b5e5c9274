"""From a qcow2 or VMDK landing to a raw one in the same pool, without a copy on the worker, resumable and proven."""

from collections.abc import Iterator
from contextlib import closing

from catalog.errors import ConversionFailed, StaleLanding
from catalog.records import ImageFormat
from storage.ceph.landing import CephLanding
from storage.ceph.layout import OBJECT_BYTES
from storage.ceph.proof import Before, Prover
from storage.ceph.reader import CephReader
from storage.formats.disk import MalformedDisk, SparseDisk
from storage.protocols import Converted, Progress, SourceInfo


def convert(
    source: CephLanding, from_format: ImageFormat, target: CephLanding, prover: Prover, progress: Progress
) -> None:
    """Write the guest's disk in `source` to `target` as it is, holes kept, and prove it. Raises ConversionFailed."""
    with closing(source.open()) as reader:
        try:
            disk = _open(reader, from_format)
            _written(disk, source, target, progress)
        except MalformedDisk as error:
            raise ConversionFailed(from_format, "raw", str(error)) from error
    with closing(target.open()) as reader:
        objects = tuple(reader.extents())
    prover.prove(Before(source.name, from_format), target.name, objects, disk.size_bytes, progress)


def converted(target: CephLanding) -> Converted:
    """Describe a landing that was converted. Raises StaleLanding if there is none, nor a landing to make it from."""
    finished = target.finished()
    if finished is None:
        raise StaleLanding(target.landing_id)
    return Converted(
        landing_id=target.landing_id,
        format="raw",
        size_bytes=finished.size_bytes,
        stored_bytes=finished.stored_bytes,
    )


def _open(reader: CephReader, from_format: ImageFormat) -> SparseDisk:
    from storage.formats.qcow2_disk import Qcow2Disk
    from storage.formats.vmdk_disk import VmdkDisk

    return Qcow2Disk(reader) if from_format == "qcow2" else VmdkDisk(reader)


def _written(disk: SparseDisk, source: CephLanding, target: CephLanding, progress: Progress) -> None:
    """Go on after what an attempt before kept of the same landing."""
    origin = SourceInfo(url=f"landing:{source.landing_id}", size_bytes=disk.size_bytes, etag=source.root())
    kept = 0
    if target.begun_with() == origin:
        kept = target.restore(lambda _: None)
    else:
        target.begin(origin)
    for offset in _copied(disk, target, kept):
        progress(offset, 2 * disk.size_bytes)
    target.finish()


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
