"""Make a complete file of an image, in the stored format or another, once."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

from prefect import task

from catalog.errors import CapacityExceeded, IllegalTransition, ImageNotFound, InvalidRequest
from catalog.records import Action, ExportedImage, Image, ImageFormat, Plan, Replica, ReplicaStatus
from catalog.settings import Settings
from storage.protocols import Digests, ImageStorage
from tasks.events import emit
from tasks.progress import Meter, progress
from tasks.resources import open_image_storage, open_resources, run_id
from tasks.retries import retrying

if TYPE_CHECKING:
    from catalog.repository import Catalog


def chosen_replica(catalog: "Catalog", image: Image, image_storage: str | None) -> Replica:
    """Return the replica to read: of the storage asked for, else the first that is Ready. Raises ImageNotFound."""
    if image_storage is not None:
        catalog.image_storage(image_storage)
    for replica in catalog.replicas(image.id):
        if replica.status is ReplicaStatus.READY and image_storage in (None, replica.image_storage):
            return replica
    raise ImageNotFound(f"{image.id} on {image_storage or 'any image storage'}")


def existing_export(catalog: "Catalog", replica: Replica, wanted: ImageFormat) -> ExportedImage | None:
    """Return the export that is already there, its file included."""
    for export in catalog.exports(replica.image_id, image_storage=replica.image_storage):
        if export.format == wanted and Path(export.path).is_file():
            return export
    return None


@task(task_run_name="plan export of {image.name}")
def plan_export(image: Image, image_storage: str | None, image_format: ImageFormat | None) -> Plan:
    """Return what an export would write. Changes nothing."""
    with open_resources() as (settings, catalog):
        replica, wanted = _checked(catalog, image, image_storage, image_format)
        if export := existing_export(catalog, replica, wanted):
            return Plan(
                operation="export image",
                bytes_already_there=export.size_bytes,
                summary=f"already exported as {export.path}",
            )
        size = _needed(image, replica, wanted)
        target = export_path(settings, image, replica, wanted)
    action = Action(verb="write export", subject=f"image:{image.id}", bytes=size, reason=f"to {target}")
    return Plan(
        operation="export image",
        actions=(action,),
        bytes_to_move=size,
        summary=f"write {target}, at most {size} bytes",
    )


@task(task_run_name="export {image.name}", **retrying())
def export(image: Image, image_storage: str | None, image_format: ImageFormat | None) -> ExportedImage:
    """Return the export, made now or found. Raises InvalidRequest, CapacityExceeded, DigestMismatch, ConversionFailed."""
    with open_resources() as (settings, catalog):
        replica, wanted = _checked(catalog, image, image_storage, image_format)
        if found := existing_export(catalog, replica, wanted):
            return found
        storage = open_image_storage(catalog.image_storage(replica.image_storage), settings)
        target = export_path(settings, image, replica, wanted)
        _check_room(target, _needed(image, replica, wanted))
        with progress(f"export-{image.id}", f"export {image.name}") as meter:
            digests = _write(storage, replica, wanted, target, settings, meter)
        exported = ExportedImage(
            id=str(uuid4()), image_id=image.id, image_storage=replica.image_storage, format=wanted, path=str(target),
            url=target.as_uri(), size_bytes=digests.size_bytes, md5=digests.md5, sha256=digests.sha256,
            created_at=datetime.now(UTC),
        )  # fmt: skip
        with catalog.changing(actor=image.owner, run_id=run_id()) as change:
            change.save_export(exported)
    emit("image.exported", image, path=exported.path, md5=exported.md5, format=wanted)
    return exported


def export_path(settings: Settings, image: Image, replica: Replica, wanted: ImageFormat) -> Path:
    """Return where the file goes: one folder an image, one name a storage and format."""
    return settings.exports_folder / image.id / f"{replica.image_storage}.{wanted}"


def _checked(
    catalog: "Catalog", image: Image, image_storage: str | None, image_format: ImageFormat | None
) -> tuple[Replica, ImageFormat]:
    if image.status.value != "Ready":
        raise IllegalTransition(f"image {image.id}", image.status.value, "export", ("Ready",))
    replica = chosen_replica(catalog, image, image_storage)
    wanted = image_format or replica.format
    if wanted != replica.format and "iso" in (wanted, replica.format):
        raise InvalidRequest(
            "image_format", wanted, f"this image is kept as {replica.format}, which is exported as it is"
        )
    return replica, wanted


def _needed(image: Image, replica: Replica, wanted: ImageFormat) -> int:
    return (
        replica.size_bytes
        if wanted == replica.format
        else max(replica.size_bytes, image.virtual_size_bytes or 0)
    )


def _check_room(target: Path, needed: int) -> None:
    import shutil

    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise CapacityExceeded(f"exports at {target.parent}", needed, free)


def _write(
    storage: ImageStorage,
    replica: Replica,
    wanted: ImageFormat,
    target: Path,
    settings: Settings,
    meter: Meter,
) -> Digests:
    if wanted == replica.format:
        return storage.export(replica.image_id, target, meter)
    from storage.formats.convert import convert_reader
    from storage.local import measure

    settings.scratch_folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings.scratch_folder, prefix="export-") as scratch:
        converted = convert_reader(
            storage.open(replica.image_id), replica.format, wanted, Path(scratch), meter
        )
        digests = measure(converted)
        move_aside(converted, target)
    return digests


def move_aside(file: Path, target: Path) -> None:
    """Give a finished file its name, also across file systems, never showing a part of it."""
    import shutil

    aside = target.with_name(f".{target.name}.new")
    shutil.move(file, aside)
    aside.replace(target)
