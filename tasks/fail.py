"""What happens when an add ends badly: nothing is left behind, or all that is needed to go on."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect import task
from prefect.logging import get_logger

from catalog.errors import IllegalTransition, ImageBusy, ImageNotFound, ImagewrightError
from catalog.records import Image
from catalog.rules.transitions import GONE, status_after
from storage import received
from storage.uploads import discard_source
from tasks.events import emit
from tasks.exclusive import own_lease
from tasks.resources import open_image_storage, open_resources, run_id
from tasks.room import lacking, subject_of

if TYPE_CHECKING:
    from catalog.repository import Catalog
    from catalog.settings import Settings
    from storage.protocols import ImageStorage

log = get_logger("imagewright.fail")


@task(task_run_name="give up on {image.name}")
def fail(image: Image, sentence: str, resumable: bool) -> Image:
    """Mark the image Error with the sentence; unless it can be resumed, delete its landings and give its room back.

    An image that was deleted meanwhile, became Ready, or is gone on with by another process is left as it is.
    """
    with suppress(ImageBusy, ImageNotFound, IllegalTransition):
        return mark_failed(image, sentence, resumable)
    return image


def mark_failed(image: Image, sentence: str, resumable: bool) -> Image:
    """Do what `fail` does. Raises ImageBusy if another process works on the image, ImageNotFound, IllegalTransition."""
    with open_resources() as (_, catalog):
        lease = own_lease(catalog, image.id)
        status_after(catalog.image(image.id), "fail")
        if not resumable:
            discard_bytes(image, lacking(catalog, image))
        with catalog.changing(actor=image.owner, run_id=run_id(), lease=lease) as change:
            known = change.image(image.id)
            update = {"status": status_after(known, "fail"), "error": sentence}
            saved = change.save_image(known.model_copy(update=update), event="imagewright.image.failed")
            if not resumable:
                change.release(subject_of(image.id))
    emit("image.failed", saved, error=sentence, resumable=resumable)
    return saved


def worked_on(image_id: str, run: str) -> bool:
    """Tell whether a run ever changed the image."""
    with open_resources() as (_, catalog):
        return any(event.run_id == run for event in catalog.events(image_id))


def withdraw(image_id: str) -> bool:
    """Make an image that was still arriving vanish with its bytes; tell whether there was one.

    For the image of a run that was cancelled: nobody works on it any more.
    """
    with open_resources() as (_, catalog):
        try:
            image = catalog.image(image_id)
            if status_after(image, "cancel") is not GONE:
                return False
        except (ImageNotFound, IllegalTransition):
            return False
        let_go(catalog, image, image.owner)
    emit("image.cancelled", image)
    return True


def let_go(catalog: "Catalog", image: Image, actor: str) -> None:
    """Delete an image that never became Ready with its bytes; what a storage can't delete now is deferred work."""
    kept = discard_bytes(image, image.image_storages)
    with catalog.changing(actor=actor, run_id=run_id()) as change:
        for name, reason in kept.items():
            for operation in ("delete landing", "delete replica"):
                change.defer(operation, f"replica:{image.id}@{name}", reason, storage=name)
        for replica in tuple(change.replicas(image.id)):
            change.remove_replica(image.id, replica.image_storage)
        change.remove_image(image.id, event="imagewright.image.cancelled")


def discard_bytes(image: Image, storages: Sequence[str]) -> Mapping[str, str]:
    """Delete the image's landings, and what was published of it just before its run ended, from these storages.

    Returns the storages that can't delete it now, each with its reason. A file that was sent for it goes as well.
    """
    kept = {}
    with open_resources() as (settings, catalog):
        discard_source(image.source, settings)
        received.forget(settings, image.id)
        for name in storages:
            try:
                storage = open_to_delete(catalog, settings, name)
                discard_landings(storage, image.id)
                storage.delete(image.id)
            except ImagewrightError as error:
                log.warning("the bytes of %s stay on %s for now: %s", image.id, name, error)
                kept[name] = str(error)
    return kept


def open_to_delete(catalog: "Catalog", settings: "Settings", name: str) -> "ImageStorage":
    """Open a storage to delete something that may be there. Raises StorageUnavailable also where its disk is not mounted.

    Opening it then would make an empty store in its place, without the bytes, and they would count as deleted.
    """
    from storage.registry import require_present

    record = catalog.image_storage(name)
    if any(True for _ in catalog.replicas(image_storage=name)):  # else nothing may ever have been kept there
        require_present(record)
    return open_image_storage(record, settings)


def discard_landings(storage: "ImageStorage", image_id: str) -> None:
    """Delete what is still landing of an image on a storage, converted or to be converted; what is published stays."""
    for landing in tuple(storage.landings()):
        if landing.landing_id.partition(".")[0] == image_id:
            storage.landing(landing.landing_id).discard()
