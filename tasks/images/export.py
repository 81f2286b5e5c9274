"""Export an image to a complete file, in the stored format or another, once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from prefect.logging import get_logger

from catalog.errors import ImageNotFound, InvalidRequest, StorageError
from catalog.files import free_bytes
from catalog.log import events
from catalog.records import Action, ExportedImage, Image, ImageFormat, Plan, Replica
from catalog.rules.images.naming import file_name
from catalog.rules.images.transitions import status_after
from catalog.settings import Settings
from storage.abilities import KeepsExports
from storage.protocols import Digests
from storage.replicas.export import disk_of, make_export_folder, room_needed, sweep_exports, write_export
from storage.replicas.proven_files import looks, settled_look
from tasks.images.kept_exports import is_kept, is_there, keeps
from tasks.images.proven_export import matching_exports, proven_export
from tasks.replicas.readable import from_any, readable
from tasks.runtime.export_places import export_place, is_here
from tasks.runtime.locks import export_lock, waiting_turn
from tasks.runtime.reserved_space import reserved_space
from tasks.runtime.resources import changing, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.runs.progress import progress
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.reading.reading import Reading

OPERATION = "export"
log = get_logger("imagewright.export")


@task(task_run_name="plan export of {image_id}", **retrying())
def plan_export(image_id: str, account: str, image_storage: str | None, image_format: ImageFormat | None) -> Plan:
    """Return what an export would write. Changes nothing. Raises as `export`."""
    with open_resources() as (settings, catalog):
        image, replicas = _checked(catalog, image_id, account, image_storage, image_format)
        if known := next(matching_exports(catalog, settings, replicas, image_format), None):
            return _planned_again(known)
        return _planned(catalog, settings, image, replicas[0], image_format or replicas[0].format)


def _planned_again(known: ExportedImage) -> Plan:
    untouched = is_kept(known.path) or looks(Path(known.path), known.proven)
    touched = "" if untouched else "; the file was touched since and is read again first"
    summary = f"already exported as {known.path}{touched}"
    return Plan(operation=OPERATION, bytes_already_there=known.size_bytes, summary=summary)


def _planned(catalog: "Reading", settings: Settings, image: Image, replica: Replica, wanted: ImageFormat) -> Plan:
    record = catalog.image_storage(replica.image_storage)
    storage = open_image_storage(record, settings)
    free = free_bytes(export_place(record, settings).folder)
    size = room_needed(storage, replica, wanted, free)
    target = export_path(catalog, settings, image, replica, wanted)
    action = Action(verb="write export", subject=f"image:{image.id}", bytes=size, reason=f"to {target}")
    fits = "" if size <= free else "; too many to fit"
    summary = f"write {target}: at most {size} bytes, {free} are free{fits}"
    return Plan(operation=OPERATION, actions=(action,), bytes_to_move=size, summary=summary)


@task(task_run_name="export {image_id}", **retrying())
def export(image_id: str, account: str, image_storage: str | None, image_format: ImageFormat | None) -> ExportedImage:
    """Return the export, new or existing; of two concurrent calls, the second gets the export of the first.

    Raises ImageNotFound, IllegalTransition, InvalidRequest, CapacityExceeded, DigestMismatch, ConversionFailed.
    """
    with open_resources() as (settings, catalog):
        _checked(catalog, image_id, account, image_storage, image_format)
        with waiting_turn(export_lock(image_id)):
            image, replicas = _checked(catalog, image_id, account, image_storage, image_format)
            if known := _existing(catalog, settings, replicas, image_format):
                return known
            exported = from_any(replicas, lambda r: _export(catalog, settings, image, account, r, image_format))
    emit(events.IMAGE_EXPORTED, image, path=exported.path, md5=exported.md5, format=exported.format)
    return exported


def _checked(
    catalog: "Reading",
    image_id: str,
    account: str,
    image_storage: str | None,
    image_format: ImageFormat | None,
) -> tuple[Image, Sequence[Replica]]:
    """Return the image and its readable replicas, those that need no conversion first."""
    image = catalog.image(image_id, account=account)
    status_after(image, OPERATION)
    replicas = sorted(readable(catalog, image, image_storage), key=lambda r: r.format != image.format)
    for kept in [replica.format for replica in replicas] if image_format else ():
        if image_format != kept and "iso" in (image_format, kept):
            raise InvalidRequest("image_format", image_format, f"{kept}: this image is exported as it is kept")
    return image, replicas


def _existing(
    catalog: "Catalog", settings: Settings, replicas: Sequence[Replica], image_format: ImageFormat | None
) -> ExportedImage | None:
    """Return an existing export whose file is there and matches the record."""
    for export in tuple(matching_exports(catalog, settings, replicas, image_format)):
        if proven := proven_export(catalog, export):
            return proven
        log.warning("%s is not what was exported; it is made again", export.path)
    return None


def _export(
    catalog: "Catalog",
    settings: Settings,
    image: Image,
    account: str,
    replica: Replica,
    image_format: ImageFormat | None,
) -> ExportedImage:
    wanted = image_format or replica.format
    record = catalog.image_storage(replica.image_storage)
    storage, place = open_image_storage(record, settings), export_place(record, settings)
    target = export_path(catalog, settings, image, replica, wanted)
    make_export_folder(target.parent)
    _forget(catalog, settings, account, replica, target, keeps(storage, settings))
    needed = room_needed(storage, replica, wanted, free_bytes(target.parent))
    free, disk = free_bytes(target.parent), disk_of(target.parent)
    name = f"the folder of exports {place.folder}"
    with (
        reserved_space(catalog, account, export_lock(image.id), target.name, disk, free, needed, name),
        progress(f"export-{image.id}", f"export {image.name}") as meter,
    ):
        digests = write_export(storage, replica, wanted, target, settings, meter)
        made = _settled(target, image.id, place.host, keeps(storage, settings))
        return _record(catalog, account, replica, wanted, made, digests)


def export_path(catalog: "Reading", settings: Settings, image: Image, replica: Replica, wanted: ImageFormat) -> Path:
    """Return the export's path: a folder per image, a name of image, version and format, and the storage if needed."""
    place, version = export_place(catalog.image_storage(replica.image_storage), settings), image.version
    folder = place.folder / image.id
    name = file_name(image.name, version, wanted)
    others = {e.path for e in catalog.exports(image.id) if e.image_storage != replica.image_storage}
    if str(folder / name) not in others:
        return folder / name
    told = f"{replica.image_storage}-{sha256(replica.image_storage.encode()).hexdigest()[:8]}"
    return folder / file_name(image.name, version, wanted, told)


