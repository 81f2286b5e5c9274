"""Whoever discards asks whose it is: another account loses nobody a file, a landing, an export or a replica."""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from catalog import open_catalog
from catalog.errors import ImagewrightError, InvalidRequest, SourceForbidden, UploadNotFound
from catalog.records import Image, ImageStatus, Leftover
from catalog.settings import load_settings
from flows.add.draft import draft_image
from flows.requests import AddVolumeImage
from flows.upkeep.recover_runs import WATCHED
from storage.uploads import Upload, Uploads, url_of
from tasks.add.publish import finish_publication
from tasks.add.register import plan_add, register
from tasks.add.uploads import sweep_uploads
from tasks.images.delete import delete
from tasks.images.delete_export import delete_export
from tasks.images.export import export
from tasks.images.expunge import expunge
from tasks.replicas.compare import Selection
from tasks.replicas.leftovers import review_leftovers
from tasks.replicas.sync import mirror_deletions
from tasks.runtime.batches import all_done
from tasks.runtime.runs.server import FoundRun
from tasks.runtime.uploads import discard_source
from tasks.upkeep.recover_runs import _seen_run
from tests.flows.managed import blank, landed, opened, placed, saved, stored_image
from tests.flows.managed import register as register_store

pytestmark = pytest.mark.usefixtures("home")
DATA = os.urandom(1 << 16)
ALICE, EVE = "alice", "eve"


def sent(data: bytes = DATA, of: int | None = None, owner: str = ALICE) -> Upload:
    """Upload a file for an account: `data` of `of` bytes."""
    request = f'{{"name": "hers", "image_format": "raw", "account": "{owner}"}}'
    upload = Upload(
        id=str(uuid4()), length=of or len(data), filename="a.raw", flow="add_volume_image", request=request,
        created_at=datetime.now(UTC),
    )  # fmt: skip
    uploads = Uploads(load_settings())
    uploads.create(upload)
    uploads.data(upload.id).write_bytes(data)
    return upload


def kept(upload: Upload) -> bool:
    try:
        return Uploads(load_settings()).offset(upload.id) > 0
    except UploadNotFound:
        return False


def request(upload: Upload, account: str, **fields: object) -> AddVolumeImage:
    asked: dict[str, object] = {"name": "taken", "image_format": "raw", "image_path": url_of(upload.id)}
    return AddVolumeImage.model_validate({**asked, "account": account, **fields})


def draft(upload: Upload, account: str, **fields: object) -> Image:
    return draft_image(request(upload, account, **fields), str(uuid4()), datetime.now(UTC)).image


@pytest.mark.prefect
@pytest.mark.parametrize("of", [len(DATA), 10 * len(DATA)], ids=["whole", "unfinished"])
@pytest.mark.parametrize("own_id", [False, True])
def test_another_accounts_add_of_an_upload_neither_takes_nor_loses_it(of: int, own_id: bool) -> None:
    from flows import add_volume_image

    upload = sent(of=of)
    asked = {} if own_id else {"image_id": upload.id}
    with pytest.raises((UploadNotFound, InvalidRequest)):
        add_volume_image(request(upload, EVE, **asked))
    assert kept(upload)
    with open_catalog() as catalog:
        assert not list(catalog.images(owner=EVE))


@pytest.mark.prefect
def test_the_owners_own_add_of_an_unfinished_upload_keeps_it_and_says_what_to_do() -> None:
    from flows import add_volume_image

    upload = sent(of=10 * len(DATA))
    with pytest.raises(InvalidRequest, match=r"of 655360 bytes were sent; go on with it"):
        add_volume_image(request(upload, ALICE, image_id=upload.id))
    assert kept(upload)


@pytest.mark.parametrize("spelt", ["{url} http://example.org/x", "UPLOAD://{id}", "upload:{id}", "upload:///{id}"])
def test_an_upload_is_named_in_one_way(spelt: str) -> None:
    upload = sent()
    path = spelt.format(url=url_of(upload.id), id=upload.id)
    for account in (ALICE, EVE):
        for ask in (register.fn, lambda image: plan_add.fn(image, image.source)):
            with pytest.raises((InvalidRequest, SourceForbidden, UploadNotFound)):
                ask(draft(upload, account, image_path=path))
    assert kept(upload)


def test_the_id_of_anothers_upload_is_taken() -> None:
    upload = sent()
    squatting = draft(upload, EVE, image_path="http://example.org/x", image_id=upload.id)
    with pytest.raises(InvalidRequest, match="an id of its own: this one is taken"):
        register.fn(squatting)
    assert register.fn(draft(upload, ALICE, image_id=upload.id)).id == upload.id


def test_a_plan_shows_nothing_of_anothers_upload() -> None:
    upload = sent()
    with pytest.raises(UploadNotFound):
        plan_add.fn(draft(upload, EVE), url_of(upload.id))
    assert plan_add.fn(draft(upload, ALICE), url_of(upload.id)).bytes_to_move == len(DATA)


