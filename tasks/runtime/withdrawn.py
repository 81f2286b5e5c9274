"""An add that is not wanted any more stops."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from catalog.errors import CatalogUnavailable, Withdrawn
from catalog.records import Image, Lease
from catalog.rules.images.transitions import GONE, status_after
from storage.protocols import Progress
from tasks.runtime.locks import image_lock
from tasks.runtime.resources import changing, open_resources

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.repository.change import Change
    from catalog.repository.reading.reading import Reading


WITHDRAW = "withdraw image"
ASK_EVERY_S = 1.0


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
