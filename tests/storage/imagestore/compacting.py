"""Builds of one image, as they follow each other, and a store that is compacted."""

import random
import subprocess
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

from catalog.records import CompactionReport, Replica
from catalog.units import utc_now
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format.manifest import ManifestHeader
from storage.imagestore.format.parameters import Parameters
from storage.imagestore.reading import manifests
from storage.imagestore.storage import ImageStore
from storage.imagestore.upkeep.recipes import Holding
from storage.protocols import ObjectStore
from tests.storage.stores import image, land, record

PARAMETERS = Parameters(cell_bytes=4096, min_bytes=1024, average_bytes=4096, max_bytes=16384, pack_bytes=128 << 10)
LANDING = "compaction-test"


def build(number: int, size: int = 300_000, seed: int = 1) -> bytes:
    """Return a build: random bytes, of which a few in every 1,500 are others than in any other build."""
    data = bytearray(random.Random(seed).randbytes(size))
    chosen = random.Random(seed * 1000 + number)
    for at in range(chosen.randrange(1500), size - 8, 1500):
        data[at : at + 8] = chosen.randbytes(8)
    return bytes(data)


def compressed(data: bytes, folder: Path, *options: str) -> bytes:
    """Return a compressed qcow2 file with this disk, made by qemu."""
    raw, made = folder / "raw", folder / "made.qcow2"
    raw.write_bytes(data)
    subprocess.run(["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", *options, raw, made], check=True)
    return made.read_bytes()


def disk(number: int, size: int = 2 << 20, seed: int = 1) -> bytes:
    """Return a disk that compresses, with zeros at its end: a few words in every page are others than in any other build."""
    words = random.Random(seed).randbytes(64)
    chosen = random.Random(seed * 1000 + number)
    picked = random.Random(seed + 1)
    data = bytearray(b"".join(words[at : at + 8] for at in picked.choices(range(56), k=size // 8)))
    for at in range(chosen.randrange(4000), size - 8, 40_000):
        data[at : at + 8] = chosen.randbytes(8)
    return bytes(data) + bytes(256 << 10)


def add_qcow2(storage: ImageStore, data: bytes, image_id: str) -> Replica:
    """Add a file as a qcow2 image."""
    digests = land(storage, f"landing-{image_id}", data)
    described = image(image_id).model_copy(update={"name": "a disk", "format": "qcow2", "format_stored": "qcow2"})
    return storage.publish(f"landing-{image_id}", described, digests)


def compact(storage: ImageStore, budget_bytes: int | None = None, holding: Holding = nullcontext) -> CompactionReport:
    """Compact all images, however new."""
    return storage.compact(utc_now() + timedelta(days=1), LANDING, budget_bytes=budget_bytes, holding=holding)


def leaning(storage: ImageStore, image_id: str) -> int:
    """Return how many chips of an image lean on others."""
    places = storage.chips.load_view().locate(storage.pieces(image_id).data_digests)
    return int(places.leaning.sum())


def opened(objects: ObjectStore, *, recipes: bool = True) -> ImageStore:
    return ImageStore(record(recipes=recipes), objects, ChipStore(objects))


def header_of(storage: ImageStore, image_id: str) -> ManifestHeader:
    return manifests.read(storage.objects, image_id)[0]


def prove(storage: ImageStore, files: dict[str, bytes]) -> None:
    """Check that images read as the files that were added, and that all of them is there."""
    for image_id, data in files.items():
        assert storage.open(image_id).read_at(0, 1 << 30) == data
        assert storage.verify(image_id)[0].items == ()
