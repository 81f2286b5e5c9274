"""All details of an image."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from catalog.errors import ImageNotFound
from catalog.log.difference import Difference, between
from catalog.records import Event, ExportedImage, Image, Replica, Volume
from catalog.repository.reading.reading import Reading
from console.pages.image_lists import image_rows
from console.pages.rows import Row, left_to
from console.pages.values import size, when
from console.visibility import Visibility
from storage.uploads import Uploads

SHOWN_EVENTS, SHOWN_CHILDREN, SHORTEST_ID = 100, 50, 6
APART = {"image_storages", "verdict", "boot", "quality", "warnings", "error", "md5", "sha256", "name", "description"}
"""Fields with a place of their own on the page."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest for comparison. of: the file it belongs to."""

    of: str
    place: str
    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class Details:
    """An image with its details. events: the last hundred, newest first; beside: declared facts beside found ones.

    difference: changes between two entries of its log, if requested; made_of_it: images made from it, nearest first.
    """

    image: Image
    row: Row
    facts: tuple[tuple[str, str], ...]
    replicas: tuple[Replica, ...]
    exports: tuple[ExportedImage, ...]
    volumes: tuple[Volume, ...]
    events: tuple[Event, ...]
    digests: tuple[Digest, ...]
    beside: tuple[tuple[str, str, str], ...]
    parent: Image | None
    made_of_it: tuple[Image, ...]
    difference: Difference | None


def details_of(
    visibility: Visibility, uploads: Uploads, image_id: str, query: Mapping[str, str] | None = None
) -> Details:
    """Return an image's details. query: `since` and `until`, entries of its log.

    Raises ImageNotFound, also for an unseen one.
    """
    image, catalog = visibility.image(image_id), visibility.catalog
    events = tuple(catalog.events(image_id))
    (row,) = image_rows(visibility, uploads, [image])
    replicas, exports = tuple(catalog.replicas(image_id)), tuple(catalog.exports(image_id))
    volumes = tuple(v for v in catalog.volumes(image_id=image_id) if visibility.owns(v.owner, v.image_id))
    return Details(
        image,
        left_to(visibility.who, row),
        _facts(image),
        replicas,
        exports,
        volumes,
        events[::-1][:SHOWN_EVENTS],
        tuple(_digests(image, replicas)),
        tuple(_beside(image)),
        _seen(visibility, image.parent),
        tuple(_children(visibility, catalog, image_id)),
        _difference(events, query or {}),
    )


def whole_id(visibility: Visibility, part: str) -> str | None:
    """Return the full id of a shortened one; None if no image or several fit."""
    part = part.rstrip("….").lower()
    if len(part) < SHORTEST_ID:
        return None
    found = visibility.catalog.images_in_order((part,), account=visibility.account, count=9)
    ids = [image.id for image in found if image.id.startswith(part) and visibility.sees(image)]
    return ids[0] if len(ids) == 1 else None


def _digests(image: Image, replicas: Sequence[Replica]) -> Iterator[Digest]:
    for algorithm, value in (("MD5", image.md5), ("SHA-256", image.sha256)):
        if value:
            yield Digest("the file that was added", image.format, algorithm, value)
    for replica in replicas:
        if replica.sha256 != image.sha256:  # the file was converted, so the digest of the added file proves nothing
            for algorithm, value in (("MD5", replica.md5), ("SHA-256", replica.sha256)):
                if value:
                    yield Digest("as stored", f"{replica.image_storage}, {replica.format}", algorithm, value)


def _beside(image: Image) -> Iterator[tuple[str, str, str]]:
    boot = image.boot
    if boot is None:
        return
    ways = [name for name, can in (("UEFI", bool(boot.uefi_boot)), ("Legacy", boot.bios_boot)) if can]
    yield "System", image.os, boot.guest_os or ""
    yield "Boot mode", image.bios_mode or "", ", ".join(ways)
    yield "Architecture", image.cpu_architecture or "", ", ".join(boot.uefi_boot)
    yield "VirtIO drivers", _yes(image.virtio), _yes(boot.virtio)
    yield "Disk driver", "", _yes(boot.virtio_disk)
    yield "Network driver", "", _yes(boot.virtio_network)
    yield "cloud-init", "", _yes(boot.cloud_init)
    yield "Guest agent", "", _yes(boot.guest_agent)
    yield "Partition table", "", boot.partition_table
    yield "File systems", "", ", ".join(boot.filesystems)
    yield "Boot loaders", "", ", ".join(f"{one.path} ({one.machine})" for one in boot.loaders)


def _yes(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def _seen(visibility: Visibility, image_id: str | None) -> Image | None:
    if image_id is None:
        return None
    with suppress(ImageNotFound):
        return visibility.image(image_id)
    return None


def _children(visibility: Visibility, catalog: Reading, image_id: str) -> Iterator[Image]:
    for number, child in enumerate(catalog.made_of(image_id)):
        if number >= SHOWN_CHILDREN:
            return
        if visibility.of(child.id):
            yield child


def _difference(events: Sequence[Event], query: Mapping[str, str]) -> Difference | None:
    """Return the changes after one entry up to another; None if not requested."""
    since, until = query.get("since", ""), query.get("until", "")
    if not (since.isascii() and since.isdigit() and until.isascii() and until.isdigit()):
        return None
    first, last = sorted((int(since), int(until)))
    return between(event for event in events if first < event.sequence <= last)


def _facts(image: Image) -> tuple[tuple[str, str], ...]:
    """Return every set field that has no place of its own on the page; the replicas show where the image is."""
    return tuple(_flat("", image.model_dump(exclude=APART)))


def _flat(path: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    if isinstance(value, dict):
        return [fact for key, inner in value.items() for fact in _flat(f"{path} · {key}" if path else str(key), inner)]
    if isinstance(value, datetime):
        return [(path.replace("_", " "), when(value))]
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if path.endswith("_bytes") and isinstance(value, int):
        return [(path.removesuffix("_bytes").replace("_", " "), f"{size(value)} ({value:,})")]
    return [(path.replace("_", " "), str(value))] if value not in (None, "", [], ()) else []
