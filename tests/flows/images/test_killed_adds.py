"""Fifty adds at once against a quota of ten, a part of them killed on the way: the reservations are exact all the same."""

import signal
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import QuotaExceeded
from catalog.records import Account, Usage
from catalog.settings import load_settings
from tasks.add.register import register
from tasks.add.reservation import reserve
from tasks.images.delete import delete
from tests.flows.managed import MIB, blank

pytestmark = pytest.mark.usefixtures("home")
SOURCE = "http://example.org/x"
QUOTA, PROCESSES, EACH = 10, 5, 10
ADDS = """
import sys
from threading import Thread
from tests.flows.images.test_killed_adds import add

print("ready", flush=True)
sys.stdin.readline()
threads = [Thread(target=add, args=(image_id,)) for image_id in sys.argv[1:]]
for thread in threads:
    thread.start()
"""


def add(image_id: str) -> bool:
    """Do what an add does before its first byte; tell whether the quota let it."""
    try:
        image = register.fn(blank(id=image_id, owner="bob", image_storages=("default",), source=SOURCE))
        with open_catalog() as catalog:
            reserve(catalog, load_settings(), image, MIB)
    except QuotaExceeded:
        return False
    return True


def usage() -> Usage:
    with open_catalog() as catalog:
        return catalog.usage("bob")


def reserved() -> dict[str, int]:
    """Return the bytes that each image on its way holds."""
    with open_catalog() as catalog:
        return {r.subject.removeprefix("image:"): r.size_bytes for r in catalog.reservations("bob")}


def started(ids: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", ADDS, *ids], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("pause_s", [pytest.param(0.02, marks=pytest.mark.long), 0.1])
def test_fifty_adds_of_which_some_are_killed_hold_exactly_the_quota(
    pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_account(Account(name="bob", quota_images=QUOTA, created_at=datetime.now(UTC)))
    ids = [[str(uuid.uuid4()) for _ in range(EACH)] for _ in range(PROCESSES)]
    processes = [started(some) for some in ids]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    time.sleep(pause_s)
    for process in processes[1::2]:
        process.send_signal(signal.SIGKILL)
    for process in processes:
        process.communicate(timeout=60)
    holders = reserved()
    assert usage().reserved_images == len(holders) == QUOTA
    assert usage().reserved_bytes == sum(holders.values())  # less than one each where a process died before its size
    again = [image_id for some in ids[1::2] for image_id in some]
    accepted = {image_id for image_id in again if add(image_id)}
    assert accepted == holders.keys() & set(again)  # who held a place holds the same one, nobody else got one
    assert reserved() == dict.fromkeys(holders, MIB)
    assert (usage().reserved_images, usage().reserved_bytes, usage().images) == (QUOTA, QUOTA * MIB, 0)
    delete.fn(tuple(holders), "bob")
    assert (usage().reserved_images, usage().reserved_bytes, usage().images) == (0, 0, 0)
    assert sum(add(str(uuid.uuid4())) for _ in range(QUOTA + 2)) == QUOTA
