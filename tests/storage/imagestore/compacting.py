"""Builds of one image, as they follow each other, and a store that is compacted."""

import random
from datetime import timedelta

from catalog.records import CompactionReport
from catalog.units import utc_now
from storage.imagestore.format.parameters import Parameters
from storage.imagestore.storage import ImageStore

PARAMETERS = Parameters(cell_bytes=4096, min_bytes=1024, average_bytes=4096, max_bytes=16384, pack_bytes=128 << 10)
LANDING = "compaction-test"


def build(number: int, size: int = 300_000, seed: int = 1) -> bytes:
    """Return a build: random bytes, of which a few in every 1,500 are others than in any other build."""
    data = bytearray(random.Random(seed).randbytes(size))
    chosen = random.Random(seed * 1000 + number)
    for at in range(chosen.randrange(1500), size - 8, 1500):
        data[at : at + 8] = chosen.randbytes(8)
    return bytes(data)


def compact(storage: ImageStore, budget_bytes: int | None = None) -> CompactionReport:
    """Compact all images, however new."""
    return storage.compact(utc_now() + timedelta(days=1), LANDING, budget_bytes=budget_bytes)


def leaning(storage: ImageStore, image_id: str) -> int:
    """Return how many chips of an image lean on others."""
    places = storage.chips.load_view().locate(storage.pieces(image_id).data_digests)
    return int(places.leaning.sum())
