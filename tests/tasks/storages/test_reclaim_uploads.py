"""Sweeping uploads: those given up and those whose image is Ready, no others; a plan changes nothing."""

import os
from datetime import UTC, datetime

import pytest

from catalog import open_catalog
from catalog.records import ImageStatus
from catalog.settings import load_settings
from storage.uploads import Upload, Uploads, url_of
from tasks.add.register import register
from tasks.add.uploads import discard_upload, promise_room, sweep_uploads
from tasks.runtime.uploads import discard_source
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
    given_up, going_on, arriving, ready = (sent(blank().id) for _ in range(4))
    for upload, status in ((arriving, ImageStatus.DOWNLOADING), (ready, ImageStatus.READY)):
        saved(blank(id=upload.id, source=url_of(upload.id), status=status))
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


def reserved() -> set[str]:
    with open_catalog() as catalog:
        return {reservation.subject for reservation in catalog.reservations()}


def test_room_is_promised_until_an_upload_is_added_or_gone() -> None:
    added, given_up, swept = (sent(blank().id) for _ in range(3))
    for upload in (added, given_up, swept):
        promise_room(blank(id=upload.id, source=url_of(upload.id), image_storages=("default",)), 4)
    assert reserved() == {f"image:{upload.id}" for upload in (added, given_up, swept)}
    image = register.fn(blank(id=added.id, source=url_of(added.id), image_storages=("default",)))
    with open_catalog() as catalog:
        sizes = [r.size_bytes for r in catalog.reservations() if r.subject == f"image:{image.id}"]
    assert sizes == [4]  # it goes on, with no moment in which somebody else could take the room
    discard_upload(Uploads(load_settings()), given_up.id)
    os.utime(Uploads(load_settings()).data(swept.id), (0, 0))
    sweep_uploads.fn(plan_only=True)
    assert reserved() == {f"image:{upload.id}" for upload in (added, swept)}
    sweep_uploads.fn(plan_only=False)
    discard_upload(Uploads(load_settings()), added.id)
    assert reserved() == {f"image:{added.id}"}  # its add goes on with it


def test_only_uploads_are_discarded_by_their_url() -> None:
    upload, uploads = sent(blank().id), Uploads(load_settings())
    for url in (f"file://{uploads.data(upload.id)}", "upload://", "upload://..", "upload:///"):
        discard_source(url, load_settings(), "admin")
    assert list(uploads.all()) == [upload]
    discard_source(url_of(upload.id), load_settings(), "admin")
    discard_source(url_of(upload.id), load_settings(), "admin")
    assert not list(uploads.all())
