"""Delete exported files; the image and its chips stay."""

from typing import TYPE_CHECKING

from catalog.errors import StorageUnavailable
from catalog.log import events
from catalog.records import Action, ExportedImage, Image, ImageFormat, Plan
from catalog.settings import load_settings
from catalog.store.ballast import freeing_room
from tasks.images.changes import allowed
from tasks.images.deletion import Deletion, carry_out
from tasks.images.kept_exports import is_kept
from tasks.runtime.export_places import location_of
from tasks.runtime.locks import export_lock, waiting_turn
from tasks.runtime.resources import changing, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.reading.reading import Reading
    from catalog.settings import Settings

OPERATION = "delete exported image"


@task(task_run_name="delete exports of {image_id}", **retrying())
@freeing_room()
def delete_export(
    image_id: str, account: str, image_storage: str | None, image_format: ImageFormat | None = None
) -> Image:
    """Delete the image's exports, all or those of one storage and format; return the image. A no-op if there are none.

    A file that can't be deleted now is removed from the catalog and deleted later. Raises ImageNotFound, AccessDenied,
    StorageNotFound.
    """
    with open_resources() as (settings, catalog):
        image = _checked(catalog, image_id, account, image_storage)
        with waiting_turn(export_lock(image_id)):
            for export in _meant(catalog, image_id, image_storage, image_format):
                _delete(catalog, settings, export, account)
                told = {"path": export.path, "format": export.format, "image_storage": export.image_storage}
                emit(events.IMAGE_EXPORT_DELETED, image, **told)
        return catalog.image(image_id)


def _meant(
    catalog: "Reading", image_id: str, image_storage: str | None, image_format: ImageFormat | None
) -> tuple[ExportedImage, ...]:
    exports = catalog.exports(image_id, image_storage=image_storage)
    return tuple(export for export in exports if image_format in (None, export.format))


def _checked(catalog: "Reading", image_id: str, account: str, image_storage: str | None) -> Image:
    image, _ = allowed(catalog, image_id, account, OPERATION)
    if image_storage is not None:
        catalog.image_storage(image_storage)
    return image


def _delete(catalog: "Catalog", settings: "Settings", export: ExportedImage, account: str) -> None:
    bits = deletion_of_export(export)
    failed = ""
    try:
        carry_out(catalog, settings, bits)
    except StorageUnavailable as error:
        failed = str(error)
    with changing(catalog, account) as change:
        if failed:
            bits.defer(change, failed)
        change.remove_export(export.id, events.IMAGE_EXPORT_DELETED)


def deletion_of_export(export: ExportedImage) -> Deletion:
    """Return the deletion of an export's file."""
    storage = export.image_storage if load_settings().catalog_is_shared or is_kept(export.path) else ""
    return Deletion(
        operation="delete export",
        subject=f"export:{export.id}",
        image_id=export.image_id,
        storage=storage,
        location=location_of(export),
        bytes=export.size_bytes,
    )


@task(task_run_name="plan to delete exports of {image_id}", **retrying())
def plan_delete_export(
    image_id: str, account: str, image_storage: str | None, image_format: ImageFormat | None = None
) -> Plan:
    """Return which files would be deleted. Changes nothing."""
    with open_resources() as (_, catalog):
        _checked(catalog, image_id, account, image_storage)
        exports = _meant(catalog, image_id, image_storage, image_format)
    actions = tuple(
        Action(verb="delete export", subject=f"export:{e.id}", bytes=e.size_bytes, reason=e.path) for e in exports
    )
    freed = sum(e.size_bytes for e in exports)
    return Plan(operation=OPERATION, actions=actions, summary=f"delete {len(exports)} files, {freed} bytes")
