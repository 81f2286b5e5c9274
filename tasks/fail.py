"""What happens when an add ends badly: nothing is left behind, or all that is needed to go on."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect import task
from prefect.logging import get_logger

from catalog.errors import IllegalTransition, ImageBusy, ImageNotFound, ImagewrightError
from catalog.records import Image
from catalog.rules.transitions import GONE, status_after
from storage.uploads import discard_source
from tasks.events import emit
from tasks.exclusive import own_lease
from tasks.resources import open_image_storage, open_resources, run_id
from tasks.room import lacking, subject_of

if TYPE_CHECKING:
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
        discard_bytes(image, image.image_storages)
        with catalog.changing(actor=image.owner, run_id=run_id()) as change:
            for replica in tuple(change.replicas(image_id)):
                change.remove_replica(image_id, replica.image_storage)
            change.remove_image(image_id, event="imagewright.image.cancelled")
    emit("image.cancelled", image)
    return True


def discard_bytes(image: Image, storages: Sequence[str]) -> None:
    """Delete the image's landings, and what was published of it just before its run ended, from these storages.

    What a storage can't delete now, reclaim and reconcile do later. A file that was sent for it goes as well.
    """
    with open_resources() as (settings, catalog):
        discard_source(image.source, settings)
        for name in storages:
            try:
                storage = open_image_storage(catalog.image_storage(name), settings)
                discard_landings(storage, image.id)
                storage.delete(image.id)
            except ImagewrightError as error:
                log.warning("the bytes of %s stay on %s until space is reclaimed: %s", image.id, name, error)


def discard_landings(storage: "ImageStorage", image_id: str) -> None:
    """Delete what is still landing of an image on a storage, converted or to be converted; what is published stays."""
    for landing in tuple(storage.landings()):
        if landing.landing_id.partition(".")[0] == image_id:
            storage.landing(landing.landing_id).discard()
