"""How fast bytes may come into image storages: their own caps, shared with all other runs, and that of each transfer."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from storage.pacing import AllPaces, Pace, SharedPace, SteadyPace

if TYPE_CHECKING:
    from catalog.repository import Catalog


def pace_into(catalog: "Catalog", storages: Sequence[str], bandwidth_bytes_s: int = 0) -> Pace:
    """Return the pace of one transfer into image storages, by name; it asks the open catalog as the bytes come.

    bandwidth_bytes_s: cap of this transfer besides; 0: none. The first slice is taken, and waited for, at once.
    """
    shared: list[Pace] = [SharedPace(partial(catalog.next_slice, name)) for name in storages]
    return AllPaces([*shared, SteadyPace(bandwidth_bytes_s)] if bandwidth_bytes_s else shared)
