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
from tasks.fail import let_go, withdraw
from tasks.resources import is_dead, open_resources, run_id

if TYPE_CHECKING:
    from catalog.change import Change
    from catalog.reading import Reading
    from catalog.repository import Catalog

WITHDRAW = "withdraw image"
ASK_EVERY_S = 1.0
WAIT_S = 30.0
"""How long a delete waits for the runs that bring its images in to end; afterwards the rest is deferred work."""


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
    if _is_unwanted(catalog, image_id):
        raise Withdrawn(image_id)


def _is_unwanted(catalog: "Reading", image_id: str) -> bool:
    return any(work.operation == WITHDRAW for work in catalog.pending(image_id=image_id))


def ask_withdrawal(catalog: "Catalog", image_id: str, account: str) -> Image | None:
    """Write down that an image which is still arriving is not wanted, and have its run cancelled; None if it is not arriving.

    Raises ImageNotFound, AccessDenied, IllegalTransition.
    """
    with catalog.changing(actor=account, run_id=run_id()) as change:
        image = owned(change, image_id, account, "delete")
        if status_after(image, "delete") is not GONE:
            return None
        change.defer(WITHDRAW, f"image:{image_id}", "it was deleted while it was arriving")
    _stop_run(catalog, image_id)
    return image


def order_withdrawal(catalog: "Catalog", image_id: str, reason: str) -> bool:
    """Have the process that adds an image end and take it back, wherever it runs; tell whether it was still to be told.

    Raises ImageNotFound, IllegalTransition.
    """
    with catalog.changing(actor="system", run_id=run_id()) as change:
        image = change.image(image_id)
        if status_after(image, "cancel") is not GONE or _is_unwanted(change, image_id):
            return False
        change.defer(WITHDRAW, f"image:{image_id}", reason)
    return True


def await_withdrawal(catalog: "Catalog", image: Image, account: str, deadline: float) -> Image:
    """Make an image that was asked to go vanish with its bytes, when its run has ended; return it as Deleted.

    deadline: on the monotonic clock; after it the image comes back as it was, and the rest is deferred work.
    """
    _wait_until_free(catalog, image.id, deadline)
    try:
        finish_withdrawal(catalog, image.id, account)
    except ImageBusy:
        return image
    return image.model_copy(update={"status": ImageStatus.DELETED, "deleted_at": now()})


def finish_withdrawal(catalog: "Catalog", image_id: str, account: str) -> None:
    """Delete what there is of the image and end the deferred work. Raises ImageBusy while its run goes on."""
    with exclusive(image_id):
        if not withdraw(image_id):
            _remove_failed(catalog, image_id, account)
    with catalog.changing(actor=account, run_id=run_id()) as change:
        _forget(change, image_id)


def _remove_failed(catalog: "Catalog", image_id: str, account: str) -> None:
    """Let an image go whose run failed by itself between the wish and the withdrawal."""
    with suppress(ImageNotFound):
        image = catalog.image(image_id)
        if image.status is not ImageStatus.ERROR:
            return
        let_go(catalog, image, account)


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


def _wait_until_free(catalog: "Catalog", image_id: str, deadline: float) -> None:
    while time.monotonic() < deadline:
        holder = catalog.lease(image_id).holder
        if holder is None or is_dead(holder):
            return
        with suppress(ImageNotFound):
            catalog.image(image_id)
            time.sleep(0.2)
            continue
        return
