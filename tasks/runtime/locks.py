"""One run at a time works on an image."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

from catalog.errors import ImageBusy
from catalog.records import Lease
from tasks.runtime.holders import holder, is_dead
from tasks.runtime.resources import open_resources

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.leases import Together

TURN_S = 3600.0


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
