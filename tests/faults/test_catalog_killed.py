"""Processes that die while they change the catalog leave it exact: reservations, the log, locks."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest

from catalog import errors, open_catalog
from catalog.records import Account, Image
from tests.catalog.samples import START, opened
from tests.services.postgresql import url_of


def adds(url: str, first: int, ready: Connection) -> None:
    """Make and remove images, until this process dies."""
    with open_catalog(url) as catalog:
        ready.send(None)
        for number in range(first, first + 100_000):
            now = datetime.now(UTC)
            image = Image(
                id=f"i{number}", name="x", format="raw", format_stored="raw", status="Downloading", owner="bob",
                created_at=now, updated_at=now,
            )  # fmt: skip
            try:
                with catalog.changing(actor="bob") as change:
                    change.save_image(image)
                    change.reserve(subject=f"image:{image.id}", account="bob", storages=("default",), size_bytes=7)
                with catalog.changing(actor="bob") as change:
                    change.release(f"image:{image.id}")
                    change.remove_image(image.id)
            except errors.QuotaExceeded:
                pass


def holds(url: str, ready: Connection) -> None:
    """Hold a lock, until this process dies."""
    with open_catalog(url) as catalog, catalog.locked("x", holder=f"pid {os.getpid()}"):
        ready.send(None)
        time.sleep(600)


def at(home: str, work: Callable[..., None], *arguments: object) -> None:
    os.environ["IMAGEWRIGHT_HOME"] = home
    work(*arguments)


def started(forks: ForkServerContext, work: Callable[..., None], *arguments: object) -> ForkServerProcess:
    ours, theirs = forks.Pipe(duplex=False)
    home = os.environ["IMAGEWRIGHT_HOME"]
    process = forks.Process(target=at, args=(home, work, *arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    ours.recv()
    return process


def killed(process: ForkServerProcess) -> None:
    process.kill()
    process.join(20)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    url = url_of(request.param, tmp_path)
    opened(url).close()
    return url


def test_adds_killed_anywhere_leave_exact_reservations_and_a_whole_log(url: str, forks: ForkServerContext) -> None:
    with open_catalog(url) as catalog:
        with catalog.changing(actor="admin") as change:
            change.save_account(Account(name="bob", quota_images=4, created_at=START))
        for attempt in range(3):
            workers = [started(forks, adds, url, (attempt * 2 + n) * 1_000_000) for n in range(2)]
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


def test_a_lock_dies_with_its_holder(url: str, forks: ForkServerContext) -> None:
    holder = started(forks, holds, url)

    def is_dead(name: str) -> bool:
        return not Path("/proc", name.removeprefix("pid ")).exists()

    with open_catalog(url) as catalog:
        busy = pytest.raises(errors.ImageBusy, match=f"pid {holder.pid}")
        with busy, catalog.locked("x", holder=f"pid {os.getpid()}", is_dead=is_dead):
            pytest.fail("the holder is alive")
        killed(holder)
        with catalog.locked("x", holder=f"pid {os.getpid()}", is_dead=is_dead) as lease:
            assert lease.token == 2
