"""What registering an add refuses before anything is recorded of it."""

import json
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import IllegalTransition, ImagewrightError, InvalidRequest
from catalog.records import Image, ImageStatus, ImageStorage
from catalog.settings import load_settings
from storage.uploads import Upload, Uploads, url_of
from tasks.add.register import register
from tests.catalog.samples import START, a_replica, an_image


def test_a_file_of_the_host_is_refused_where_one_of_the_storages_is_ceph(home: Path) -> None:
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image_storage(ImageStorage(name="pool", kind="ceph", url="rbd://images", created_at=START))
    for source in ("file:///srv/x.raw", "http://h/x.raw file:///srv/x.raw"):
        with pytest.raises(InvalidRequest, match="'pool' is Ceph, whose hosts keep objects"):
            register.fn(an_image(source=source, image_storages=("default", "pool")))
    with open_catalog() as catalog:
        assert not list(catalog.images())
        assert not list(catalog.reservations())


def test_an_image_that_is_being_moved_is_not_added_again(home: Path) -> None:
    draft = an_image(source="http://h/x.raw", image_storages=("default",))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(draft.model_copy(update={"status": ImageStatus.MIGRATING}))
    with pytest.raises(IllegalTransition, match="Migrating"):
        register.fn(draft)


def test_an_id_that_is_another_accounts_tells_nothing_of_its_image(home: Path) -> None:
    hidden = an_image(name="secret plans", owner="bob", source="http://h/x.raw", image_storages=("default",))
    register.fn(hidden)
    for asked in ({"owner": "eve"}, {"owner": "eve", "name": "other", "source": "http://h/y.raw"}):
        with pytest.raises(InvalidRequest) as caught:
            register.fn(hidden.model_copy(update=asked))
        assert str(caught.value) == (f"image_id: '{hidden.id}' is not allowed; an id of its own: this one is taken")


def test_an_image_that_was_edited_while_it_arrived_is_taken_up_by_the_same_request(home: Path) -> None:
    draft = an_image(source="http://h/x.raw", image_storages=("default",))
    register.fn(draft)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(change.image(draft.id).model_copy(update={"name": "edited", "description": "too"}))
    assert register.fn(draft).name == "edited"
    with pytest.raises(InvalidRequest, match=r"added with source 'http://h/x.raw', not 'http://h/y.raw'"):
        register.fn(draft.model_copy(update={"source": "http://h/y.raw"}))


def sent(draft: Image) -> Image:
    """Let the image's file be one that was sent whole."""
    upload = Upload(
        id=draft.id, length=4, filename="a", flow="add_volume_image", request=json.dumps({"account": draft.owner}),
        created_at=START,
    )  # fmt: skip
    uploads = Uploads(load_settings())
    uploads.create(upload)
    uploads.data(draft.id).write_bytes(b"data")
    return draft.model_copy(update={"source": url_of(draft.id)})


def failed(draft: Image) -> None:
    register.fn(draft)
    with open_catalog() as catalog, catalog.changing(actor=draft.owner) as change:
        known = change.image(draft.id)
        change.save_image(known.model_copy(update={"status": ImageStatus.ERROR, "error": "wrong"}))


CORRECTED = {"format": "raw", "format_stored": "raw", "expected_checksum": None, "name": "right"}


def test_a_file_that_was_sent_is_announced_otherwise_once_its_add_failed(home: Path) -> None:
    draft = sent(an_image(owner="alice", image_storages=("default",), expected_checksum="md5:" + "0" * 32))
    register.fn(draft)
    with pytest.raises(InvalidRequest, match="was added with name"):  # a run may be at work on it
        register.fn(draft.model_copy(update=CORRECTED))
    failed(draft)
    after = register.fn(draft.model_copy(update=CORRECTED))
    assert (after.status, after.error) == (ImageStatus.DOWNLOADING, None)
    assert {field: getattr(after, field) for field in CORRECTED} == CORRECTED
    assert register.fn(draft.model_copy(update=CORRECTED)).format == "raw"  # what is repeated is the corrected one
    with pytest.raises(InvalidRequest, match="was added with name 'right'"):
        register.fn(draft)


def test_nothing_else_is_announced_otherwise(home: Path) -> None:
    from_a_url = an_image(source="http://h/x.raw", image_storages=("default",))
    failed(from_a_url)
    with pytest.raises(InvalidRequest, match="was added with"):
        register.fn(from_a_url.model_copy(update=CORRECTED))
    hers = sent(an_image(owner="alice", image_storages=("default",)))
    failed(hers)
    with pytest.raises(InvalidRequest, match="taken"):
        register.fn(hers.model_copy(update={**CORRECTED, "owner": "eve"}))
    half_there = sent(an_image(image_storages=("default",)))
    failed(half_there)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_replica(a_replica(half_there))
    with pytest.raises(InvalidRequest, match="was added with"):
        register.fn(half_there.model_copy(update=CORRECTED))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("source", ["foo://x/y", "gopher://127.0.0.1/x", "http:///no-host"])
def test_an_address_that_nobody_could_open_is_no_image_in_error(source: str) -> None:
    with pytest.raises(ImagewrightError):
        register.fn(an_image(source=source, image_storages=("default",)))
    with open_catalog() as catalog:
        assert list(catalog.images()) == []
