"""Which chips are damaged or gone: read, and noted, so that adds store them again."""

from collections.abc import Iterable
from contextlib import suppress

from catalog.errors import CapacityExceeded, DigestMismatch, ObjectMissing, StorageRefused
from storage.imagestore.format import damage_marks
from storage.imagestore.format.index import U1, as_digests, distinct, keys_of
from storage.imagestore.reading.fetch import ChipSource
from storage.imagestore.reading.unindexed_packs import leaning_on
from storage.protocols import ObjectStore

STEP_CHIPS = 128  # read at once


def damaged_among(objects: ObjectStore, source: ChipSource, digests: U1) -> list[bytes]:
    """Return which of the chips are damaged or gone; it is noted, so that adds store them again."""
    lost: list[bytes] = []
    for first in range(0, len(digests), STEP_CHIPS):
        lost.extend(lost_among(objects, source, digests[first : first + STEP_CHIPS]))
    return lost


def lost_among(objects: ObjectStore, source: ChipSource, digests: U1) -> dict[bytes, str]:
    """Read chips in parallel; where that fails, one by one, to find each damaged one. It is noted. Returns why each can't be read.

    An error that was kept would keep what was read before it arose: some 26 MB each.
    """
    lost: dict[bytes, str] = {}
    try:
        for _ in source.stream(digests):
            pass
    except (DigestMismatch, ObjectMissing):
        for digest in digests:
            try:
                source.read(digest.reshape(1, -1))
            except (DigestMismatch, ObjectMissing) as error:
                lost[digest.tobytes()] = str(error)
    for one in (*lost, *_leaning(objects, source, lost)):
        with suppress(StorageRefused, CapacityExceeded):  # it is named all the same where nothing can be noted
            damage_marks.mark(objects, one)
    return lost


def _leaning(objects: ObjectStore, source: ChipSource, lost: Iterable[bytes]) -> set[bytes]:
    """Return the chips that may not be read any more without the lost ones: no add is to rely on them, either."""
    keys = distinct(keys_of(as_digests(list(lost))))
    return {digest.tobytes() for found in leaning_on(objects, source.view, keys) for digest in found}
