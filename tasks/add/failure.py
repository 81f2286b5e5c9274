"""What happens when an add ends badly: nothing is left behind, or all that is needed to go on."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect.logging import get_logger

from catalog.errors import CatalogUnavailable, IllegalTransition, ImageBusy, ImageNotFound, ImagewrightError
from catalog.log import events
from catalog.records import Image
from catalog.rules.images.transitions import GONE, status_after
from catalog.settings import load_settings
from catalog.store.ballast import freeing_room
from storage.replicas.landings import discard_landings
from storage.transfer import receive_buffer
from tasks.add.reservation import lacking, subject_of
from tasks.replicas.landings import open_to_delete
from tasks.runtime.locks import own_lease
from tasks.runtime.resources import changing, open_resources
from tasks.runtime.retries import once
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import task
from tasks.runtime.uploads import discard_source

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog


log = get_logger("imagewright.fail")


@task(
    task_run_name="give up on {image.name}",
    **once("it ends what failed; recover-runs goes on where it can not"),
)
@freeing_room()
def fail(image: Image, sentence: str, resumable: bool) -> Image:
    """Mark the image Error with the sentence; unless it can be resumed, delete its landings and give its room back.

    An image that was deleted meanwhile, became Ready, or is gone on with by another process is left as it is.
    """
    with suppress(ImageBusy, ImageNotFound, IllegalTransition):
        return mark_failed(image, sentence, resumable)
    return image


@freeing_room()
def mark_failed(image: Image, sentence: str, resumable: bool) -> Image:
    """Do what `fail` does. Raises ImageBusy if another process works on the image, ImageNotFound, IllegalTransition."""
    with open_resources() as (_, catalog):
        lease = own_lease(catalog, image.id)
        status_after(catalog.image(image.id), "fail")
        without = lacking(catalog, image)
        if not resumable:
            discard_bytes(image, without)
        with changing(catalog, image.owner, lease) as change:
            known = change.image(image.id)
            update = {"status": status_after(known, "fail"), "error": sentence}
            saved = change.save_image(known.model_copy(update=update), event=events.IMAGE_FAILED)
            if not resumable:
                change.release(subject_of(image.id))
    tell_failed(saved, sentence, resumable)
    return saved


def note_waiting(image: Image, sentence: str) -> None:
    """Let the image say for what its add waits; its landings and its room are kept."""
    with (
        suppress(ImageBusy, ImageNotFound, IllegalTransition, CatalogUnavailable),
        open_resources() as (_, catalog),
    ):
        lease = own_lease(catalog, image.id)
        with changing(catalog, image.owner, lease) as change:
            known = change.image(image.id)
            update = {"status": status_after(known, "download"), "error": sentence}
            change.save_image(known.model_copy(update=update), event=events.IMAGE_WAITING)


def tell_failed(image: Image, sentence: str, resumable: bool) -> None:
    """Emit that an add has failed, with what is known of the bytes by now."""
    known = {"md5": image.md5, "size_bytes": image.size_bytes}
    emit(events.IMAGE_FAILED, image, error=sentence, resumable=resumable, **known)


def worked_on(image_id: str, run: str) -> bool:
    """Tell whether a run ever changed the image."""
    with open_resources() as (_, catalog):
        return any(event.run_id == run for event in catalog.events(image_id))


@freeing_room()
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
    return True


@freeing_room()
def let_go(catalog: "Catalog", image: Image, actor: str) -> None:
    """Delete an image that never became Ready with its bytes; what a storage can't delete now is deferred work.

    A file that was sent for it by the account that owns it goes as well.
    """
    kept = discard_bytes(image, image.image_storages)
    with changing(catalog, actor) as change:
        for name, reason in kept.items():
            for operation in ("delete landing", "delete replica"):
                change.defer(operation, f"replica:{image.id}@{name}", reason, storage=name)
        for replica in tuple(change.replicas(image.id)):
            change.remove_replica(image.id, replica.image_storage)
        change.remove_image(image.id, event=events.IMAGE_CANCELLED)
    discard_source(image.source, load_settings(), image.owner)
    emit(events.IMAGE_CANCELLED, image)


def discard_bytes(image: Image, storages: Sequence[str]) -> Mapping[str, str]:
    """Delete the image's landings, and what was published of it just before its run ended, from these storages.

    Returns the storages that can't delete it now, each with its reason. A file that was sent for it stays: it may be
    added as what it is.
    """
    kept = {}
    with open_resources() as (settings, catalog):
        for name in storages:
            try:
                storage = open_to_delete(catalog, settings, name)
                discard_landings(storage, image.id)
                storage.delete(image.id)
            except ImagewrightError as error:
                log.warning("the bytes of %s stay on %s for now: %s", image.id, name, error)
                kept[name] = str(error)
        receive_buffer.forget(settings, image.id)
    return kept
