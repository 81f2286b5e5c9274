"""The add of a 1 MiB image against a bare Prefect flow with as many empty tasks, both on a running server. Prints JSON.

Run in a process that knows the server (PREFECT_API_URL) and a home of its own (IMAGEWRIGHT_HOME, IMAGEWRIGHT_FILE_ROOTS).
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from prefect import flow, task
from prefect.client.orchestration import get_client

import flows
from catalog.records import Record
from flows import requests

ROUNDS = 7


class Overhead(Record):
    """Medians of seconds; tasks: of one add."""

    ours: float
    bare: float
    tasks: int


@task
def nothing() -> None:
    """Do nothing."""


@flow
def bare(count: int) -> None:
    """Run empty tasks one after the other."""
    for _ in range(count):
        nothing()


def add(folder: Path) -> str:
    """Add an image of new random bytes; return its name."""
    path = folder / f"{uuid4()}.raw"
    path.write_bytes(os.urandom(1 << 20))
    asked = requests.AddVolumeImage(name=path.stem, image_format="raw", image_path=path.as_uri())
    flows.add_volume_image(asked)
    return path.stem


def task_runs() -> int:
    """Return how many task runs the server knows."""
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/task_runs/count", json={})
    return int(answer.json())


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main(folder: Path) -> Overhead:
    """Measure in turns, after one of each that nobody counts."""
    bare(1)
    add(folder)
    before = settled()
    add(folder)
    count = settled() - before
    pairs = [(seconds(lambda: add(folder)), seconds(lambda: bare(count))) for _ in range(ROUNDS)]
    return Overhead(
        ours=statistics.median(p[0] for p in pairs), bare=statistics.median(p[1] for p in pairs), tasks=count
    )


def settled() -> int:
    """Return the number of task runs once the server has recorded them all: it does so behind."""
    last = -1
    while (now := task_runs()) != last:
        last = now
        time.sleep(3)
    return last


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1])).model_dump_json() + "\n")
