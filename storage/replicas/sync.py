"""Sync of images between ImageStores: only chips that the target lacks are sent, manifests come last.

A batch of images shares one landing, one index segment and its packs, so that thousands of small images are cheap. The
missing chips are a set difference against the target's index, never one request per chip.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from catalog.errors import (
    CapacityExceeded,
    DigestMismatch,
    ImageNotFound,
    InvalidRequest,
    ObjectMissing,
    StaleLanding,
    StorageError,
    StorageRefused,
)
from catalog.records import Image, Record, Replica, ReplicaStatus
from catalog.units import utc_now
from storage.imagestore.format import manifest
from storage.imagestore.format.index import U1
from storage.imagestore.format.manifest import ENTRY, Entries, ManifestHeader, Pieces
from storage.imagestore.format.pack import RECORD
from storage.imagestore.format.parameters import raise_version
from storage.imagestore.objects.throttled import ThrottledObjects
from storage.imagestore.reading import manifests
from storage.imagestore.storage import ImageStore
from storage.imagestore.writing.delivery import Delivery
from storage.imagestore.writing.stored_records import stream_records
from storage.protocols import ImageStorage, Progress, SourceInfo
from storage.replicas.copy import land, require_equal, silent
from storage.replicas.source import ReplicaSource
from storage.transfer.bandwidth import Pace

Pair = tuple[ImageStore, ImageStore]
"""Source and target of a sync."""


class Shipped(Record):
    """The result for one image. Sizes are of stored records; replica: None if it failed."""

    image_id: str
    replica: Replica | None = None
    chips_total: int = 0
    chips_sent: int = 0
    bytes_sent: int = 0
    bytes_saved: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """An image with its manifest. chips: their digests."""

    image: Image
    header: ManifestHeader
    pieces: Pieces
    chips: U1  # (n, 32), repeats and holes left out


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The chips of a batch: digests (n, 32), and their stored sizes by digest."""

    needed: U1
    sizes: dict[bytes, int]


def syncing(storage: ImageStorage, parameter: str) -> ImageStore:
    """Return a storage that can sync chips. Raises InvalidRequest, naming the parameter that named it."""
    if isinstance(storage, ImageStore):
        return storage
    hint = f"an ImageStore; {storage.kind} storages hold no chips, use change_image_storage"
    raise InvalidRequest(parameter, storage.name, hint)


def distinct(digests: U1) -> U1:
    """Return the digests sorted, each once."""
    if not len(digests):
        return digests
    # as byte strings: comparing rows of 32 columns takes 20 times as long
    unique: U1 = np.unique(np.ascontiguousarray(digests).view("S32")).view(np.uint8).reshape(-1, 32)
    return unique


def ship(
    source: ImageStore,
    target: ImageStore,
    images: Sequence[Image],
    landing_id: str,
    *,
    pace: Pace | None = None,
    progress: Progress = silent,
) -> tuple[Shipped, ...]:
    """Copy images to the target and return the result for each; an unreadable one stops no other.

    A call with the same landing after a failure resumes with what had arrived. Raises CapacityExceeded before anything
    is sent, StorageUnavailable and the target's errors; then no manifest names a missing chip.
    """
    collected, failed = _collect(source, images)
    parcels = [one for one in collected if one.header.verbatim or target.keeps_recipes]
    compared = compare(source, parcels)
    delivery = Delivery(target.chips, landing_id)
    try:
        lacking = delivery.begin(_described(source, landing_id), compared.needed)
        total = sum(compared.sizes.get(d.tobytes(), 0) for d in lacking)
        _check_room(target, delivery, total)
        lost = _send(source, delivery, lacking, total, pace, progress, compared.sizes)
        delivery.publish()
        if delivery.absent() - lost.keys():
            raise StaleLanding(landing_id)
    finally:
        delivery.close()
    shipped = tuple(_finish(target, parcels, compared, {d.tobytes() for d in lacking}, lost))
    if delivery.overtaken():
        for done in shipped:
            target.delete(done.image_id)
        raise StaleLanding(landing_id)
    delivery.end()
    whole = tuple(
        _whole(source, target, one, landing_id, pace)
        for one in collected
        if not one.header.verbatim and not target.keeps_recipes
    )
    return (*shipped, *whole, *failed)


def lacking_bytes(source: ImageStore, target: ImageStore, images: Sequence[Image]) -> dict[str, tuple[int, int]]:
    """Return (bytes to send, bytes already there) for each readable image. Changes nothing."""
    parcels, _ = _collect(source, images)
    compared = compare(source, parcels)
    usable = target.chips.load_view().usable(compared.needed)
    lacking = {d.tobytes() for d in compared.needed[~usable]}
    shares = _shares(parcels, compared, lacking)
    return {parcel.image.id: (sent, saved) for parcel, (_, sent, saved) in zip(parcels, shares, strict=True)}


def compare(source: ImageStore, parcels: Sequence[Parcel]) -> Comparison:
    """Return the chips that parcels need, with their bytes on the source; an upper bound for leaning chips."""
    needed = distinct(np.concatenate([np.zeros((0, 32), np.uint8), *(parcel.chips for parcel in parcels)]))
    places = source.chips.load_view().locate(needed)
    sent = np.where(places.leaning, places.raw, places.stored)  # leaning chips are compressed anew, alone
    stored = (sent.astype(np.int64) + RECORD.size).tolist()
    return Comparison(needed, dict(zip((d.tobytes() for d in needed), stored, strict=True)))


