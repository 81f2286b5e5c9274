"""Prove stored chips by reading them, and replace a damaged one by a good copy."""

import time
from collections.abc import Iterator

import numpy as np

from catalog.errors import DigestMismatch, InvalidRequest
from catalog.records import ItemOutcome, VerifyReport
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import damage_marks, index
from storage.imagestore.format.codec import digest_of
from storage.imagestore.format.index import U1
from storage.imagestore.format.journal import Journal, folder
from storage.imagestore.format.manifest import Pieces
from storage.imagestore.reading.damage import lost_among
from storage.imagestore.reading.fetch import ChipSource
from storage.imagestore.writing.packer import Encoded, Packer
from storage.imagestore.writing.publish import remove

STEP_BYTES = 8 << 20  # between two checks of the budget


def verify(
    chips: ChipStore, pieces: Pieces, image_id: str, first: int, budget_bytes: int | None, bytes_per_second: int | None
) -> tuple[VerifyReport, int | None]:
    """Read and prove the pieces from number `first` on, within a budget of plain bytes; from 0 if `first` is too large.

    Returns the report and the piece to resume at, None at the end.
    """
    source = chips.source()
    items: list[ItemOutcome] = []
    count, done_bytes, begun = 0, 0, time.monotonic()
    at = first = first if 0 <= first < len(pieces) else 0
    for step in _steps(pieces, first):
        if budget_bytes is not None and done_bytes >= budget_bytes:
            break
        rows = step[~pieces.holes[step]]
        items.extend(_damaged(chips, source, pieces, rows, image_id))
        count += len(rows)
        done_bytes += int(pieces.lengths[rows].sum())
        at = int(step[-1]) + 1
        if bytes_per_second:
            time.sleep(max(0.0, begun + done_bytes / bytes_per_second - time.monotonic()))
    report = VerifyReport(items=tuple(items), chips_read=count, bytes_read=done_bytes)
    return report, at if at < len(pieces) else None


def _steps(pieces: Pieces, first: int) -> Iterator["np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    """Yield consecutive piece numbers with about STEP_BYTES of data; holes cost nothing."""
    filled = np.cumsum(np.where(pieces.holes, 0, pieces.lengths)[first:]).astype(np.int64)
    at = 0
    while at < len(filled):
        before = int(filled[at - 1]) if at else 0
        stop = max(at + 1, int(np.searchsorted(filled, before + STEP_BYTES, side="right")))
        yield np.arange(first + at, first + stop)
        at = stop


def _damaged(chips: ChipStore, source: ChipSource, pieces: Pieces, rows: index.I8, image_id: str) -> list[ItemOutcome]:
    """Name each damaged chip of some pieces."""
    lost = lost_among(chips.objects, source, pieces.digests[rows])
    return [
        ItemOutcome(
            subject=f"{image_id}@{int(pieces.starts[row])}",
            outcome="failed",
            bytes=int(pieces.lengths[row]),
            reason=lost[digest],
        )
        for row in rows.tolist()
        if (digest := pieces.digests[row].tobytes()) in lost
    ]


def repair(chips: ChipStore, digest: bytes, data: bytes) -> None:
    """Store a good copy of one chip and make it current for every image that has it.

    Raises DigestMismatch if `data` is not that chip.
    """
    if digest_of(data) != digest:
        raise DigestMismatch("the bytes offered for repair", digest.hex(), digest_of(data).hex())
    sealed: list[index.Table] = []
    pin = f"repair-{digest.hex()}"  # its own landing: its journal keeps reclaim from the new pack
    pack_bytes = chips.parameters.pack_bytes
    journal = Journal(chips.objects, pin)
    packer = Packer(chips.objects, folder(pin), pack_bytes, journal.pack, sealed.append)
    try:
        codec, payload = chips.codec.encode(memoryview(data))
        packer.add([Encoded(digest, codec, len(data), payload)])
        packer.close_part()
        packer.wait()
    finally:
        packer.stop()
    chips.add_segment(index.merge(sealed))
    remove(chips, pin)
    damage_marks.clear(chips.objects, digest)


def chip_at(pieces: Pieces, offset: int) -> U1:
    """Return the digest of the chip that begins at `offset`. Raises InvalidRequest."""
    row = int(np.searchsorted(pieces.starts, np.uint64(offset)))
    if row >= len(pieces) or int(pieces.starts[row]) != offset or pieces.holes[row]:
        raise InvalidRequest("offset", offset, "the first byte of a chip of this image")
    digest: U1 = pieces.digests[row]
    return digest


def chip_holding(pieces: Pieces, offset: int) -> U1:
    """Return the digest of the chip with the byte at `offset`. Raises InvalidRequest."""
    if not 0 <= offset < pieces.size_bytes:
        raise InvalidRequest("offset", offset, f"0 to {pieces.size_bytes - 1}: the image has {pieces.size_bytes} bytes")
    row = int(np.searchsorted(pieces.starts, np.uint64(offset), side="right")) - 1
    if pieces.holes[row]:
        raise InvalidRequest("offset", offset, "a byte that is stored: there are only zeros around it")
    digest: U1 = pieces.digests[row]
    return digest
