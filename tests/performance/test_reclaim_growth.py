"""Planning a reclaim of 10⁷ chips stays within 1 GiB, and its time grows linearly."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource, sys, time
import numpy as np
from storage.chips.reclaim_plan import Places, plan_reclaim
count = int(sys.argv[1])
rng = np.random.default_rng(1)
keys = np.sort(rng.integers(0, 1 << 63, count, dtype=np.uint64))
places = Places(keys, (np.arange(count) // 300).astype(np.uint32), np.full(count, 50_000, np.uint32))
places = Places(keys, rng.permutation(places.pack), places.stored)
live = keys[rng.random(count) < 0.7]
sizes = np.full(count // 300 + 1, 16 << 20, dtype=np.int64)
began = time.process_time()
plan = plan_reclaim(places, sizes, live, 8 << 20)
print(json.dumps([time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, plan.chips_kept]))
"""


def planned(count: int) -> tuple[float, int, int]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(count)], capture_output=True, text=True, check=True
    )
    seconds, mib, kept = json.loads(done.stdout)
    return seconds, mib, kept


@pytest.mark.long
def test_ten_million_chips_are_planned_within_a_gibibyte_in_linear_time() -> None:
    small_s, _, _ = planned(1_000_000)
    large_s, large_mib, kept = planned(10_000_000)
    assert 6_900_000 < kept < 7_100_000
    assert large_mib < 1024
    assert large_s < 25 * small_s  # linear, with room for caches that ten times the data no longer fit
