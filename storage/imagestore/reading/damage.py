"""Find damaged and missing chips, and mark them so that adds store them again."""

from collections.abc import Iterable
from contextlib import suppress

from catalog.errors import CapacityExceeded, DigestMismatch, ObjectMissing, StorageRefused
from storage.imagestore.format import damage_marks
from storage.imagestore.format.index import U1, as_digests, distinct, keys_of
from storage.imagestore.reading.fetch import ChipSource
from storage.imagestore.reading.unindexed_packs import leaning_on
from storage.protocols import ObjectStore

STEP_CHIPS = 128  # chips per read


def damaged_among(objects: ObjectStore, source: ChipSource, digests: U1) -> list[bytes]:
    """Return the damaged or missing ones of the chips, and mark them so that adds store them again."""
    lost: list[bytes] = []
    for first in range(0, len(digests), STEP_CHIPS):
        lost.extend(lost_among(objects, source, digests[first : first + STEP_CHIPS]))
    return lost


def lost_among(objects: ObjectStore, source: ChipSource, digests: U1) -> dict[bytes, str]:
    """Read chips in parallel, or one by one after a failure, and mark each damaged one; return why it can't be read.

    Only the reasons are kept: an error object would keep the data read before it alive, about 26 MB each.
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
        with suppress(StorageRefused, CapacityExceeded):  # it is reported even if it can't be marked
            damage_marks.mark(objects, one)
    return lost


def _leaning(objects: ObjectStore, source: ChipSource, lost: Iterable[bytes]) -> set[bytes]:
    """Return the chips that can't be read without the lost ones: adds must not rely on these either."""
    keys = distinct(keys_of(as_digests(list(lost))))
    return {digest.tobytes() for found in leaning_on(objects, source.view, keys) for digest in found}