@dataclass(frozen=True, slots=True)
class Made:
    """An exported file at its final place, see ExportedImage. undo: deletes it."""

    path: str
    url: str
    host: str | None
    proven: str
    undo: Callable[[], None]


def _settled(target: Path, image_id: str, host: str | None, keeper: KeepsExports | None) -> Made:
    """Return the file at its final place: this host, or the image storage if that keeps exports for every host."""
    if keeper is None:
        undo = partial(target.unlink, missing_ok=True)
        return Made(str(target), target.as_uri(), host, settled_look(target), undo)
    kept = keeper.keep_export(image_id, target)
    target.unlink(missing_ok=True)
    return Made(kept.location, kept.location, None, kept.look, partial(keeper.delete_export, kept.location))


def _forget(
    catalog: "Catalog", settings: Settings, account: str, replica: Replica, target: Path, keeper: KeepsExports | None
) -> None:
    """Remove records of exports here whose file is gone or is being replaced, and delete files that are no exports."""
    made = (replica.image_storage, target.suffix.removeprefix("."))
    mine = [e for e in catalog.exports(replica.image_id) if is_here(catalog, settings, e)]
    gone = {e.id for e in mine if (e.image_storage, e.format) == made or _is_lost(catalog, settings, e)}
    with changing(catalog, account) as change:
        for export_id in gone:
            change.remove_export(export_id)
        known = {export.path for export in change.exports(replica.image_id)}
    sweep_exports(target.parent, known)
    if keeper is not None:
        for location in [place for place in keeper.kept_exports(replica.image_id) if place not in known]:
            keeper.delete_export(location)


def _is_lost(catalog: "Reading", settings: Settings, export: ExportedImage) -> bool:
    try:
        return not is_there(catalog, settings, export)
    except StorageError:  # unreachable is not deleted
        return False


def _record(
    catalog: "Catalog",
    account: str,
    replica: Replica,
    wanted: ImageFormat,
    made: Made,
    digests: Digests,
) -> ExportedImage:
    """Record the export in the catalog; if the image was expunged meanwhile, delete the file."""
    exported = ExportedImage(
        id=str(uuid4()),
        image_id=replica.image_id,
        image_storage=replica.image_storage,
        format=wanted,
        path=made.path,
        url=made.url,
        size_bytes=digests.size_bytes,
        md5=digests.md5,
        sha256=digests.sha256,
        proven=made.proven,
        host=made.host,
        created_at=catalog.now(),
    )
    try:
        with changing(catalog, account) as change:
            change.save_export(exported)
            if wanted == replica.format and replica.sha256 is None:
                known = change.replica(replica.image_id, replica.image_storage)
                measured = {"md5": digests.md5, "sha256": digests.sha256}
                change.save_replica(known.model_copy(update=measured))
    except ImageNotFound:
        made.undo()
        raise
    return exported
