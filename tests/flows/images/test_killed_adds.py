"""Fifty adds at once against a quota of ten, a part of them killed on the way: the reservations are exact all the same."""

import os
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
import os
import sys
from threading import Thread
from tests.flows.images.test_killed_adds import add

begin, held = os.pipe()
for ids in sys.argv[1:]:
    if child := os.fork():
        print(child, flush=True)
        continue
    os.close(held)
    os.read(begin, 1)
    threads = [Thread(target=add, args=(image_id,)) for image_id in ids.split()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)
sys.stdin.readline()
os.close(held)
for _ in sys.argv[1:]:
    os.wait()
"""
"""A process that loads what adds need, and as many forks of it as there are arguments, which begin together."""


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


def killed_on_the_way(ids: list[list[str]], pause_s: float) -> None:
    """Add images in processes that begin together, and kill every other one after a while."""
    command = [sys.executable, "-c", ADDS, *(" ".join(some) for some in ids)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        forks = [int(parent.stdout.readline()) for _ in ids]
        assert parent.stdin is not None
        parent.stdin.write("go\n")
        parent.stdin.flush()
        time.sleep(pause_s)
        for fork in forks[1::2]:
            os.kill(fork, signal.SIGKILL)
        parent.communicate(timeout=60)
    assert parent.returncode == 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("pause_s", [pytest.param(0.02, marks=pytest.mark.long), 0.1])
def test_fifty_adds_of_which_some_are_killed_hold_exactly_the_quota(
    pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_account(Account(name="bob", quota_images=QUOTA, created_at=datetime.now(UTC)))
    ids = [[str(uuid.uuid4()) for _ in range(EACH)] for _ in range(PROCESSES)]
    killed_on_the_way(ids, pause_s)
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
