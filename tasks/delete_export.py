"""Delete exported files; the image and its chips stay."""

from typing import TYPE_CHECKING

from prefect import task

from catalog.errors import StorageUnavailable
from catalog.records import Action, ExportedImage, Image, Plan
from catalog.rules.transitions import status_after
from tasks.bits import Bits, delete_bits
from tasks.changing import owned
from tasks.exclusive import in_turn
from tasks.export_room import lock_of
from tasks.resources import open_resources, run_id

if TYPE_CHECKING:
    from catalog.reading import Reading
    from catalog.repository import Catalog
    from catalog.settings import Settings

OPERATION = "delete exported image"


@task(task_run_name="delete exports of {image_id}")
def delete_export(image_id: str, account: str, image_storage: str | None) -> Image:
    """Delete the image's exports, of one storage or all; none there is fine. Returns the image.

    A file that can't be deleted now is forgotten here and deleted later. Raises ImageNotFound, AccessDenied, StorageNotFound.
    """
    with open_resources() as (settings, catalog):
        _checked(catalog, image_id, account, image_storage)
        with in_turn(lock_of(image_id)):
            for export in tuple(catalog.exports(image_id, image_storage=image_storage)):
                _delete(catalog, settings, export, account)
        return catalog.image(image_id)


def _checked(catalog: "Reading", image_id: str, account: str, image_storage: str | None) -> None:
    status_after(owned(catalog, image_id, account, OPERATION), OPERATION)
    if image_storage is not None:
        catalog.image_storage(image_storage)


def _delete(catalog: "Catalog", settings: "Settings", export: ExportedImage, account: str) -> None:
    bits = bits_of_export(export)
    failed = ""
    try:
        delete_bits(catalog, settings, bits)
    except StorageUnavailable as error:
        failed = str(error)
    with catalog.changing(actor=account, run_id=run_id()) as change:
        if failed:
            bits.defer(change, failed)
        change.remove_export(export.id, "imagewright.image.export_deleted")


def bits_of_export(export: ExportedImage) -> Bits:
    """Return the file of an export as bits to delete."""
    return Bits(operation="delete export", subject=f"export:{export.id}", image_id=export.image_id,
                location=export.path, bytes=export.size_bytes)  # fmt: skip


@task(task_run_name="plan to delete exports of {image_id}")
def plan_delete_export(image_id: str, account: str, image_storage: str | None) -> Plan:
    """Return which files would go. Changes nothing."""
    with open_resources() as (_, catalog):
        _checked(catalog, image_id, account, image_storage)
        exports = tuple(catalog.exports(image_id, image_storage=image_storage))
    actions = tuple(
        Action(verb="delete export", subject=f"export:{e.id}", bytes=e.size_bytes, reason=e.path)
        for e in exports
    )
    freed = sum(e.size_bytes for e in exports)
    return Plan(operation=OPERATION, actions=actions, summary=f"delete {len(exports)} files, {freed} bytes")
