"""The lines of the tabs, one function a kind of thing, and what can be done with each: the rules decide, not the page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from catalog.errors import ImageNotFound, ImagewrightError
from catalog.reading import Reading
from catalog.records import ExportedImage, Image, ImageStorage, Leftover, PrimaryStorage, Volume
from catalog.rules.transitions import status_after
from console.measuring import Fullness
from console.shown import Sized, size, when
from storage.uploads import Upload, Uploads

OPERATIONS = {
    "edit_image": "edit",
    "enable_image": "enable",
    "disable_image": "disable",
    "export_image": "export",
    "create_volume": "create volume",
    "set_sharing_mode": "set sharing mode",
    "sync_images": "sync",
    "change_image_storage": "change image storage",
    "delete_image": "delete",
    "recover_image": "recover",
    "expunge_image": "expunge",
}
"""Flow → operation in the table of transitions."""


CHANGEABLE = {
    "name", "credentials", "endpoint", "sync_network", "capacity_bytes", "reserve_bytes", "bandwidth_bytes_s",
}  # fmt: skip
"""What stands in the form of a storage that is registered again; only what is changed there is sent."""


@dataclass(frozen=True, slots=True)
class Meter:
    """How far or how full something is. percent: 0 to 100, None where that can't be told."""

    percent: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a tab. given: what its forms begin with; arriving: so that its progress is shown; upload: a file being sent; disabled: marked as such."""

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


def image_row(image: Image) -> Row:
    """Return an image's line."""
    kind = "ISO" if image.media == "ISO" else image.image_type
    shape = image.format if image.format == image.format_stored else f"{image.format} → {image.format_stored}"
    cells = (kind, shape, image.status, image.state, size(image.virtual_size_bytes))
    return Row(
        image.id, image.name, (*cells, " ".join(image.image_storages), image.owner, when(image.created_at)),
        tuple(flow for flow, operation in OPERATIONS.items() if allowed(image, operation)),
        {
            "image_id": image.id, "image_ids": [image.id], "source": next(iter(image.image_storages), ""),
            "name": image.name, "description": image.description,
        },
        f"/images/{image.id}", image.status in {"Creating", "Downloading"}, image.error or "",
        disabled=image.state == "Disabled",
    )  # fmt: skip


def allowed(image: Image, operation: str) -> bool:
    """Tell whether an operation would be taken, and would change something."""
    if {"enable": "Enabled", "disable": "Disabled"}.get(operation) == image.state:
        return False
    if operation == "delete" and image.status == "Deleted":
        return False
    try:
        status_after(image, operation)
    except ImagewrightError:
        return False
    return True


def export_row(export: ExportedImage) -> Row:
    """Return an exported file's line."""
    return Row(
        export.id, export.path.rpartition("/")[2],
        (export.format, size(export.size_bytes), export.image_storage, export.md5, when(export.created_at)),
        ("delete_exported_image",), {"image_id": export.image_id, "image_storage": export.image_storage},
        f"/images/{export.image_id}", export=export.id,
    )  # fmt: skip


def bin_row(image: Image) -> Row:
    """Return the line of an image in the recycle bin."""
    row = image_row(image)
    cells = (row.cells[0], size(image.size_bytes), image.owner, when(image.deleted_at))
    return replace(row, cells=cells, arriving=False)


def leftover_row(catalog: Reading, left: Leftover) -> Row:
    """Return a leftover's line, under the name of its image."""
    cells = (left.image_storage, left.location, size(left.size_bytes), left.moved_to, when(left.created_at))
    given = {"leftover_ids": [left.id], "image_storage": left.image_storage}
    try:
        name = catalog.image(left.image_id).name
    except ImageNotFound:
        name = left.image_id
    return Row(left.id, name, cells, ("clean_up_leftovers",), given, f"/images/{left.image_id}")


def storage_row(storage: ImageStorage, fullness: Fullness | None) -> Row:
    """Return an image storage's line."""
    given = {
        "image_storage": storage.name, "image_storages": [storage.name],
        **storage.model_dump(mode="json", include=CHANGEABLE),
    }  # fmt: skip
    actions = (
        "register_image_storage", "set_image_storage_state", "verify_replicas", "reclaim_space", "adopt_storage"
    )  # fmt: skip
    cells = (
        storage.kind, storage.url, storage.state, storage.connection, _used(fullness), _deduplicated(fullness),
        _rate(storage.bandwidth_bytes_s), storage.sync_network or "",
    )  # fmt: skip
    return Row(storage.name, storage.name, cells, actions, given, disabled=storage.state == "Disabled")


def _rate(bytes_s: int | None) -> str:
    return Sized(f"{size(bytes_s)}/s", bytes_s) if bytes_s else ""


def primary_row(storage: PrimaryStorage, fullness: Fullness | None) -> Row:
    """Return a primary storage's line."""
    given = {"primary_storage": storage.name, **storage.model_dump(mode="json", include=CHANGEABLE)}
    return Row(
        storage.name,
        storage.name,
        (storage.kind, storage.url, _used(fullness)),
        ("register_primary_storage", "clean_image_cache"),
        given,
    )


def _used(fullness: Fullness | None) -> Meter:
    if fullness is None:
        return Meter(None, "being measured")
    if fullness.capacity is None:
        return Meter(None, fullness.trouble)
    if fullness.total_bytes is None:
        return Meter(None, "no bounds")
    used, total = fullness.capacity.used_bytes, fullness.total_bytes
    free = size(fullness.capacity.available_bytes)
    return Meter(100 * used / max(total, 1), f"{size(used)} of {size(total)}, room for {free}")


def _deduplicated(fullness: Fullness | None) -> str:
    if fullness is None or not fullness.logical_bytes:
        return ""
    logical, stored = fullness.logical_bytes, fullness.stored_bytes
    ratio = f", {logical / stored:.1f} : 1" if stored else ""
    return Sized(f"{size(logical)} in {size(stored)}{ratio}", logical)


def volume_row(volume: Volume) -> Row:
    """Return a volume's line."""
    cells = (volume.primary_storage, size(volume.size_bytes), volume.location)
    return Row(
        volume.id, volume.name, cells, ("delete_volume",), {"volume_id": volume.id}, f"/images/{volume.image_id}"
    )  # fmt: skip


def upload_row(catalog: Reading, uploads: Uploads, upload: Upload) -> Row:
    """Return the line of a file that is being sent. Raises UploadNotFound where it is gone meanwhile."""
    offset, error = uploads.offset(upload.id), _error_of(catalog, upload.id)
    percent = 100 * offset / upload.length if upload.length else 100.0
    coming = "Suspended" if uploads.is_idle(upload.id) else "Uploading"
    state = ("Failed" if error else "Adding") if offset == upload.length else coming
    far = Meter(percent, f"{percent:.0f} %, {size(offset)} of {size(upload.length)}")
    cells = (upload.filename, state, far, when(upload.created_at), when(uploads.expires_at(upload.id)))
    name = str(json.loads(upload.request).get("name", ""))
    return Row(upload.id, name, cells, trouble=error, upload=upload)


def _error_of(catalog: Reading, image_id: str) -> str:
    try:
        return catalog.image(image_id).error or ""
    except ImageNotFound:
        return ""
