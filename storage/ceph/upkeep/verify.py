"""Prove a replica by reading it, name damaged objects, and replace them by good ones."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from catalog.errors import DigestMismatch, InvalidRequest
from catalog.records import ItemOutcome, VerifyReport
from storage.ceph.client.connection import translated
from storage.ceph.layout import DIGESTS_KEY, OBJECT_BYTES, ZEROS, object_length, row_of
from storage.ceph.object_reads import ObjectRead, read_object, read_objects, row_at
from storage.ceph.rbd_images import read_text, written_objects
from storage.ceph.reading.reader import Content, mismatch
from storage.protocols import Digests
from storage.transfer.digests import Digester

MAX_MEASURED = 64 << 30  # two minutes of MD5, mostly zeros: a larger file is measured at its first export


def damaged_object(content: Content, image_id: str, read: ObjectRead) -> ItemOutcome | None:
    """Return the damage of an object that was read, or None."""
    error = mismatch(content.name, read.index, read.expected, read.actual)
    if error is None:
        return None
    offset, length = read.index * OBJECT_BYTES, object_length(content.size_bytes, read.index)
    return ItemOutcome(subject=f"{image_id}@{offset}", outcome="failed", bytes=length, reason=str(error))


class Proof(NamedTuple):
    """The result of one reading.

    following: the object to resume at, None at the end. digests: of the file, if all was read and sound.
    """

    report: VerifyReport
    following: int | None
    digests: Digests | None


def verify(
    content: Content,
    image_id: str,
    *,
    first_object: int,
    budget_bytes: int | None,
    bytes_per_second: int | None,
    wait_s: float,
) -> Proof:
    """Read objects from `first_object` on within the budget; return what was proven.

    Objects that should be zeros are also read if the cluster has something in their place. A file that was never
    measured is measured on the way if all of it is read.
    """
    indexes, following = _chosen(content, first_object, budget_bytes)
    items, read_bytes, began = [], 0, time.monotonic()
    with closing(_Measuring(content, whole=first_object == 0 and following is None)) as measuring:
        for read in _reads(content, indexes, wait_s):
            measuring.feed(read)
            read_bytes += 0 if read.data is None else len(read.data)
            item = damaged_object(content, image_id, read)
            if item is not None:
                items.append(item)
            if bytes_per_second:
                time.sleep(max(0.0, began + read_bytes / bytes_per_second - time.monotonic()))
        report = VerifyReport(items=tuple(items), chips_read=len(indexes), bytes_read=read_bytes)
        return Proof(report, following, measuring.result())


class _Measuring:
    """Computes the digests of an unmeasured file while all of it is read; nothing otherwise, nor once damaged."""

    def __init__(self, content: Content, *, whole: bool) -> None:
        self._size_bytes = content.size_bytes
        wanted = whole and content.size_bytes <= MAX_MEASURED and read_text(content.image, DIGESTS_KEY) is None
        self._digester = Digester() if wanted else None

    def feed(self, read: ObjectRead) -> None:
        """Take the next object."""
        if self._digester is None:
            return
        if not read.proven:
            self.close()
            return
        length = object_length(self._size_bytes, read.index)
        self._digester.feed(memoryview(ZEROS)[:length] if read.data is None else memoryview(read.data))

    def result(self) -> Digests | None:
        """Return the digests, if every object came and was sound."""
        return None if self._digester is None else self._digester.result()

    def close(self) -> None:
        """Stop the threads. Safe to repeat."""
        digester, self._digester = self._digester, None
        if digester is not None:
            digester.close()


def repair_object(content: Content, offset: int, data: bytes) -> None:
    """Replace a damaged object by a good copy, for the snapshot and all its clones at once.

    offset: of the object's first byte. Raises DigestMismatch if `data` is not what was stored.
    Bypasses RBD on purpose: a write through RBD would copy the object, and the snapshot would keep the damaged one.
    """
    index, rest = divmod(offset, OBJECT_BYTES)
    if rest or not 0 <= index < content.count:
        raise InvalidRequest("offset", offset, f"a multiple of {OBJECT_BYTES} below {content.size_bytes}")
    error = mismatch("the bytes offered for repair", index, row_at(content.rows, index), row_of(data))
    if error is not None:
        raise error
    with translated(content.connection.storage, "repairing"):
        name = f"{content.image.stat()['block_name_prefix']}.{index:016x}"
        content.connection.pool.write_full(name, data)
        _prove_repaired(content, index)


def _prove_repaired(content: Content, index: int) -> None:
    read = read_object(content.connection.storage, content.image, content.rows, content.size_bytes, index, wait_s=60)
    if not read.proven:
        raise DigestMismatch(
            f"{content.name} at byte {index * OBJECT_BYTES}, after repair", read.expected.hex(), read.actual.hex()
        )


def _chosen(content: Content, first: int, budget_bytes: int | None) -> tuple[list[int], int | None]:
    """Return the objects that fit the budget (at least one), and the first one that does not."""
    present = _present(content)
    chosen: list[int] = []
    left = budget_bytes
    for index in range(first, content.count):
        reads = index in present or not content.is_hole(index)
        if reads and left is not None:
            if left <= 0 and chosen:
                return chosen, index
            left -= object_length(content.size_bytes, index)
        chosen.append(index)
    return chosen, None


def _present(content: Content) -> set[int]:
    """Return the holes for which the cluster has an object."""
    with translated(content.connection.storage, "listing objects"):
        found = written_objects(content.image, content.size_bytes)
    return {index for index in found if index < content.count and content.is_hole(index)}


def _reads(content: Content, indexes: list[int], wait_s: float) -> Iterator[ObjectRead]:
    """Read the chosen objects: holes that have an object one by one, the others several ahead."""
    storage, present = content.connection.storage, _present(content)
    for read in read_objects(storage, content.image, content.rows, content.size_bytes, indexes, wait_s=wait_s):
        if read.data is None and read.index in present:
            yield read_object(storage, content.image, content.rows, content.size_bytes, read.index, wait_s)
        else:
            yield read
