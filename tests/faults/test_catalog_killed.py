"""Processes that die while they change the catalog leave it exact: reservations, the log, locks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from catalog import errors, open_catalog
from catalog.records import Account
from tests.catalog.samples import START, opened
from tests.services.postgresql import url_of

ADDS = """
import sys
from datetime import UTC, datetime
from catalog import errors, open_catalog
from catalog.records import Image
url, first = sys.argv[1], int(sys.argv[2])
with open_catalog(url) as catalog:
    print("ready", flush=True)
    for number in range(first, first + 100_000):
        now = datetime.now(UTC)
        image = Image(id=f"i{number}", name="x", format="raw", format_stored="raw", status="Downloading", owner="bob",
                      created_at=now, updated_at=now)
        try:
            with catalog.changing(actor="bob") as change:
                change.save_image(image)
                change.reserve(subject=f"image:{image.id}", account="bob", storages=("default",), size_bytes=7)
            with catalog.changing(actor="bob") as change:
                change.release(f"image:{image.id}")
                change.remove_image(image.id)
        except errors.QuotaExceeded:
            pass
"""
HOLDS = """
import os, sys, time
from catalog import open_catalog
with open_catalog(sys.argv[1]) as catalog, catalog.locked("x", holder=f"pid {os.getpid()}"):
    print("ready", flush=True)
    time.sleep(600)
"""


def started(program: str, *arguments: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def killed(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    url = url_of(request.param, tmp_path)
    opened(url).close()
    return url


def test_adds_killed_anywhere_leave_exact_reservations_and_a_whole_log(url: str) -> None:
    with open_catalog(url) as catalog:
        with catalog.changing(actor="admin") as change:
            change.save_account(Account(name="bob", quota_images=4, created_at=START))
        for attempt in range(3):
            workers = [started(ADDS, url, str((attempt * 2 + n) * 1_000_000)) for n in range(2)]
            time.sleep(0.3 + attempt * 0.017)
            for worker in workers:
                killed(worker)
        arriving = {image.id for image in catalog.images(status="Downloading")}
        reserved = {reservation.subject.removeprefix("image:") for reservation in catalog.reservations()}
        assert reserved <= arriving  # both in one transaction; a release may have come before the removal
        usage = catalog.usage("bob")
        assert (usage.reserved_images, usage.reserved_bytes) == (len(reserved), 7 * len(reserved))
        assert len(reserved) <= 4
        assert catalog.verify_events() > 20
        assert catalog.verify_tables() > 2


def test_a_lock_dies_with_its_holder(url: str) -> None:
    holder = started(HOLDS, url)

    def is_dead(name: str) -> bool:
        return not Path("/proc", name.removeprefix("pid ")).exists()

    with open_catalog(url) as catalog:
        busy = pytest.raises(errors.ImageBusy, match=f"pid {holder.pid}")
        with busy, catalog.locked("x", holder=f"pid {os.getpid()}", is_dead=is_dead):
            pytest.fail("the holder is alive")
        killed(holder)
        with catalog.locked("x", holder=f"pid {os.getpid()}", is_dead=is_dead) as lease:
            assert lease.token == 2
