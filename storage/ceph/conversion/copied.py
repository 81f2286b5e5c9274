"""Resumable conversion of a qcow2 or VMDK landing to a raw one in the same pool, without a copy on the worker."""

from contextlib import closing

from catalog.errors import ConversionFailed, StaleLanding
from catalog.records import ImageFormat
from storage.ceph.conversion.qemu_disk import QemuDisk
from storage.ceph.layout import Finished
from storage.ceph.writing.landing import CephLanding
from storage.nbd.server import Receive
from storage.protocols import Converted, Progress, SourceInfo


def convert(source: CephLanding, from_format: ImageFormat, target: CephLanding, progress: Progress) -> None:
    """Write the guest's disk in `source` to `target` as qemu-img reads it, with its holes.

    Raises ConversionFailed, MissingProgram.
    """
    with closing(source.open()) as reader:
        disk = QemuDisk(reader, from_format)
        size = disk.size_bytes()
        kept = _begun(source, target, size)
        if kept < size:
            stream = _Stream(target, kept, size, progress)
            disk.copy((kept, size), stream)
            stream.finish()
    target.finish()


def converted(target: CephLanding, finished: Finished | None) -> Converted:
    """Describe a converted landing. Raises StaleLanding if neither it nor a landing to convert exists."""
    if finished is None:
        raise StaleLanding(target.landing_id)
    return Converted(
        landing_id=target.landing_id, format="raw", size_bytes=finished.size_bytes, stored_bytes=finished.stored_bytes
    )


def _begun(source: CephLanding, target: CephLanding, size_bytes: int) -> int:
    """Resume what an earlier attempt kept of the same landing; return its length in bytes."""
    origin = SourceInfo(url=f"landing:{source.landing_id}", size_bytes=size_bytes, etag=source.root())
    if target.begun_with() == origin:
        return target.restore(lambda _: None)
    target.begin(origin)
    return 0


class _Stream:
    """Writes sequential bytes to a landing; a hole of any size is one call."""

    def __init__(self, target: CephLanding, kept: int, end: int, progress: Progress) -> None:
        self._target, self._kept, self._end, self._progress = target, kept, end, progress
        self._at = kept
        self.size_bytes = end - kept

    def take(self, offset: int, length: int, receive: Receive) -> None:
        """Append bytes."""
        self._skip_to(self._kept + offset)
        self._target.write(memoryview(receive(length)))
        self._at += length
        self._progress(self._at, self._end)

    def take_zeros(self, offset: int, length: int) -> None:
        """Append a hole."""
        self._skip_to(self._kept + offset + length)

    def finish(self) -> None:
        """Append the hole at the end of the disk."""
        self._skip_to(self._end)
        self._progress(self._end, self._end)

    def _skip_to(self, offset: int) -> None:
        if offset < self._at:
            raise ConversionFailed("the image", "raw", "qemu-img did not write in order")
        self._target.write_zeros(offset - self._at)
        self._at = offset
