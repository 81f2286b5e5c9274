"""Hosts whose clocks go wrong: what the catalog keeps is as old as the catalog's clock says, and no host's own."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.settings import load_settings
from storage.uploads import Uploads
from tasks.images.expunge import due_images
from tests.flows.managed import delete_one, placed, register
from tests.services.postgresql import url_of
from tests.services.process import find
from tests.storage.uploads_at import At

pytestmark = pytest.mark.usefixtures("home")
DELETE = "import sys; from tasks.images.delete import delete; print(delete.fn(sys.argv[1:], 'admin'))"
PURGE = "from tasks.images.expunge import due_images; print(*due_images.fn('admin', None, None))"
EXPIRED = """
from catalog.settings import load_settings
from storage.uploads import Uploads
print(*(upload.id for upload in Uploads(load_settings()).expired()))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the settings name a catalog of this kind; return the kind."""
    if request.param == "postgresql":
        monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", url_of(request.param, tmp_path))
        register("default", load_settings().home / "imagestore")
    return str(request.param)


def at(offset: str, script: str, *arguments: str) -> str:
    """Run Python on a host whose clock is off by `offset`, such as -2y; return what it prints."""
    faketime = find("faketime", "faketime")
    done = subprocess.run(
        [faketime, "-f", offset, sys.executable, "-c", script, *arguments],
        env={**os.environ, "NO_FAKE_STAT": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_a_host_two_years_back_deletes_stays_in_the_bin_for_its_retention(kind: str) -> None:
    image = placed()
    at("-2y", DELETE, image.id)
    assert due_images.fn("admin", None, None) == ()
    with open_catalog() as catalog:
        (binned,) = catalog.bin()
        moments = [event.at for event in catalog.events()]
    assert binned.deleted_at is not None
    assert abs(datetime.now(UTC) - binned.deleted_at) < timedelta(minutes=2)
    assert moments == sorted(moments), "a change is never older than the one before it"
    assert binned.updated_at >= image.updated_at


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)  # a file has no clock but that of its host
def test_a_host_two_years_ahead_purges_nothing_from_a_catalog_with_a_clock_of_its_own(kind: str) -> None:
    delete_one(placed())
    assert at("+2y", PURGE) == ""


def test_a_host_ahead_does_not_discard_what_is_being_sent(home: Path) -> None:
    upload = At(load_settings()).begun()
    assert [one.id for one in Uploads(load_settings()).all()] == [upload.id]
    assert at("+30d", EXPIRED) == ""
