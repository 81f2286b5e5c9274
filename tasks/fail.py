"""What happens when an add ends badly: nothing is left behind, or all that is needed to go on."""

from contextlib import suppress

from prefect import task

from catalog.errors import ImageNotFound, ImagewrightError, StorageError
from catalog.records import Image, ImageStatus
from tasks.events import emit
from tasks.resources import open_image_storage, open_resources, run_id
from tasks.room import subject_of


@task(task_run_name="give up on {image.name}")
def fail(image: Image, sentence: str, resumable: bool) -> Image:
    """Mark the image Error with the sentence; unless it can be resumed, delete its landings and give its room back."""
    with open_resources() as (_, catalog):
        if not resumable:
            discard_landings(image)
        with catalog.changing(actor=image.owner, run_id=run_id()) as change:
            known = change.image(image.id)
            failed = known.model_copy(update={"status": ImageStatus.ERROR, "error": sentence})
            saved = change.save_image(failed, event="imagewright.image.failed")
            if not resumable:
                change.release(subject_of(image.id))
    emit("image.failed", saved, error=sentence, resumable=resumable)
    return saved


def withdraw(image_id: str) -> None:
    """Make an image that was still arriving vanish with its bytes: a cancelled add leaves nothing behind."""
    with open_resources() as (_, catalog), suppress(ImageNotFound):
        image = catalog.image(image_id)
        if image.status not in (ImageStatus.CREATING, ImageStatus.DOWNLOADING):
            return
        discard_landings(image)
        with catalog.changing(actor=image.owner, run_id=run_id()) as change:
            for replica in tuple(change.replicas(image_id)):
                change.remove_replica(image_id, replica.image_storage)
            change.release(subject_of(image.id))
            change.remove_image(image_id, event="imagewright.image.cancelled")


def discard_landings(image: Image) -> None:
    """Delete every landing of the image, converted ones too. A storage that can't be reached is left to reclaim."""
    with open_resources() as (settings, catalog):
        for name in image.image_storages:
            with suppress(StorageError, ImagewrightError):
                storage = open_image_storage(catalog.image_storage(name), settings)
                for landing in tuple(storage.landings()):
                    if landing.landing_id.partition(".")[0] == image.id:
                        storage.landing(landing.landing_id).discard()
