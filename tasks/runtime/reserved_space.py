"""Reserve room for bytes that count against no quota, exports and caches, and release it however the work ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tasks.runtime.holders import is_dead
from tasks.runtime.resources import changing

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

MARK = "#"


@contextmanager
def reserved_space(
    catalog: "Catalog",
    account: str,
    lock: str,
    what: str,
    place: str,
    available_bytes: int,
    needed: int,
    name: str = "",
) -> Iterator[None]:
    """Reserve room at a place for the block. Raises CapacityExceeded if it does not fit beside other reservations.

    lock: under which the work is done; reservations of dead holders are released, as their locks show.
    name: of the place, in the error; default: the place.
    """
    subject = f"{lock}{MARK}{what}"
    dead = {r.subject for r in catalog.reservations("") if _abandoned(catalog, r.subject)} - {subject}
    with changing(catalog, account) as change:
        for one in dead:
            change.release(one)
        change.reserve_room(subject=subject, place=place, size_bytes=needed, available_bytes=available_bytes, name=name)
    try:
        yield
    finally:
        with changing(catalog, account) as change:
            change.release(subject)


def _abandoned(catalog: "Catalog", subject: str) -> bool:
    lock, mark, _ = subject.partition(MARK)
    holder = catalog.lease(lock).holder
    return bool(mark) and (holder is None or is_dead(holder))