def test_a_foreign_image_of_the_same_id_is_no_reason_to_sweep_an_upload() -> None:
    upload = sent()
    saved(blank(id=upload.id, owner=EVE, source="http://example.org/x", status=ImageStatus.READY))
    assert sweep_uploads.fn(plan_only=False).items == ()
    assert kept(upload)


@pytest.mark.parametrize("account", [EVE, "system", ""])
def test_a_source_is_discarded_for_its_owner_only(account: str) -> None:
    upload = sent()
    discard_source(url_of(upload.id), load_settings(), account)
    assert kept(upload)
    discard_source(url_of(upload.id), load_settings(), ALICE)
    assert not kept(upload)


def ends_an_image_of_anothers_upload(upload: Upload, end: Callable[[Image], object]) -> None:
    """Let eve's image, as an earlier version would have registered it, come to its end."""
    image = saved(blank(owner=EVE, source=url_of(upload.id), status=ImageStatus.DOWNLOADING))
    with suppress(ImagewrightError):
        end(image)
    assert kept(upload)


def test_deleting_expunging_and_settling_an_image_keep_anothers_upload() -> None:
    upload = sent()
    for end in (
        lambda image: delete.fn([image.id], EVE),
        lambda image: expunge.fn([saved(image.model_copy(update={"status": ImageStatus.DELETED, "deleted_at": image.created_at})).id], EVE),
        finish_publication.fn,
    ):  # fmt: skip
        ends_an_image_of_anothers_upload(upload, end)


def test_expunging_an_own_failed_image_discards_its_upload() -> None:
    upload = sent()
    image = blank(
        id=upload.id, owner=ALICE, source=url_of(upload.id), status=ImageStatus.DELETED, error="x",
        image_storages=("default",), deleted_at=datetime.now(UTC),
    )  # fmt: skip
    all_done("expunge", expunge.fn([saved(image).id], ALICE))
    assert not kept(upload)


def test_a_run_that_never_touched_an_image_withdraws_nothing() -> None:
    image = saved(blank(owner=ALICE, status=ImageStatus.DOWNLOADING))
    run = FoundRun(
        id=str(uuid4()), name="x", flow="add-volume-image", state="CRASHED", state_at=datetime.now(UTC), state_id="s",
        last_sign_at=datetime.now(UTC), recoveries=3, cancelling=True, waited=False, parameters={"request": {"image_id": image.id}},
    )  # fmt: skip
    with open_catalog() as catalog:
        assert _seen_run(catalog, run, WATCHED).image_id is None
        unknown = run.model_copy(update={"parameters": {"request": {"image_id": str(UUID(int=7))}}})
        assert _seen_run(catalog, unknown, WATCHED).image_id == str(UUID(int=7))


def test_a_landing_and_an_image_go_for_their_owner_only() -> None:
    landed(opened(), upload_id := str(uuid4()), DATA)
    image = saved(blank(id=upload_id, owner=ALICE, status=ImageStatus.DOWNLOADING, image_storages=("default",)))
    ready = placed(DATA, owner=ALICE)
    refused = delete.fn([image.id, ready.id], EVE)
    assert set(refused.failed) == {image.id, ready.id}
    assert stored_image(ready.id).status is ImageStatus.READY
    assert [found.landing_id for found in opened().landings()] == [image.id]
    assert expunge.fn([delete.fn([ready.id], ALICE).done[0].id], EVE).failed


def test_an_export_goes_for_the_images_owner_only() -> None:
    image = placed(DATA, owner=ALICE, sharing_mode="global")
    exported = export.fn(image.id, EVE, None, None)
    with pytest.raises(ImagewrightError, match="only its owner or admin"):
        delete_export.fn(image.id, EVE, None)
    assert Path(exported.path).exists()
    delete_export.fn(image.id, ALICE, None)
    assert not Path(exported.path).exists()


def test_a_leftover_goes_for_the_images_owner_only() -> None:
    image = placed(DATA, owner=ALICE)
    leftover = Leftover(
        id="l", image_id=image.id, image_storage="default", location="x", size_bytes=1, moved_to="b", created_at=datetime.now(UTC)
    )  # fmt: skip
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.remove_replica(image.id, "default")
        change.save_leftover(leftover)
    assert review_leftovers.fn("", (), EVE).going == ()
    assert [left.id for left in review_leftovers.fn("", (), ALICE).going] == ["l"]


def test_a_mirror_deletes_the_accounts_own_replicas_only(tmp_path: Path) -> None:
    register_store("b", tmp_path / "b")
    hers, own = (placed(DATA, ("default", "b"), owner=owner) for owner in (ALICE, EVE))
    selection = Selection(source="default", target="b", account=EVE, name_pattern="nothing-*")
    (gone,) = mirror_deletions.fn(selection, [])
    assert (gone.image_id, gone.outcome) == (own.id, "removed")
    with open_catalog() as catalog:
        assert [r.image_id for r in catalog.replicas(image_storage="b")] == [hers.id]
