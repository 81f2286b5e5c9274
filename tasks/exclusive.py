"""One run at a time works on an image."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from catalog.errors import ImageBusy
from catalog.records import Lease
from tasks.resources import holder, is_dead, open_resources

if TYPE_CHECKING:
    from catalog.repository import Catalog

TURN_S = 3600.0


@contextmanager
def exclusive(image_id: str) -> Iterator[Lease]:
    """Hold the image's lock for the block; take it over from a holder that is dead. Raises ImageBusy.

    Give the lease to `catalog.changing` where being overtaken would hurt.
    """
    with (
        open_resources() as (_, catalog),
        catalog.locked(image_id, holder=holder(), is_dead=is_dead) as lease,
    ):
        yield lease


def own_lease(catalog: "Catalog", image_id: str) -> Lease | None:
    """Return our lock on the image, to make changes under; None if nobody holds one.

    Raises ImageBusy if somebody took it over: we were believed dead, and another process goes on with the image.
    """
    lease = catalog.lease(image_id)
    if lease.holder not in (None, holder()):
        raise ImageBusy(image_id, lease.holder)
    return lease if lease.holder else None


@contextmanager
def in_turn(name: str, wait_s: float = TURN_S) -> "Iterator[Lease]":
    """Hold a lock for the block, waiting for whoever has it now. Raises ImageBusy after `wait_s` seconds.

    For work whose result the waiting one can use as well: a second export, a second download to a cache.
    """
    deadline = time.monotonic() + wait_s
    with ExitStack() as stack, open_resources() as (_, catalog):
        while True:
            try:
                lease = stack.enter_context(catalog.locked(name, holder=holder(), is_dead=is_dead))
                break
            except ImageBusy:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield lease