def _collect(source: ImageStore, images: Sequence[Image]) -> tuple[list[Parcel], list[Shipped]]:
    parcels, failed = [], []
    found = manifests.read_some(source.objects, [image.id for image in images], _contents)
    for image, one in zip(images, found, strict=True):
        if isinstance(one, ImageNotFound):
            failed.append(Shipped(image_id=image.id, error=f"image storage {source.name!r} does not hold it"))
        elif isinstance(one, StorageError):
            failed.append(Shipped(image_id=image.id, error=str(one)))
        else:
            parcels.append(Parcel(image, *one))
    return parcels, failed


def _contents(header: ManifestHeader, pieces: Pieces) -> tuple[ManifestHeader, Pieces, U1]:
    return header, pieces, distinct(pieces.data_digests)


def _whole(source: ImageStore, target: ImageStore, parcel: Parcel, landing_id: str, pace: Pace | None) -> Shipped:
    """Copy an image as its file: the target keeps no recipes."""
    image_id, digests = parcel.image.id, parcel.header.digests
    try:
        made, stored = land(ReplicaSource(source, parcel.header.replica), target, landing_id, silent, pace)
        require_equal(f"image {image_id} from {source.name}", digests, made)
    except (CapacityExceeded, DigestMismatch, ObjectMissing, StorageRefused) as error:
        target.landing(landing_id).discard()
        return Shipped(image_id=image_id, error=str(error))
    replica = target.publish(landing_id, parcel.image, digests)
    return Shipped(
        image_id=image_id,
        replica=replica,
        chips_total=len(parcel.chips),
        bytes_sent=stored.stored_bytes,
        bytes_saved=max(0, digests.size_bytes - stored.stored_bytes),
    )


def _described(source: ImageStore, landing_id: str) -> SourceInfo:
    return SourceInfo(url=f"imagewright:{source.name}", etag=landing_id, resumable=True)


def _check_room(target: ImageStore, delivery: Delivery, needed: int) -> None:
    available = target.capacity().available_bytes
    if needed > available:
        delivery.discard()
        raise CapacityExceeded(target.name, needed, available)


def _send(
    source: ImageStore,
    delivery: Delivery,
    lacking: U1,
    total: int,
    pace: Pace | None,
    progress: Progress,
    sizes: dict[bytes, int],
) -> dict[bytes, StorageError]:
    """Send the chips, recording their sizes on the target; return those that the source could not provide."""
    objects = source.objects
    if pace is not None:
        objects = ThrottledObjects(objects, pace)
    lost: dict[bytes, StorageError] = {}
    sent = 0
    for batch in stream_records(source.chips, objects, lacking):
        delivery.take(batch.chips)
        lost.update(batch.lost)
        written = {chip.digest: RECORD.size + len(chip.payload) for chip in batch.chips}
        sizes.update(written)  # a chip is larger alone if its chain is not sent whole
        sent += sum(written.values())
        progress(sent, total)
    return lost


def _finish(
    target: ImageStore,
    parcels: Sequence[Parcel],
    compared: Comparison,
    lacking: set[bytes],
    lost: dict[bytes, StorageError],
) -> Iterator[Shipped]:
    """Write the manifests of the images that are complete now."""
    shares = _shares(parcels, compared, lacking - lost.keys())
    for parcel, (sent, sent_bytes, saved_bytes) in zip(parcels, shares, strict=True):
        missing = [lost[d] for d in map(bytes, parcel.chips) if d in lost] if lost else []
        if missing:
            yield Shipped(image_id=parcel.image.id, error=f"{len(missing)} chips can't be read: {missing[0]}")
            continue
        replica = _replica(target, parcel, sent_bytes)
        _put_manifest(target, parcel, replica)
        yield Shipped(
            image_id=parcel.image.id,
            replica=replica,
            chips_total=len(parcel.chips),
            chips_sent=sent,
            bytes_sent=sent_bytes,
            bytes_saved=saved_bytes,
        )


def _shares(parcels: Sequence[Parcel], compared: Comparison, lacking: set[bytes]) -> Iterator[tuple[int, int, int]]:
    """Yield for each parcel (chips, bytes) sent for it and the bytes saved; a shared chip is sent once."""
    left = set(lacking)
    for parcel in parcels:
        own = [d.tobytes() for d in parcel.chips]
        sent = [d for d in own if d in left]
        left.difference_update(sent)
        sent_bytes = sum(compared.sizes[d] for d in sent)
        yield len(sent), sent_bytes, sum(compared.sizes[d] for d in own) - sent_bytes


def _replica(target: ImageStore, parcel: Parcel, stored_bytes: int) -> Replica:
    changes = {
        "image_storage": target.name, "status": ReplicaStatus.READY, "location": manifests.name_of(parcel.image.id),
        "stored_bytes": stored_bytes, "error": None, "verified_at": None, "created_at": utc_now(),
    }  # fmt: skip
    return parcel.header.replica.model_copy(update=changes)


def _put_manifest(target: ImageStore, parcel: Parcel, replica: Replica) -> None:
    header = parcel.header.model_copy(update={"image": parcel.image, "replica": replica})
    if not header.verbatim:
        raise_version(target.objects, header.store_version)
    target.objects.put(replica.location, manifest.encode(header, _entries(parcel.pieces)))


def _entries(pieces: Pieces) -> Entries:
    entries = np.zeros(len(pieces), dtype=ENTRY)
    entries["length"], entries["digest"] = pieces.lengths, pieces.digests
    return entries
