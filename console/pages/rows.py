"""The lines of the tabs, one function per kind of thing, with the operations that the rules allow on each."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from catalog.errors import ImageNotFound, StorageError, UploadNotFound
from catalog.records import (
    Evidence,
    ExportedImage,
    Image,
    ImageStorage,
    Leftover,
    PrimaryStorage,
    Replica,
    ReplicaStatus,
    SignedIn,
    Volume,
)
from catalog.repository.reading.reading import Reading
from catalog.rules.accounts.roles import may
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.images.naming import download_name
from catalog.rules.storages.sources import UPLOAD
from console.look.language import Said
from console.pages.actions import offered, offered_of, permitted
from console.pages.storage_usage import Fullness
from console.pages.values import Sized, size, when
from storage.uploads import Upload, Uploads, url_of


@dataclass(frozen=True, slots=True)
class Meter:
    """A progress or fill level. percent: 0 to 100, None if unknown."""

    percent: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Build:
    """A build that is not the latest of its family.

    state: `waits` or `refused`; reason, evidence: why; given: first values of its forms.
    """

    id: str
    name: str
    version: str
    state: str
    reason: str
    evidence: tuple[Evidence, ...] = ()
    given: Mapping[str, object] = field(default_factory=dict)
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a tab.

    given: first values of its forms; arriving: its progress is shown; upload: a file being sent; disabled, deprecated:
    marked as such; instead: name and link of the replacement; retry: id of an image or upload that can be added again
    unchanged; owner: its account, None if it has none; builds: of a family, those that wait or were refused.
    """

    id: str
    name: str
    cells: tuple[str | Meter, ...]
    actions: tuple[str, ...] = ()
    given: Mapping[str, object] = field(default_factory=dict)
    link: str = ""
    arriving: bool = False
    trouble: str = ""
    export: str = ""
    upload: Upload | None = None
    disabled: bool = False
    retry: str = ""
    deprecated: bool = False
    instead: Mapping[str, str] = field(default_factory=dict)
    owner: str | None = None
    builds: tuple[Build, ...] = ()


def image_row(image: Image, replicas: Sequence[Replica] = (), instead: Image | None = None) -> Row:
    """Return an image's line. replicas: its present ones; instead: the replacement, if it is deprecated."""
    kind = "ISO" if image.media == "ISO" else image.image_type
    shape = image.format if image.format == image.format_stored else f"{image.format} → {image.format_stored}"
    cells = (system_of(image), kind, shape, image.status, size(image.virtual_size_bytes))
    return Row(
        image.id,
        image.name,
        (*cells, places_of(image, replicas), image.owner, when(image.created_at)),
        offered_of(image),
        {
            "image_id": image.id,
            "image_ids": [image.id],
            "source": _source(image, replicas),
            "name": image.name,
        },
        f"/images/{image.id}",
        image.status in {"Creating", "Downloading"},
        image.error or "",
        disabled=image.state == "Disabled",
        deprecated=image.deprecated,
        instead={"name": instead.name, "link": f"/images/{instead.id}"} if instead else {},
        owner=image.owner,
    )


def system_of(image: Image) -> str:
    """Return an image's operating system, as found, else as declared, and its architecture."""
    found = (image.boot.guest_os if image.boot else None) or image.os
    return ", ".join(part for part in (found, image.cpu_architecture) if part)


def places_of(image: Image, replicas: Sequence[Replica]) -> str:
    """Return an image's storages, with the status of replicas not whole; for an arriving image the requested ones."""
    ready = ReplicaStatus.READY
    held = [r.image_storage if r.status is ready else f"{r.image_storage} ({r.status.value})" for r in replicas]
    return ", ".join(held or image.image_storages)


def _source(image: Image, replicas: Sequence[Replica]) -> str:
    """Return the best storage to read an image from."""
    whole = [r.image_storage for r in replicas if r.status is ReplicaStatus.READY]
    return next(iter((*whole, *image.image_storages)), "")


def export_row(catalog: Reading, export: ExportedImage) -> Row:
    """Return an exported file's line."""
    image = catalog.image(export.image_id)
    return Row(
        export.id,
        download_name(image, export),
        (export.format, size(export.size_bytes), export.image_storage, export.md5, when(export.created_at)),
        offered("export"),
        {"image_id": export.image_id, "image_storage": export.image_storage, "image_format": export.format},
        f"/images/{export.image_id}",
        export=export.id,
        owner=image.owner,
    )


def bin_row(image: Image) -> Row:
    """Return the line of an image in the recycle bin."""
    row = image_row(image)
    cells = (row.cells[1], size(image.size_bytes), image.owner, when(image.deleted_at))
    return replace(row, cells=cells, arriving=False)


def leftover_row(catalog: Reading, left: Leftover) -> Row:
    """Return a leftover's line, under the name of its image."""
    cells = (left.image_storage, left.location, size(left.size_bytes), left.moved_to, when(left.created_at))
    given = {"leftover_ids": [left.id], "image_storage": left.image_storage}
    name, owner = left.image_id, ADMIN
    with suppress(ImageNotFound):
        image = catalog.image(left.image_id)
        name, owner = image.name, image.owner
    return Row(left.id, name, cells, offered("leftover"), given, f"/images/{left.image_id}", owner=owner)


