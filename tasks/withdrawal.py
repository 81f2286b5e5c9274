"""Deleting an image that is still arriving: its run is told, stopped where it can be, and nothing of it is kept."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from prefect.exceptions import PrefectException

from catalog.errors import ImageBusy, ImageNotFound, Withdrawn
from catalog.records import Image, ImageStatus
from catalog.rules.transitions import GONE, status_after
from storage.protocols import Progress
from tasks.changing import now, owned
from tasks.exclusive import exclusive
from tasks.fail import withdraw
from tasks.resources import is_dead, open_resources, run_id

if TYPE_CHECKING:
    from catalog.change import Change
    from catalog.reading import Reading
    from catalog.repository import Catalog

WITHDRAW = "withdraw image"
ASK_EVERY_S = 1.0
WAIT_S = 30.0
"""How long a delete waits for the run that brings the image in to end; afterwards the rest is deferred work."""


class StopsWhenWithdrawn:
    """A progress callback that ends the transfer of an image that was deleted meanwhile, by raising Withdrawn."""

    def __init__(self, progress: Progress, image_id: str) -> None:
        self._progress, self._image_id = progress, image_id
        self._asked_at = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        """Pass the figures on; once a second, look whether the image is still wanted."""
        self._progress(done, total)
        if time.monotonic() - self._asked_at >= ASK_EVERY_S:
            self._asked_at = time.monotonic()
            with open_resources() as (_, catalog):
                refuse_withdrawn(catalog, self._image_id)


def refuse_withdrawn(catalog: "Reading", image_id: str) -> None:
    """Raise Withdrawn if the image was deleted while it was arriving."""
    if any(work.operation == WITHDRAW for work in catalog.pending(image_id=image_id)):
        raise Withdrawn(image_id)


def cancel_arrival(catalog: "Catalog", image_id: str, account: str) -> Image | None:
    """Make an image that is still arriving vanish with its bytes; None if it is not arriving (any more).

    Returns it as Deleted; where its run could not be stopped in time, as it is: then the rest is deferred work.
    Raises ImageNotFound, AccessDenied, IllegalTransition.
    """
    with catalog.changing(actor=account, run_id=run_id()) as change:
        image = owned(change, image_id, account, "delete")
        if status_after(image, "delete") is not GONE:
            return None
        change.defer(WITHDRAW, f"image:{image_id}", "it was deleted while it was arriving")
    _stop_run(catalog, image_id)
    _wait_until_free(catalog, image_id)
    try:
        finish_withdrawal(catalog, image_id, account)
    except ImageBusy:
        return image
    return image.model_copy(update={"status": ImageStatus.DELETED, "deleted_at": now()})


def finish_withdrawal(catalog: "Catalog", image_id: str, account: str) -> None:
    """Delete what there is of the image and end the deferred work. Raises ImageBusy while its run goes on."""
    with exclusive(image_id):
        withdraw(image_id)
    with catalog.changing(actor=account, run_id=run_id()) as change:
        _forget(change, image_id)


def _forget(change: "Change", image_id: str) -> None:
    for work in tuple(change.pending(image_id=image_id)):
        if work.operation == WITHDRAW:
            change.remove_deferred(work.id)


def _stop_run(catalog: "Catalog", image_id: str) -> None:
    """Have the run of a deployment cancelled; its worker ends the process. Others see the deferred work and stop."""
    holder = catalog.lease(image_id).holder
    with suppress(PrefectException, httpx.HTTPError, ValueError):
        _cancel(UUID((holder or "").partition("@")[0]))


def _cancel(run: UUID) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelling

    with get_client(sync_client=True) as client:
        known = client.read_flow_run(run)
        watched = known.deployment_id is not None
        if watched and known.state is not None and not known.state.is_final():
            client.set_flow_run_state(run, Cancelling(message="its image was deleted"))


def _wait_until_free(catalog: "Catalog", image_id: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        holder = catalog.lease(image_id).holder
        if holder is None or is_dead(holder):
            return
        with suppress(ImageNotFound):
            catalog.image(image_id)
            time.sleep(0.2)
            continue
        return
