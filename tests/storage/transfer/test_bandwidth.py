"""All that comes into a storage stays under its cap together, in several processes; a lone transfer has nearly all of it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.repository.bandwidth import Slice
from storage.transfer.bandwidth import LOOK_EVERY_S, AllPaces, SharedPace, SteadyPace
from tests.services.faulty_http import Faults, FaultyHttp, faulty_http

MIB = 1 << 20
CAP = 8 * MIB
WINDOW_S = 2.0
WARM = 6 * MIB  # of each: by then the kernels' buffers are full, and what is sent is what is read
MOST = int(1.25 * CAP * WINDOW_S) + WARM
"""What may be sent within a window: a server that had to wait fills the buffers of one connection again, faster than they are read.

Two processes that each took the whole cap would send 2 * CAP * WINDOW_S, which is more.
"""
Sample = tuple[float, tuple[int, ...]]


@pytest.fixture
def capped(home: Path) -> Path:
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        known = change.image_storage("default")
        change.save_image_storage(known.model_copy(update={"bandwidth_bytes_s": CAP}))
    return home


@contextmanager
def adding(url: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "tests.tasks.add.paced_add", url])
    try:
        yield process
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def watch(servers: tuple[FaultyHttp, ...], running: Callable[[], bool]) -> list[Sample]:
    """Return what the servers sent so far, moment by moment."""
    samples: list[Sample] = []
    while running():
        samples.append((time.monotonic(), tuple(server.body_bytes for server in servers)))
        time.sleep(0.02)
    return samples


def most_in_a_window(samples: list[Sample]) -> int:
    """Return the most bytes that all servers together sent within a window, once all had begun."""
    warm = [(at, sum(sent)) for at, sent in samples if min(sent) > WARM]
    return max(later - earlier for at, earlier in warm for then, later in warm if 0 < then - at <= WINDOW_S)


def test_two_processes_stay_under_the_cap_together(capped: Path) -> None:
    with faulty_http() as one, faulty_http() as other:
        urls = [server.serve("/image", Faults(content=os.urandom(32 * MIB))) for server in (one, other)]
        with adding(urls[0]) as first, adding(urls[1]) as second:
            samples = watch((one, other), lambda: first.poll() is None or second.poll() is None)
    together = [at for at, sent in samples if min(sent) > WARM and max(sent) < 31 * MIB]
    assert together[-1] - together[0] > WINDOW_S, "they did not run side by side"
    assert most_in_a_window(samples) <= MOST < 2 * CAP * WINDOW_S


def test_a_lone_one_uses_nearly_the_whole_cap(capped: Path) -> None:
    with faulty_http() as server:
        url = server.serve("/image", Faults(content=os.urandom(32 * MIB)))
        with adding(url) as process:
            samples = watch((server,), lambda: process.poll() is None)
    assert 0.8 * CAP * WINDOW_S <= most_in_a_window(samples) <= MOST


def test_a_cap_that_is_given_later_is_followed() -> None:
    granted: list[Slice | None] = [None, Slice(0.0, 1000)]
    pace = SharedPace(lambda _: granted[0] if len(granted) > 1 else None)
    pace.spend(10**12)
    granted.pop(0)
    granted.append(None)
    time.sleep(LOOK_EVERY_S + 0.05)
    pace.spend(500)
    assert pace.burst_bytes < 10**6
    granted.pop()
    pace.spend(10**12)
    assert pace.burst_bytes > 10**12


def test_the_lowest_of_several_caps_rules() -> None:
    pace = AllPaces([SteadyPace(10**9), SteadyPace(4_000_000)])
    began = time.monotonic()
    pace.spend(1_000_000)
    assert time.monotonic() - began >= 0.24
    assert pace.burst_bytes == 500_000
