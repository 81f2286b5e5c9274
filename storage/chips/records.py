"""Reading chips as they are stored, compressed, to be written to another store without compressing them again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from catalog.errors import DigestMismatch, ObjectMissing, StorageError
from storage.ahead import in_order
from storage.chips.codec import CHAINED, Payload
from storage.chips.fetch import AHEAD, WORKERS, Run, plan_runs, read_run
from storage.chips.index import U1
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
    sorted_places, wanted = places.take(found), digests[found]

    def fetch(run: Run) -> Batch:
        try:
            return Batch(tuple(_as_stored(chips, objects, run, sorted_places, wanted)))
        except (ObjectMissing, DigestMismatch):  # damaged, or moved by a reclaim since
            return _one_by_one(chips, objects, wanted[run.chips.start : run.chips.stop])

    yield from in_order(fetch, plan_runs(sorted_places), workers=WORKERS, room=AHEAD)


def _as_stored(
    chips: ChipStore, objects: ObjectStore, run: Run, places: Located, digests: U1
) -> Iterator[Encoded]:
    """Yield the chips of one run, proven, as they are stored. Raises ObjectMissing, DigestMismatch.

    A chip that goes on with a chain which is not passed on whole is compressed anew, by itself.
    """
    data = memoryview(objects.get(object_name(run.pack), run.start, run.end))
    whole_until = -1  # where a record has to lie to go on with the chain passed on so far
    for number, codec, payload, chip in read_run(data, run, places, digests, objects.location):
        at = int(places.offset[number])
        stored: tuple[int, Payload] = codec, payload
        if codec != CHAINED or at == whole_until:
            whole_until = at + RECORD.size + len(payload)
        else:
            stored = chips.codec.encode(memoryview(chip), hurried=False)
        yield Encoded(digests[number].tobytes(), stored[0], len(chip), stored[1])


def _one_by_one(chips: ChipStore, objects: ObjectStore, digests: U1) -> Batch:
    """Read chips through a fresh view, to name each one that can't be had."""
    places = chips.load_view().locate(digests)
    read: list[Encoded] = []
    lost: dict[bytes, StorageError] = {}
    for i, digest in enumerate(digests):
        try:
            if places.missing[i]:
                raise _nowhere(objects, digest)
            one = places.take(np.array([i]))
            read.extend(_as_stored(chips, objects, plan_runs(one)[0], one, digests[i : i + 1]))
        except (ObjectMissing, DigestMismatch) as error:
            lost[digest.tobytes()] = error
    return Batch(tuple(read), lost)


def _nowhere(objects: ObjectStore, digest: U1) -> ObjectMissing:
    return ObjectMissing(f"{objects.location}: chip {digest.tobytes().hex()}")
