"""Reading chips as they are stored, compressed, to be written to another store without compressing them again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from catalog.errors import DigestMismatch, ObjectMissing, StorageError
from storage.chips.codec import decode
from storage.chips.fetch import Run, in_order, plan_runs
from storage.chips.index import I8, U1
from storage.chips.pack import RECORD, object_name
from storage.chips.packer import Encoded
from storage.chips.store import ChipStore
from storage.chips.view import Located
from storage.protocols import ObjectStore


@dataclass(frozen=True, slots=True)
class Batch:
    """Chips of one fetch, each proven; lost: those that are damaged or nowhere, by digest."""

    chips: tuple[Encoded, ...] = ()
    lost: Mapping[bytes, StorageError] = field(default_factory=dict)


def stream_records(chips: ChipStore, objects: ObjectStore, digests: U1) -> Iterator[Batch]:
    """Yield all chips asked for in the order they lie in, fetched ahead by a few threads.

    objects: the store's own, or a wrapper that slows it down. A chip that can't be had stops nothing but itself.
    Raises StorageUnavailable.
    """
    places = chips.load_view().locate(digests)
    order = np.lexsort((places.offset, places.pack))
    found = order[~places.missing[order]]
    for digest in digests[places.missing]:
        yield Batch(lost={digest.tobytes(): _nowhere(objects, digest)})
    sorted_places, wanted = _taken(places, found), digests[found]

    def fetch(run: Run) -> Batch:
        try:
            return Batch(tuple(read_run(objects, run, sorted_places, wanted)))
        except (ObjectMissing, DigestMismatch):  # damaged, or moved by a reclaim since
            return _one_by_one(chips, objects, wanted[run.chips.start : run.chips.stop])

    yield from in_order(fetch, plan_runs(sorted_places))


def read_run(objects: ObjectStore, run: Run, places: Located, digests: U1) -> Iterator[Encoded]:
    """Yield the records of one run, each proven. Raises ObjectMissing, DigestMismatch."""
    data = memoryview(objects.get(object_name(run.pack), run.start, run.end))
    for i in run.chips:
        at, stored, digest = int(places.offset[i]) - run.start, int(places.stored[i]), digests[i].tobytes()
        where = f"{objects.location}/{object_name(run.pack)} at {int(places.offset[i])}, chip {digest.hex()}"
        record = data[at : at + RECORD.size + stored]
        if len(record) < RECORD.size + stored:
            raise DigestMismatch(where, digest.hex(), f"only {len(record)} bytes of its record")
        named, codec, raw, length = RECORD.unpack_from(record)
        if (named, length) != (digest, stored):
            raise DigestMismatch(where, digest.hex(), f"a record of {named.hex()}")
        payload = record[RECORD.size :]
        decode(codec, payload, raw, digest, where)
        yield Encoded(digest, codec, raw, payload)


def _one_by_one(chips: ChipStore, objects: ObjectStore, digests: U1) -> Batch:
    """Read chips through a fresh view, to name each one that can't be had."""
    places = chips.load_view().locate(digests)
    read: list[Encoded] = []
    lost: dict[bytes, StorageError] = {}
    for i, digest in enumerate(digests):
        try:
            if places.missing[i]:
                raise _nowhere(objects, digest)
            one = _taken(places, np.array([i]))
            read.extend(read_run(objects, plan_runs(one)[0], one, digests[i : i + 1]))
        except (ObjectMissing, DigestMismatch) as error:
            lost[digest.tobytes()] = error
    return Batch(tuple(read), lost)


def _nowhere(objects: ObjectStore, digest: U1) -> ObjectMissing:
    return ObjectMissing(f"{objects.location}: chip {digest.tobytes().hex()}")


def _taken(places: Located, rows: I8) -> Located:
    return replace(
        places, pack=places.pack[rows], offset=places.offset[rows], stored=places.stored[rows],
        raw=places.raw[rows], codec=places.codec[rows],
    )  # fmt: skip
