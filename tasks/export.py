"""Make a complete file of an image, in the stored format or another, once."""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from prefect import task

from catalog.errors import ImageNotFound, InvalidRequest, StorageError, StorageRefused
from catalog.records import Action, ExportedImage, Image, ImageFormat, Plan, Replica, ReplicaStatus
from catalog.rules.transitions import status_after
from catalog.settings import Settings
from storage.moving import recorded, require_equal
from storage.protocols import Digests, ImageStorage, Progress
from tasks.events import emit
from tasks.exclusive import in_turn
from tasks.export_room import brought_near, lock_of, nearest, place_of, reader_of, room_needed, sweep
from tasks.progress import progress
from tasks.promised_room import promised_room
from tasks.resources import open_image_storage, open_resources, run_id
from tasks.retries import retrying
from tasks.scratch import scratch_folder

if TYPE_CHECKING:
    from catalog.reading import Reading
    from catalog.repository import Catalog

OPERATION = "export"


@task(task_run_name="plan export of {image_id}")
def plan_export(
    image_id: str, account: str, image_storage: str | None, image_format: ImageFormat | None
) -> Plan:
    """Return what an export would write. Changes nothing. Raises as `export`."""
    with open_resources() as (settings, catalog):
        image, replicas = _checked(catalog, image_id, account, image_storage, image_format)
        if known := existing_export(catalog, replicas, image_format):
            summary = f"already exported as {known.path}"
            return Plan(operation=OPERATION, bytes_already_there=known.size_bytes, summary=summary)
        replica, wanted = replicas[0], image_format or replicas[0].format
        storage = open_image_storage(catalog.image_storage(replica.image_storage), settings)
        free = shutil.disk_usage(nearest(settings.exports_folder)).free
        with reader_of(storage, image_id) as reader:
            size = room_needed(reader, replica, wanted, free)
        target = export_path(settings, image_id, replica, wanted)
    action = Action(verb="write export", subject=f"image:{image.id}", bytes=size, reason=f"to {target}")
    fits = "" if size <= free else "; too many to fit"
    summary = f"write {target}: at most {size} bytes, {free} are free{fits}"
    return Plan(operation=OPERATION, actions=(action,), bytes_to_move=size, summary=summary)


@task(task_run_name="export {image_id}", **retrying())
def export(
    image_id: str, account: str, image_storage: str | None, image_format: ImageFormat | None
) -> ExportedImage:
    """Return the export, made now or found; of two that make it at once, the second gets what the first made.

    Raises ImageNotFound, IllegalTransition, InvalidRequest, CapacityExceeded, DigestMismatch, ConversionFailed.
    """
    with open_resources() as (settings, catalog):
        _checked(catalog, image_id, account, image_storage, image_format)
        with in_turn(lock_of(image_id)):
            image, replicas = _checked(catalog, image_id, account, image_storage, image_format)
            if known := existing_export(catalog, replicas, image_format):
                return known
            exported = _from_any(catalog, settings, image, account, replicas, image_format)
    emit("image.exported", image, path=exported.path, md5=exported.md5, format=exported.format)
    return exported


def _checked(
    catalog: "Reading",
    image_id: str,
    account: str,
    image_storage: str | None,
    image_format: ImageFormat | None,
) -> tuple[Image, Sequence[Replica]]:
    """Return the image and the replicas it can be read from."""
    image = catalog.image(image_id, account=account)
    status_after(image, OPERATION)
    replicas = _readable(catalog, image, image_storage)
    for replica in replicas:
        if image_format and image_format != replica.format and "iso" in (image_format, replica.format):
            raise InvalidRequest(
                "image_format", image_format, f"{replica.format}: this image is exported as it is kept"
            )
    return image, replicas


def _readable(catalog: "Reading", image: Image, image_storage: str | None) -> Sequence[Replica]:
    if image_storage is not None:
        catalog.image_storage(image_storage)
    ready = [r for r in catalog.replicas(image.id) if r.status is ReplicaStatus.READY]
    found = [r for r in ready if image_storage in (None, r.image_storage)]
    if not found:
        raise ImageNotFound(f"{image.id} on {image_storage or 'any image storage'}")
    return sorted(found, key=lambda r: r.format != image.format)  # what needs no conversion first


