"""Read chips in their stored, compressed form, to write them to another store without compressing them again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import numpy as np

from catalog.errors import DigestMismatch, ObjectMissing, StorageError
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format.codec import BASES, GOING_ON, LEANING, digest_of
from storage.imagestore.format.index import U1
from storage.imagestore.format.pack import RECORD, object_name
from storage.imagestore.reading.fetch import AHEAD, WORKERS, Fetched, Run, plan_runs, read_run
from storage.imagestore.reading.view import Located
from storage.imagestore.writing.packer import Encoded
from storage.protocols import ObjectStore
from storage.transfer.threads import in_order


@dataclass(frozen=True, slots=True)
class Batch:
    """Chips of one fetch, each proven; lost: damaged or missing ones, by digest."""

    chips: tuple[Encoded, ...] = ()
    lost: Mapping[bytes, StorageError] = field(default_factory=dict)


class _Reading(NamedTuple):
    """prefix: see Unpacker; leaning: whole leaning chains may be passed on with the record of their bases."""

    prefix: Callable[[bytes], bytes]
    leaning: bool


def stream_records(chips: ChipStore, objects: ObjectStore, digests: U1, *, leaning: bool = False) -> Iterator[Batch]:
    """Yield all requested chips in storage order, fetched ahead by a few threads.

    objects: the store's own, or a wrapper that throttles it. An unavailable chip affects only itself.
    leaning: for a target that has and keeps the bases; otherwise leaning chips are compressed anew, in standalone
    chains. Raises StorageUnavailable.
    """
    places = chips.load_view().locate(digests)
    order = np.lexsort((places.offset, places.pack))
    found = order[~places.missing[order]]
    for digest in digests[places.missing]:
        yield Batch(lost={digest.tobytes(): _nowhere(objects, digest)})
    sorted_places, wanted = places.take(found), digests[found]
    reading = _Reading(chips.source().prefix, leaning)

    def fetch(run: Run) -> Batch:
        try:
            return Batch(tuple(_as_stored(chips, objects, run, sorted_places, wanted, reading)))
        except (ObjectMissing, DigestMismatch):  # damaged, or moved by a reclaim since
            return _one_by_one(chips, objects, wanted[run.chips.start : run.chips.stop])

    yield from in_order(fetch, plan_runs(sorted_places), workers=WORKERS, room=AHEAD)


def _as_stored(
    chips: ChipStore, objects: ObjectStore, run: Run, places: Located, digests: U1, reading: "_Reading"
) -> Iterator[Encoded]:
    """Yield the chips of one run, proven, in their stored form. Raises ObjectMissing, DigestMismatch.

    A chip that continues a chain which is not passed on whole is compressed anew, alone.
    """
    data = memoryview(objects.get(object_name(run.pack), run.start, run.end))
    found = list(read_run(data, run, places, digests, objects.location, reading.prefix))
    whole_until = -1  # offset at which a record continues the chain passed on so far
    chains = (places.offset - places.back).tolist()
    for _, group in groupby(found, lambda one: chains[one.number]):
        some = list(group)
        leans_on = some[0].leans_on
        if leans_on and not (reading.leaning and some[0].codec == LEANING):
            yield from _standing_alone(chips, some, digests)
            continue
        if leans_on:
            yield Encoded(digest_of(leans_on), BASES, len(leans_on), leans_on)
        for one in some:
            at = int(places.offset[one.number])
            if one.codec in GOING_ON and at != whole_until:
                yield from _standing_alone(chips, [one], digests)
            else:
                whole_until = at + RECORD.size + len(one.payload)
                yield Encoded(digests[one.number].tobytes(), one.codec, len(one.chip), one.payload)


def _standing_alone(chips: ChipStore, found: Sequence[Fetched], digests: U1) -> Iterator[Encoded]:
    """Yield chips compressed anew, in standalone chains."""
    encoded = chips.codec.encode_all([memoryview(one.chip) for one in found], hurried=False)
    for one, (codec, payload) in zip(found, encoded, strict=True):
        yield Encoded(digests[one.number].tobytes(), codec, len(one.chip), payload)


def _one_by_one(chips: ChipStore, objects: ObjectStore, digests: U1) -> Batch:
    """Read chips through a fresh view, to name each unavailable one."""
    reading = _Reading(chips.source().prefix, leaning=False)
    places = chips.load_view().locate(digests)
    read: list[Encoded] = []
    lost: dict[bytes, StorageError] = {}
    for i, digest in enumerate(digests):
        try:
            if places.missing[i]:
                raise _nowhere(objects, digest)
            one = places.take(np.array([i]))
            read.extend(_as_stored(chips, objects, plan_runs(one)[0], one, digests[i : i + 1], reading))
        except (ObjectMissing, DigestMismatch) as error:
            lost[digest.tobytes()] = copy(error)  # the raised one keeps the data read before it alive
    return Batch(tuple(read), lost)


def _nowhere(objects: ObjectStore, digest: U1) -> ObjectMissing:
    return ObjectMissing(f"{objects.location}: chip {digest.tobytes().hex()}")
