"""One run at a time works on an image, and an add that is not wanted any more stops."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from catalog.errors import CatalogUnavailable, ImageBusy, Withdrawn
from catalog.records import Image, Lease
from catalog.rules.images.transitions import GONE, status_after
from tasks.runtime.holders import holder, is_dead
from tasks.runtime.resources import changing, open_resources

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.change import Change
    from catalog.repository.leases import Together
    from catalog.repository.reading.reading import Reading

TURN_S = 3600.0
WITHDRAW = "withdraw image"
"""The operation under which it is known that an add is not wanted any more."""


@contextmanager
def image_lock(image_id: str) -> Iterator[Lease]:
    """Hold the image's lock for the block; take it over from a holder that is dead. Raises ImageBusy.

    Give the lease to `catalog.changing` where being overtaken would hurt.
    """
    with open_resources() as (_, catalog), held(catalog, image_id) as lease:
        yield lease


def held(catalog: "Catalog", name: str) -> AbstractContextManager[Lease]:
    """Hold a lock for the block, as `image_lock` does an image's. Raises ImageBusy."""
    return catalog.locked(name, holder(), is_dead=is_dead)


def held_together(catalog: "Catalog", image_ids: Sequence[str]) -> "AbstractContextManager[Together]":
    """Hold the locks of many images for the block; those of others are named, not waited for."""
    return catalog.locked_together(image_ids, holder(), is_dead=is_dead)


def own_lease(catalog: "Catalog", image_id: str) -> Lease | None:
    """Return our lock on the image, to make changes under; None if nobody holds one.

    Raises ImageBusy if somebody took it over: we were believed dead, and another process goes on with the image.
    """
    lease = catalog.lease(image_id)
    if lease.holder not in (None, holder()):
        raise ImageBusy(image_id, lease.holder)
    return lease if lease.holder else None


@contextmanager
def waiting_turn(name: str, wait_s: float = TURN_S) -> "Iterator[Lease]":
    """Hold a lock for the block, waiting for whoever has it now. Raises ImageBusy after `wait_s` seconds.

    For work whose result the waiting one can use as well: a second export, a second download to a cache.
    """
    deadline = time.monotonic() + wait_s
    with ExitStack() as stack, open_resources() as (_, catalog):
        while True:
            try:
                lease = stack.enter_context(held(catalog, name))
                break
            except ImageBusy:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield lease


def export_lock(image_id: str) -> str:
    """Return the name of the lock under which an image's exports are made: reading an image is no work on the image itself."""
    return f"export:{image_id}"


@contextmanager
def held_while_waiting(image_id: str) -> "Iterator[Callable[[], None]]":
    """Hold the lock of an image whose add waits, else it would look like one that nobody works on.

    Yields what raises Withdrawn once nobody wants it any more. A catalog that is away has no lock and knows of no wish.
    """

    def look() -> None:
        with suppress(CatalogUnavailable), open_resources() as (_, catalog):
            refuse_withdrawn(catalog, image_id)

    with ExitStack() as stack:
        with suppress(CatalogUnavailable):
            stack.enter_context(image_lock(image_id))
        yield look


@contextmanager
def changing_add(catalog: "Catalog", image: Image, lease: Lease | None) -> "Iterator[Change]":
    """Change what an add of ours brings in, as `changing` does. Raises Withdrawn if the image was deleted meanwhile."""
    with changing(catalog, image.owner, lease) as change:
        refuse_withdrawn(change, image.id)
        yield change


def refuse_withdrawn(catalog: "Reading", image_id: str) -> None:
    """Raise Withdrawn if the image was deleted while it was arriving."""
    if _is_unwanted(catalog, image_id):
        raise Withdrawn(image_id)


def _is_unwanted(catalog: "Reading", image_id: str) -> bool:
    return any(work.operation == WITHDRAW for work in catalog.pending(image_id=image_id))


def order_withdrawal(catalog: "Catalog", image_id: str, reason: str) -> bool:
    """Have the process that adds an image end and take it back, wherever it runs; tell whether it was still to be told.

    Raises ImageNotFound, IllegalTransition.
    """
    with changing(catalog, "system") as change:
        image = change.image(image_id)
        if status_after(image, "cancel") is not GONE or _is_unwanted(change, image_id):
            return False
        change.defer(WITHDRAW, f"image:{image_id}", reason)
    return True