def existing_export(
    catalog: "Reading", replicas: Sequence[Replica], image_format: ImageFormat | None
) -> ExportedImage | None:
    """Return the export that is already there, its file included and of the right size."""
    wanted = {(r.image_storage, image_format or r.format) for r in replicas}
    for export in catalog.exports(replicas[0].image_id):
        if (export.image_storage, export.format) in wanted and _size(export.path) == export.size_bytes:
            return export
    return None


def _size(path: str) -> int | None:
    try:
        return Path(path).stat().st_size
    except OSError:
        return None


def _from_any(
    catalog: "Catalog",
    settings: Settings,
    image: Image,
    account: str,
    replicas: Sequence[Replica],
    image_format: ImageFormat | None,
) -> ExportedImage:
    """Export from the first replica that can be read; a damaged or unreachable one only costs the attempt."""
    for replica in replicas[:-1]:
        try:
            return _export(catalog, settings, image, account, replica, image_format or replica.format)
        except StorageError:
            continue
    last = replicas[-1]
    return _export(catalog, settings, image, account, last, image_format or last.format)


def _export(
    catalog: "Catalog",
    settings: Settings,
    image: Image,
    account: str,
    replica: Replica,
    wanted: ImageFormat,
) -> ExportedImage:
    storage = open_image_storage(catalog.image_storage(replica.image_storage), settings)
    target = export_path(settings, image.id, replica, wanted)
    _prepare(catalog, account, image.id, target)
    with reader_of(storage, image.id) as reader:
        needed = room_needed(reader, replica, wanted, shutil.disk_usage(target.parent).free)
    free, place = shutil.disk_usage(target.parent).free, place_of(target.parent)
    name = f"the folder of exports {settings.exports_folder}"
    with (
        promised_room(catalog, account, lock_of(image.id), target.name, place, free, needed, name),
        progress(f"export-{image.id}", f"export {image.name}") as meter,
    ):
        digests = _write(storage, replica, wanted, target, settings, meter)
        return _record(catalog, account, replica, wanted, target, digests)


def export_path(settings: Settings, image_id: str, replica: Replica, wanted: ImageFormat) -> Path:
    """Return where the file goes: one folder an image, one name a storage and format."""
    return settings.exports_folder / image_id / f"{replica.image_storage}.{wanted}"


def _prepare(catalog: "Catalog", account: str, image_id: str, target: Path) -> None:
    """Make the image's folder; forget exports whose file is gone, delete files that are no exports."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageRefused(f"exports at {target.parent.parent}", error.strerror or str(error)) from error
    with catalog.changing(actor=account, run_id=run_id()) as change:
        for export in tuple(change.exports(image_id)):
            if _size(export.path) != export.size_bytes:
                change.remove_export(export.id)
        sweep(change, image_id, target.parent)


def _write(
    storage: ImageStorage,
    replica: Replica,
    wanted: ImageFormat,
    target: Path,
    settings: Settings,
    meter: Progress,
) -> Digests:
    """Write the file, proven against what was recorded when the image was added."""
    expected = recorded(replica)
    if wanted == replica.format:
        digests = storage.export(replica.image_id, target, meter)
        try:
            require_equal(f"export {target}", expected or digests, digests)
        except StorageError:
            target.unlink(missing_ok=True)
            raise
        return digests
    from storage.formats.convert import convert_reader
    from storage.local import measure

    with scratch_folder(settings, "export") as scratch, reader_of(storage, replica.image_id) as reader:
        aside = brought_near(convert_reader(reader, replica.format, wanted, scratch, meter), target)
        digests = measure(aside)
        aside.replace(target)
    return digests


def _record(
    catalog: "Catalog", account: str, replica: Replica, wanted: ImageFormat, target: Path, digests: Digests
) -> ExportedImage:
    """Let the catalog know the export; where the image was expunged meanwhile, the file goes as well."""
    exported = ExportedImage(
        id=str(uuid4()), image_id=replica.image_id, image_storage=replica.image_storage, format=wanted,
        path=str(target), url=target.as_uri(), size_bytes=digests.size_bytes, md5=digests.md5,
        sha256=digests.sha256, created_at=datetime.now(UTC),
    )  # fmt: skip
    try:
        with catalog.changing(actor=account, run_id=run_id()) as change:
            change.save_export(exported)
            if wanted == replica.format and replica.sha256 is None:
                known = change.replica(replica.image_id, replica.image_storage)
                measured = {"md5": digests.md5, "sha256": digests.sha256}
                change.save_replica(known.model_copy(update=measured))
    except ImageNotFound:
        target.unlink(missing_ok=True)
        raise
    return exported
