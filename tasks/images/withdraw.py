"""Delete an image that is still arriving: cancel its run if possible, and keep none of its bytes."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from prefect.exceptions import PrefectException

from catalog.errors import ImageBusy, ImageNotFound
from catalog.records import Image, ImageStatus
from catalog.rules.images.transitions import GONE
from catalog.rules.upkeep.recovery import run_at_work
from tasks.add.failure import let_go, withdraw
from tasks.images.changes import allowed
from tasks.runtime.holders import is_dead
from tasks.runtime.locks import WITHDRAW, image_lock
from tasks.runtime.resources import changing

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.change import Change


WAIT_S = 30.0
"""How long a delete waits for the adds of its images to end; afterwards the rest is deferred work."""


def ask_withdrawal(catalog: "Catalog", image_id: str, account: str) -> Image | None:
    """Record the withdrawal of an arriving image and have its run cancelled; return None if the image is not arriving.

    Raises ImageNotFound, AccessDenied, IllegalTransition.
    """
    with changing(catalog, account) as change:
        image, status = allowed(change, image_id, account, "delete")
        if status is not GONE:
            return None
        change.defer(WITHDRAW, f"image:{image_id}", "it was deleted while it was arriving")
    _stop_run(catalog, image_id)
    return image


def await_withdrawal(catalog: "Catalog", image: Image, account: str, deadline: float) -> Image:
    """Remove a withdrawn image with its bytes once its run has ended; return it as Deleted.

    deadline: on the monotonic clock; after it the image is returned unchanged, and the rest is deferred work.
    """
    _wait_until_free(catalog, image.id, deadline)
    try:
        finish_withdrawal(catalog, image.id, account)
    except ImageBusy:
        return image
    return image.model_copy(update={"status": ImageStatus.DELETED, "deleted_at": catalog.now()})


def finish_withdrawal(catalog: "Catalog", image_id: str, account: str) -> None:
    """Delete the image's bytes and end the deferred work. Raises ImageBusy while its run goes on."""
    with image_lock(image_id):
        if not withdraw(image_id):
            _remove_failed(catalog, image_id, account)
    with changing(catalog, account) as change:
        _forget(change, image_id)


def _remove_failed(catalog: "Catalog", image_id: str, account: str) -> None:
    """Remove an image whose run failed by itself before the withdrawal was carried out."""
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
    """Cancel the run if it is a deployment's; its worker ends the process.

    Other runs see the deferred work and stop.
    """
    holder = catalog.lease(image_id).holder
    waiting = run_at_work(catalog.events(image_id))  # a waiting run holds no lock
    with suppress(PrefectException, httpx.HTTPError, ValueError):
        _cancel(UUID((holder or waiting or "").partition("@")[0]))


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
