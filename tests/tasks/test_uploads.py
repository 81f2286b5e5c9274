"""Sweeping uploads: those given up and those whose image is Ready, no others; a plan changes nothing."""

import os
from datetime import UTC, datetime

import pytest

from catalog.records import ImageStatus
from catalog.settings import load_settings
from storage.uploads import Upload, Uploads
from tasks.uploads import sweep_uploads
from tests.flows.managed import blank, saved

pytestmark = pytest.mark.usefixtures("home")


def sent(upload_id: str) -> Upload:
    upload = Upload(
        id=upload_id, length=4, filename="a", flow="add_volume_image", request="{}", created_at=datetime.now(UTC)
    )  # fmt: skip
    uploads = Uploads(load_settings())
    uploads.create(upload)
    uploads.data(upload.id).write_bytes(b"data")
    return upload


def test_only_what_nobody_needs_goes() -> None:
    given_up, going_on, arriving, ready = (
        sent(blank().id), sent(blank().id),
        sent(saved(blank(status=ImageStatus.DOWNLOADING)).id), sent(saved(blank(status=ImageStatus.READY)).id),
    )  # fmt: skip
    uploads = Uploads(load_settings())
    half_made = load_settings().uploads_folder / f".{blank().id}"
    half_made.mkdir()
    for place in (uploads.data(given_up.id), half_made):
        os.utime(place, (0, 0))
    everything = sorted(place.name for place in load_settings().uploads_folder.iterdir())
    planned = sweep_uploads.fn(plan_only=True)
    assert sorted(place.name for place in load_settings().uploads_folder.iterdir()) == everything
    done = sweep_uploads.fn(plan_only=False)
    assert planned == done
    assert {item.subject: item.reason for item in done.items} == {
        given_up.id: "nobody went on with it", ready.id: "its image is Ready",
    }  # fmt: skip
    assert done.bytes_freed == 8
    left = {place.name for place in load_settings().uploads_folder.iterdir()}
    assert left == {going_on.id, arriving.id}