def storage_row(storage: ImageStorage, fullness: Fullness | None) -> Row:
    """Return an image storage's line."""
    given = {"image_storage": storage.name, "image_storages": [storage.name], "name": storage.name}
    cells = (
        storage.kind,
        storage.url,
        storage.state,
        storage.connection,
        used(fullness),
        _deduplicated(fullness),
        _rate(storage.bandwidth_bytes_s),
        storage.sync_network or "",
    )
    return Row(storage.name, storage.name, cells, offered("image storage"), given, disabled=storage.state == "Disabled")


def _rate(bytes_s: int | None) -> str:
    return Sized(f"{size(bytes_s)}/s", bytes_s) if bytes_s else ""


def primary_row(storage: PrimaryStorage, fullness: Fullness | None) -> Row:
    """Return a primary storage's line."""
    given = {"primary_storage": storage.name, "name": storage.name}
    return Row(
        storage.name,
        storage.name,
        (storage.kind, storage.url, used(fullness)),
        offered("primary storage"),
        given,
    )


def used(fullness: Fullness | None) -> Meter:
    """Return how full a storage is."""
    if fullness is None:
        return Meter(None, "being measured")
    if fullness.capacity is None:
        return Meter(None, fullness.trouble)
    if fullness.total_bytes is None:
        return Meter(None, "no bounds")
    taken, total = fullness.capacity.used_bytes, fullness.total_bytes
    free = size(fullness.capacity.available_bytes)
    return Meter(
        100 * taken / max(total, 1),
        Said("{used} of {total}, room for {free}", used=size(taken), total=size(total), free=free),
    )


def _deduplicated(fullness: Fullness | None) -> str:
    if fullness is None or not fullness.logical_bytes:
        return ""
    logical, stored = fullness.logical_bytes, fullness.stored_bytes
    ratio = f", {logical / stored:.1f} : 1" if stored else ""
    return Sized(f"{size(logical)} → {size(stored)}{ratio}", logical)


def volume_row(volume: Volume) -> Row:
    """Return a volume's line."""
    cells = (volume.primary_storage, size(volume.size_bytes), volume.location)
    given, link = {"volume_id": volume.id}, f"/images/{volume.image_id}"
    return Row(volume.id, volume.name, cells, offered("volume"), given, link, owner=volume.owner)


WAITS = "the Prefect server did not take it yet; it is added as soon as it does"


def upload_row(catalog: Reading, uploads: Uploads, upload: Upload) -> Row:
    """Return the line of an upload. Raises UploadNotFound if it is gone meanwhile."""
    offset = uploads.offset(upload.id)
    state, trouble = _upload_state(catalog, uploads, upload)
    percent = 100 * offset / upload.length if upload.length else 100.0
    far = Meter(
        percent,
        Said(
            "{percent} %, {sent} of {length}", percent=f"{percent:.0f}", sent=size(offset), length=size(upload.length)
        ),
    )
    cells = (upload.filename, state, far, when(upload.created_at), when(uploads.expires_at(upload.id)))
    request = json.loads(upload.request)
    row = Row(
        upload.id,
        str(request.get("name", "")),
        cells,
        given={**request, "image_path": url_of(upload.id), "image_id": upload.id},
        trouble=trouble,
        upload=upload,
        owner=upload.owner,
    )
    return stopped(row) if state in ("Failed", "Refused") else row


def left_to(who: SignedIn, row: Row) -> Row:
    """Return a line with only the operations that the visitor may do."""
    actions = tuple(flow for flow in row.actions if permitted(who, flow, row.owner))
    own = may(who, "add") and row.owner in (None, who.identity.account)
    sends = own or who.identity.role == ADMIN
    upload = row.upload if sends else None
    possible = tuple(flow for flow in offered("build") if permitted(who, flow, row.owner)) if row.builds else ()
    builds = tuple(replace(build, actions=possible) for build in row.builds)
    return replace(row, actions=actions, upload=upload, retry=row.retry if sends else "", builds=builds)


def stopped(row: Row, why: str = "") -> Row:
    """Return the line of an upload whose add failed, or that differs from its announcement, which can be corrected.

    why: the error of an add's run that failed before it had an image.
    """
    upload = row.upload
    if upload is None:
        return row
    state = "Failed" if why else str(row.cells[1])
    return replace(
        row,
        cells=(row.cells[0], state, *row.cells[2:]),
        actions=offered("upload"),
        trouble=why or row.trouble,
        retry=upload.id if state == "Failed" else "",
    )


def _upload_state(catalog: Reading, uploads: Uploads, upload: Upload) -> tuple[str, str]:
    """Return the state of an upload, and a sentence about it."""
    if refusal := uploads.refusal(upload.id):
        return "Refused", refusal
    if uploads.offset(upload.id) < upload.length:
        return ("Suspended" if uploads.is_idle(upload.id) else "Uploading"), ""
    if not uploads.runs(upload.id):
        return "Waiting", WAITS
    error = _error_of(catalog, upload.id)
    return ("Failed" if error else "Adding"), error


def _error_of(catalog: Reading, image_id: str) -> str:
    try:
        return catalog.image(image_id).error or ""
    except ImageNotFound:
        return ""


def retried(uploads: Uploads, row: Row, image: Image, replicas: Sequence[Replica]) -> Row:
    """Return an image's line with the retry of its add, if the add failed and can be repeated unchanged."""
    if image.status != "Error" or any(replica.status != "Ready" for replica in replicas):
        return row  # an image that was whole once is verified instead, to find what is left
    scheme, _, upload_id = image.source.partition("://")
    try:
        if scheme == UPLOAD:
            uploads.get(upload_id)
    except (UploadNotFound, StorageError):
        return row
    return replace(row, retry=image.id)
