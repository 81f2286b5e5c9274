"""One run at a time works on an image."""

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.resources import holder, is_dead, open_resources


@contextmanager
def exclusive(image_id: str) -> Iterator[None]:
    """Hold the image's lock for the block; take it over from a holder that is dead. Raises ImageBusy."""
    with open_resources() as (_, catalog), catalog.locked(image_id, holder=holder(), is_dead=is_dead):
        yield
