"""Planning a reclaim of a directory with 10⁷ chips stays within 1 GiB, and its time grows linearly."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from catalog.records import Replica
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import index, manifest
from storage.imagestore.format.index import Table
from storage.imagestore.format.manifest import ENTRY, ManifestHeader
from storage.imagestore.format.pack import object_name
from storage.imagestore.objects.directory import DirectoryObjects
from storage.protocols import Digests
from tests.storage.stores import NOW, image

SEGMENT_CHIPS = 1 << 20
PACK_CHIPS = 300
IMAGE_CHIPS = 50_000
STORED = 50_000  # bytes of a chip
SCRIPT = """
import json, resource, sys, time
from pathlib import Path
from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.upkeep.reclaim import reclaim
from storage.imagestore.chip_store import ChipStore
chips = ChipStore(DirectoryObjects(Path(sys.argv[1])))
began = time.process_time()
plan = reclaim(chips, "growth", plan_only=True)
mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
print(json.dumps([time.process_time() - began, mib, plan.chips_kept]))
"""


def store_of(root: Path, count: int) -> int:
    """Make a store of `count` chips in packs without content, seven of ten used by images; return how many are used."""
    objects, rng, used = DirectoryObjects(root), np.random.default_rng(1), 0
    objects.prepare()
    ChipStore(objects)
    for number, first in enumerate(range(0, count, SEGMENT_CHIPS), start=1):
        table = _segment(rng, min(SEGMENT_CHIPS, count - first))
        objects.create(index.name_of(number), index.encode(table))
        for name in table.packs:
            _empty_pack(root / object_name(name.tobytes()))
        for start in range(0, len(table), IMAGE_CHIPS):
            if rng.random() < 0.7:
                used += _image_of(objects, table.digests[start : start + IMAGE_CHIPS])
    return used


def _segment(rng: np.random.Generator, count: int) -> Table:
    digests = rng.integers(0, 256, (count, 32), dtype=np.uint8)
    digests = digests[np.argsort(index.keys_of(digests))]
    pack = rng.permutation(np.arange(count) // PACK_CHIPS).astype(np.uint32)
    packs = rng.integers(0, 256, (-(-count // PACK_CHIPS), 32), dtype=np.uint8)
    return Table(
        packs, index.keys_of(digests), digests, pack, np.zeros(count, np.uint64), np.full(count, STORED, np.uint32),
        np.full(count, 65536, np.uint32), np.ones(count, np.uint8), np.zeros(count, np.uint32),
    )  # fmt: skip


def _empty_pack(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(PACK_CHIPS * (STORED + 41))


def _image_of(objects: DirectoryObjects, digests: index.U1) -> int:
    entries = np.zeros(len(digests), dtype=ENTRY)
    entries["length"], entries["digest"] = 65536, digests
    made = image()
    replica = Replica(
        image_id=made.id, image_storage="growth", status="Ready", format="raw", location="x", created_at=NOW
    )
    nothing = Digests(size_bytes=0, md5="0" * 32, sha256="0" * 64)
    header = ManifestHeader(image=made, replica=replica, digests=nothing, chips=len(entries))
    objects.put(f"manifests/{made.id}", manifest.encode(header, entries))
    return len(entries)


def planned(root: Path, count: int) -> tuple[float, int]:
    """Return CPU seconds and peak MiB of planning a reclaim of a store of `count` chips, in a process of its own."""
    used = store_of(root, count)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(root)], capture_output=True, text=True, check=True)
    seconds, mib, kept = json.loads(done.stdout)
    assert kept == used
    return seconds, mib


@pytest.mark.long
def test_ten_million_chips_are_planned_within_a_gibibyte_in_linear_time(tmp_path: Path) -> None:
    small_s, _ = planned(tmp_path / "small", 1_000_000)
    large_s, large_mib = planned(tmp_path / "large", 10_000_000)
    assert large_mib < 1024
    assert large_s < 25 * small_s  # linear, with room for caches that ten times the data no longer fit
    print(f"10^6: {small_s:.1f} s; 10^7: {large_s:.1f} s, {large_mib} MiB")
