"""Which packs to drop and which to rewrite: pure, linear arithmetic on columns, tens of bytes per chip."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage.imagestore.format.index import I8, U4, U8, Flags, distinct, member
from storage.imagestore.format.pack import RECORD

Sizes = npt.NDArray[np.int64]
SPARSE = 0.5  # a pack with less than this fraction in use is rewritten
FEW = 8  # this many small packs are joined


@dataclass(frozen=True, slots=True, eq=False)
class PackPlan:
    """Numbers of packs in order. condemned: sorted keys of chips that go with them."""

    drop: I8
    repack: I8
    condemned: U8
    chips_kept: int
    chips_freed: int
    bytes_freed: int


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """The columns of an index that the plan needs, 16 bytes per chip: each chip once, with the number of its pack."""

    keys: U8
    pack: U4
    stored: U4


def plan_reclaim(
    places: Places, pack_sizes: Sizes, live: U8, small_bytes: int, sparse_below: float = SPARSE
) -> PackPlan:
    """Decide for each pack. live: sorted keys of chips that something needs.

    pack_sizes: bytes of each pack by number. A pack without live chips is dropped. A sparse one is rewritten without
    its garbage; small ones (below small_bytes) are joined once there are several. Keys are compared, not digests: if
    two chips share a key, both count as live, which is the safe side. sparse_below: the fraction in use.
    """
    alive = member(live, places.keys)
    used = _bytes_in_use(places, alive, len(pack_sizes))
    drop = used == 0
    sparse = ~drop & (used < sparse_below * pack_sizes)
    small = ~drop & (pack_sizes < small_bytes)
    repack = sparse | small if int(small.sum()) >= FEW else sparse
    going = (drop | repack)[places.pack] & ~alive
    freed = int(pack_sizes[drop].sum() + (pack_sizes[repack] - used[repack]).sum())
    return PackPlan(
        np.flatnonzero(drop),
        np.flatnonzero(repack),
        distinct(places.keys[going]),
        int(alive.sum()),
        int(going.sum()),
        max(0, freed),
    )


def _bytes_in_use(places: Places, alive: Flags, packs: int) -> Sizes:
    """Return for each pack the bytes of its live records."""
    weights = places.stored[alive].astype(np.float64) + RECORD.size
    return np.bincount(places.pack[alive], weights=weights, minlength=packs).astype(np.int64)
