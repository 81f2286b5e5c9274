"""Proof that a qcow2 file was taken apart rightly, and what of its disk is left to copy, by qemu-img, which had no part in it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from catalog.errors import ConversionFailed
from storage.ceph.layout import OBJECT_BYTES
from storage.ceph.qcow2.placement import Placement
from storage.programs.qemu_img import Extent

PART_BYTES = 96 << 20  # of data at most, for one run of qemu-img: it starts in 50 ms and unpacks so much in 600
MAX_HOLE = 1 << 30  # qemu-img passes over a hole of this size in less time than it takes to start
MAX_MOVED = 32 << 20  # and copies so much once more
Parts = list[tuple[int, int]]


class Sorted(NamedTuple):
    """The guest's disk as qemu-img reads it: parts that lie where they belong, and parts that don't; the rest is zeros."""

    moved: Parts
    unmoved: Parts


def sort_out(extents: Sequence[Extent], placement: Placement, file_bytes: int) -> Sorted:
    """Sort the extents of a disk by whether placement moved exactly them. file_bytes: of the qcow2 file."""
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
    """Raise ConversionFailed unless qemu-img knows a disk of that size, and every moved cluster from the very place it came from.

    What is not moved is copied from qemu-img and needs no proof; what it knows nothing of is zeros, and must not have been written.
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
    """Return parts of whole objects, in order, with all that was not moved. programs: how many of them are copied at once."""
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
    """Return how much data a part gets, so that all programs are busy to the end."""
    rounds = max(1, -(-unmoved // (programs * PART_BYTES)))
    return -(-unmoved // (rounds * programs))


def _pieces(found: Sorted) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, is_unmoved) in order; what is not moved in pieces that lie in one object each."""
    for start, end, is_unmoved in sorted(
        [(*part, False) for part in found.moved] + [(*part, True) for part in found.unmoved]
    ):
        step = OBJECT_BYTES if is_unmoved else end - start
        at = start
        while at < end:
            following = min((at // step + 1) * step, end) if is_unmoved else end
            yield at, following, is_unmoved
            at = following
