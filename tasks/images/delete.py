"""Move images to the recycle bin, and recover them from it."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from catalog.errors import IllegalTransition, ImageNotFound
from catalog.log import events
from catalog.records import Action, Image, ImageStatus, Plan, ReplicaStatus, Volume
from catalog.rules.images.retention import retention_of
from catalog.rules.images.transitions import GONE, status_after
from catalog.settings import Settings
from catalog.store.ballast import freeing_room
from tasks.images import withdraw
from tasks.images.changes import allowed, ended, owned, plan_each
from tasks.images.withdraw import ask_withdrawal, await_withdrawal
from tasks.runtime.batches import Outcomes, for_each
from tasks.runtime.resources import changing, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.reading.reading import Reading


@task(task_run_name="delete images", **retrying())
@freeing_room()
def delete(image_ids: Sequence[str], account: str) -> Outcomes[Image]:
    """Move each image to the recycle bin; cancel one that is still arriving, and delete its bytes.

    An image already in the bin, or gone, is returned as it is: a delete that died can be started again.
    """
    with open_resources() as (_, catalog):
        begun = for_each(image_ids, lambda image_id: _begin(catalog, image_id, account))
        images = {image.id: image for image in begun.done}
        deadline = time.monotonic() + withdraw.WAIT_S  # one deadline for all: their runs end in parallel
        done = for_each(tuple(images), lambda i: _end(catalog, images[i], account, deadline))
    return Outcomes(done.done, begun.failed | done.failed)


def _begin(catalog: "Catalog", image_id: str, account: str) -> Image:
    """Return the image as binned, or, if it is still arriving, as it was when its withdrawal was requested."""
    while True:  # between the two an add may end, or may resume an image that had failed
        try:
            image = ask_withdrawal(catalog, image_id, account) or _binned(catalog, image_id, account)
        except ImageNotFound:
            return ended(catalog, image_id, account).model_copy(update={"status": ImageStatus.DELETED})
        if image is not None:
            return image


def _end(catalog: "Catalog", image: Image, account: str, deadline: float) -> Image:
    if image.status is ImageStatus.DELETED:
        return image
    return await_withdrawal(catalog, image, account, deadline)


def _binned(catalog: "Catalog", image_id: str, account: str) -> Image | None:
    """Move an image to the bin, detaching an ISO first, in one transaction; return None if it is arriving again."""
    with changing(catalog, account) as change:
        image, status = allowed(change, image_id, account, "delete")
        if status is GONE:
            return None
        if image.status is status:
            return image
        detached = attached(change, image)
        for volume in detached:
            change.remove_volume(volume.id, events.VOLUME_DETACHED)
        update = {"status": status, "deleted_at": change.now()}
        saved = change.save_image(image.model_copy(update=update), event=events.IMAGE_DELETED)
    emit(events.IMAGE_DELETED, saved, media=saved.media, detached=[volume.id for volume in detached])
    return saved


def attached(catalog: "Reading", image: Image) -> tuple[Volume, ...]:
    """Return the volumes that are the ISO file itself: they are read-only, so deleting them loses nothing."""
    if image.media != "ISO":
        return ()
    return tuple(v for v in catalog.volumes(image_id=image.id) if v.location == v.backing)


@task(task_run_name="recover images", **retrying())
def recover(image_ids: Sequence[str], account: str) -> Outcomes[Image]:
    """Recover each image from the recycle bin, byte for byte as it was."""
    with open_resources() as (_, catalog):
        return for_each(image_ids, lambda image_id: _recover(catalog, image_id, account))


def _recover(catalog: "Catalog", image_id: str, account: str) -> Image:
    with changing(catalog, account) as change:
        image, status = allowed(change, image_id, account, "recover")
        _refuse_half_expunged(change, image)
        update = {"status": status, "deleted_at": None}
        saved = change.save_image(image.model_copy(update=update), event=events.IMAGE_RECOVERED)
    emit(events.IMAGE_RECOVERED, saved)
    return saved


def _refuse_half_expunged(catalog: "Reading", image: Image) -> None:
    if any(r.status is ReplicaStatus.DELETING for r in catalog.replicas(image.id)):
        raise IllegalTransition(f"image {image.id}", "being expunged", "recover", ("in the recycle bin",))


@task(task_run_name="plan delete", **retrying())
def plan_delete(image_ids: Sequence[str], account: str) -> Plan:
    """Return what a delete would do with each image. Changes nothing."""
    with open_resources() as (settings, catalog):
        return plan_each(image_ids, "delete image", lambda i: _planned_delete(catalog, settings, i, account))


def _planned_delete(catalog: "Catalog", settings: Settings, image_id: str, account: str) -> tuple[Action, ...]:
    image = owned(catalog, image_id, account, "delete")
    subject, size = f"image:{image_id}", image.size_bytes or 0
    if image.status is ImageStatus.DELETED:
        return ()
    if status_after(image, "delete") is GONE:
        gone = "it is still arriving and vanishes with its bytes"
        return (Action(verb="cancel", subject=subject, reason=gone),)
    retention = retention_of(catalog.account(image.owner), settings)
    stay = {
        "direct": "it is expunged at once",
        "never": "it stays there until it is expunged by hand",
        "delay": f"it is expunged after {retention.days:g} days",
    }[retention.policy]
    return (
        *(
            Action(verb="detach ISO", subject=f"volume:{v.id}", reason=f"{v.name} of {v.owner}")
            for v in attached(catalog, image)
        ),
        Action(verb="move to the recycle bin", subject=subject, bytes=size, reason=stay),
    )


@task(task_run_name="plan recovery", **retrying())
def plan_recover(image_ids: Sequence[str], account: str) -> Plan:
    """Return what a recovery would do with each image. Changes nothing."""
    with open_resources() as (_, catalog):
        return plan_each(image_ids, "recover image", lambda i: (_planned_recovery(catalog, i, account),))


def _planned_recovery(catalog: "Catalog", image_id: str, account: str) -> Action:
    image, status = allowed(catalog, image_id, account, "recover")
    _refuse_half_expunged(catalog, image)
    return Action(verb="recover", subject=f"image:{image_id}", bytes=image.size_bytes or 0, reason=f"to {status}")


@task(task_run_name="find what is expunged at once", **retrying())
def expunged_at_once(images: Sequence[Image]) -> tuple[str, ...]:
    """Return the ids of deleted images whose account keeps no recycle bin."""
    with open_resources() as (settings, catalog):
        return tuple(
            image.id
            for image in images
            if image.version and retention_of(catalog.account(image.owner), settings).policy == "direct"
        )
