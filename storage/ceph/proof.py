"""Proof of a conversion by qemu-img, which had no part in it: what a guest saw before is what it sees now."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from catalog.errors import ConversionFailed, ProgramFailed
from catalog.records import ImageFormat
from storage.ceph.address import CephAddress
from storage.ceph.layout import OBJECT_BYTES
from storage.formats import qemu
from storage.protocols import Progress

WINDOW_GAP = 1 << 30
Parts = list[tuple[int, int]]
Split = Callable[[int, int, int], list[tuple[int, int, bool]]]
"""Cuts (host, guest, length) into (start, end, was moved there); see Placement.split."""


class Before(NamedTuple):
    """The file that was converted: where it is, and how much of it lies elsewhere than qemu looks for it."""

    name: str
    format: ImageFormat
    base: int = 0  # offset in the RBD image
    split: Split | None = None  # None: everything is where the file's tables say


class Prover:
    """Runs qemu-img on images of a pool."""

    def __init__(self, address: CephAddress, key: str | None, scratch: Path) -> None:
        self._address, self._key, self._scratch = address, key, scratch

    def prove(
        self,
        before: Before,
        after: str,
        objects: Iterable[tuple[int, int, bool]],
        size_bytes: int,
        progress: Progress,
    ) -> None:
        """Raise ConversionFailed unless the raw image `after` is what a guest saw in `before`.

        objects: (start, end, is_hole) of what `after` stores. Where qemu knows zeros and nothing is stored there is nothing to
        read. Clusters that were moved are proven by qemu's own map: it has to name the very place that they came from. All
        others are compared. Raises MissingProgram.
        """
        old, new = self._node(before.name, before.base), self._node(after, 0)
        try:
            with _key_file(self._key, self._scratch) as secret:
                extents = qemu.extents(old, before.format, size_bytes, secret)
                moved, compared = _sorted_out(extents, before.split)
                parts = _windows(compared, moved, size_bytes)
                images = ((old, before.format), (new, "raw"))
                equal = _covered(
                    objects, _joined(_rounded([*parts, *moved], size_bytes))
                ) and qemu.compare_parts(images, parts, _second_half(progress, size_bytes), secret)
        except ProgramFailed as failed:
            raise ConversionFailed(before.format, "raw", failed.reason) from failed
        if not equal:
            raise ConversionFailed(
                before.format, "raw", "a guest would not see the same bytes before and after"
            )

    def _node(self, name: str, base: int) -> qemu.Node:
        where = self._address
        node: dict[str, object] = {"driver": "rbd", "pool": where.pool, "image": name}
        node |= {"conf": where.conf, "user": where.user}
        if self._key:
            node["key-secret"] = "key"
        return {"driver": "raw", "offset": base, "file": node} if base else node


def _sorted_out(extents: Sequence[qemu.Extent], split: Split | None) -> tuple[Parts, Parts]:
    """Return the parts of the disk that were moved, and those that have to be compared."""
    moved: Parts = []
    compared: Parts = []
    for extent in extents:
        if split is None or extent.host is None:
            if not extent.is_zero:
                compared.append((extent.start, extent.end))
            continue
        # moved clusters read as zeros where the file has them, so here qemu's word for zeros says nothing
        for start, end, there in split(extent.host, extent.start, extent.end - extent.start):
            (moved if there else compared).append((start, end))
    return moved, compared


def _windows(compared: Parts, moved: Parts, size_bytes: int) -> Parts:
    """Join parts that only small holes keep apart: a run of qemu-img costs 60 ms, a hole of 1 GiB about 150 ms."""
    if not moved:
        return _joined(_rounded(compared, size_bytes), WINDOW_GAP)
    barriers = iter([*moved, (size_bytes, size_bytes)])
    barrier = next(barriers)
    windows: Parts = []
    for start, end in compared:
        passed = False
        while barrier[0] < start:
            barrier, passed = next(barriers), True
        near = windows and not passed and start - windows[-1][1] < WINDOW_GAP
        windows.append((windows.pop()[0] if near else start, end))
    return windows


def _rounded(parts: Parts, size_bytes: int) -> Parts:
    """Widen parts to whole objects."""
    return [
        (start // OBJECT_BYTES * OBJECT_BYTES, min(-(-end // OBJECT_BYTES) * OBJECT_BYTES, size_bytes))
        for start, end in sorted(parts)
    ]


def _joined(parts: Parts, gap: int = 1) -> Parts:
    """Join parts, in order, that are less than `gap` apart."""
    joined: Parts = []
    for start, end in parts:
        if joined and start - joined[-1][1] < gap:
            first, last = joined.pop()
            joined.append((first, max(last, end)))
        else:
            joined.append((start, end))
    return joined


def _covered(objects: Iterable[tuple[int, int, bool]], parts: Parts) -> bool:
    """Tell whether all that is stored lies in the parts; both in order."""
    remaining = iter(parts)
    first, last = next(remaining, (0, 0))
    for start, end, is_hole in objects:
        if is_hole:
            continue
        while last < end:
            following = next(remaining, None)
            if following is None:
                return False
            first, last = following
        if start < first:
            return False
    return True


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
