"""Proof by qemu-img, an independent reader, that a qcow2 file was unfolded correctly, and of what is left to copy."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from catalog.errors import ConversionFailed
from storage.ceph.layout import OBJECT_BYTES
from storage.ceph.qcow2.placement import Placement
from storage.programs.qemu_img import Extent

PART_BYTES = 96 << 20  # most data for one run of qemu-img: it starts in 50 ms and unpacks this much in 600 ms
MAX_HOLE = 1 << 30  # qemu-img skips a hole of this size in less time than it takes to start
MAX_MOVED = 32 << 20  # and copies this much again
Parts = list[tuple[int, int]]


class Sorted(NamedTuple):
    """The guest's disk as qemu-img reads it: parts already in place and parts that are not; the rest is zeros."""

    moved: Parts
    unmoved: Parts


def sort_out(extents: Sequence[Extent], placement: Placement, file_bytes: int) -> Sorted:
    """Sort the extents of a disk by whether placement moved exactly them. file_bytes: size of the qcow2 file."""
    found = Sorted([], [])
    for extent in extents:
        if extent.host is None:
            if not extent.is_zero:
                found.unmoved.append((extent.start, extent.end))
            continue
        length = extent.end - extent.start
        for start, end, there in placement.split(extent.host, extent.start, length, file_bytes):
            (found.moved if there else found.unmoved).append((start, end))
    return found


def prove(extents: Sequence[Extent], found: Sorted, placement: Placement, file_bytes: int) -> None:
    """Raise ConversionFailed unless qemu-img reports the same disk size and the same source of every moved cluster.

    Unmoved parts are copied from qemu-img and need no proof. Parts that qemu-img does not report are zeros and must not
    have been written.
    """
    size = placement.cluster_bytes
    moved = placement.moved_guest_clusters(file_bytes)
    named = np.zeros(len(moved), np.bool_)
    for start, end in found.moved:
        named[start // size : -(-end // size)] = True
    if not extents or extents[-1].end != placement.header.size_bytes or not np.array_equal(moved, named):
        reason = "a guest would not see the same bytes before and after"
        raise ConversionFailed("qcow2", "raw", reason)


def parts_to_copy(found: Sorted, size_bytes: int, programs: int) -> Parts:
    """Return parts of whole objects, in order, that cover all unmoved data. programs: how many are copied at once."""
    parts: Parts = []
    moved, copied, enough = 0, 0, _part_bytes(sum(end - start for start, end in found.unmoved), programs)
    for start, end, is_unmoved in _pieces(found):
        if not is_unmoved:
            moved += end - start
            continue
        first, last = start // OBJECT_BYTES * OBJECT_BYTES, -(-end // OBJECT_BYTES) * OBJECT_BYTES
        if not parts or (
            first >= parts[-1][1] and (first - parts[-1][1] >= MAX_HOLE or moved >= MAX_MOVED or copied >= enough)
        ):
            parts.append((first, first))
            copied = 0
        parts[-1] = (parts[-1][0], min(last, size_bytes))
        moved, copied = 0, copied + end - start
    return parts


def _part_bytes(unmoved: int, programs: int) -> int:
    """Return how much data each part gets, so that all programs stay busy to the end."""
    rounds = max(1, -(-unmoved // (programs * PART_BYTES)))
    return -(-unmoved // (rounds * programs))


def _pieces(found: Sorted) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, is_unmoved) in order; unmoved ranges are cut at object boundaries."""
    for start, end, is_unmoved in sorted(
        [(*part, False) for part in found.moved] + [(*part, True) for part in found.unmoved]
    ):
        step = OBJECT_BYTES if is_unmoved else end - start
        at = start
        while at < end:
            following = min((at // step + 1) * step, end) if is_unmoved else end
            yield at, following, is_unmoved
            at = following
