"""The recycle bin: nothing is lost in it, nothing but shared chips is left after it."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import IllegalTransition, ImageNotFound, StorageNotFound
from catalog.records import Account, ExportedImage, Image, ImageStatus, Leftover, Volume
from storage.imagestore.storage import ImageStore
from tasks.images.delete import delete, expunged_at_once, plan_delete, recover
from tasks.images.export import export
from tasks.images.expunge import due_images, expunge, plan_expunge
from tasks.runtime.batches import all_done
from tasks.runtime.holders import holder
from tasks.upkeep.retry_deferred import due_work, retry
from tests.flows.managed import (
    MIB,
    blank,
    chip_bytes,
    delete_one,
    expunge_one,
    landed,
    opened,
    placed,
    register,
    saved,
    stored_image,
    ticks,
)

pytestmark = pytest.mark.usefixtures("home")


def reclaim(name: str = "default") -> int:
    storage = opened(name)
    assert isinstance(storage, ImageStore)
    return storage.reclaim(frozenset()).bytes_freed


def exported(image: Image) -> ExportedImage:
    return export.fn(image.id, "admin", None, None)


def read(image: Image) -> bytes:
    return opened().open(image.id).read_at(0, image.size_bytes or 0)


def test_a_deleted_image_is_in_the_bin_and_comes_back_byte_for_byte_after_many_reclaims() -> None:
    data = os.urandom(3 * MIB)
    image = placed(data)
    deleted = delete_one(image)
    assert (deleted.status, deleted.deleted_at is not None) == (ImageStatus.DELETED, True)
    with open_catalog() as catalog:
        assert [i.id for i in catalog.bin()] == [image.id]
        assert list(catalog.images()) == []
    for _ in range(4):
        placed_beside = placed()
        delete_one(placed_beside)
        expunge_one(placed_beside)
        reclaim()
    (recovered,) = all_done("recover", recover.fn([image.id], "admin"))
    unchanged = {"version", "updated_at"}
    assert recovered.model_dump(exclude=unchanged) == image.model_dump(exclude=unchanged)
    assert read(recovered) == data


def test_an_expunged_image_leaves_nothing_but_shared_chips(home: Path) -> None:
    shared, own = os.urandom(2 * MIB), os.urandom(2 * MIB)
    kept, going = placed(shared), placed(shared + own)
    file = Path(exported(going).path)
    before = chip_bytes(home)
    delete_one(going)
    item = expunge_one(going)
    assert (item.outcome, item.bytes) == ("done", 4 * MIB)
    assert not file.exists()
    assert not file.parent.exists()
    assert not opened().contains(going.id)
    assert chip_bytes(home) == before
    reclaim()
    freed = before - chip_bytes(home)  # with the chip that straddled the border, 512 KiB at most
    assert 2 * MIB - (64 << 10) < freed < 2 * MIB + (576 << 10)
    assert read(kept) == shared
    with open_catalog() as catalog:
        assert [list(catalog.replicas(going.id)), list(catalog.exports(going.id)), list(catalog.bin())] == [
            [],
            [],
            [],
        ]
        assert catalog.usage("admin").images == 1
        assert {e.kind for e in catalog.events(going.id)} >= {"imagewright.image.expunged"}


def test_only_what_is_in_the_bin_is_expunged_or_recovered() -> None:
    image = placed()
    with pytest.raises(IllegalTransition, match="is Ready: expunge is allowed only when it is Deleted"):
        expunge_one(image)
    with pytest.raises(IllegalTransition, match="is Ready: recover is allowed only when it is Deleted"):
        all_done("recover", recover.fn([image.id], "admin"))


def test_what_is_deleted_or_expunged_already_is_done_when_it_is_started_again() -> None:
    image, other = placed(owner="bob"), placed(owner="bob")
    deleted = delete_one(image)
    assert delete_one(image) == deleted
    assert plan_delete.fn([image.id], "bob").actions == ()
    expunge_one(image)
    delete_one(other)
    again = expunge.fn([image.id, other.id], "bob")
    assert [(item.outcome, item.reason) for item in again.done] == [
        ("done", "it was gone already"),
        ("done", ""),
    ]
    assert [gone.id for gone in delete.fn([image.id, other.id], "admin").done] == [image.id, other.id]
    for stranger in (
        delete.fn([image.id], "eve"),
        expunge.fn([image.id], "eve"),
        expunge.fn(["never"], "admin"),
    ):
        assert isinstance(next(iter(stranger.failed.values())), ImageNotFound)


def test_a_protected_image_is_not_deleted() -> None:
    image = placed(protected=True)
    with pytest.raises(IllegalTransition, match="protected against deletion"):
        delete_one(image)


def test_an_image_in_error_is_in_error_again_after_recovery() -> None:
    image = saved(blank(status=ImageStatus.ERROR, error="the source was away"))
    delete_one(image)
    (recovered,) = all_done("recover", recover.fn([image.id], "admin"))
    assert (recovered.status, recovered.error) == (ImageStatus.ERROR, "the source was away")


def inserted(image: Image, volume_id: str, backing: str = "/c") -> Volume:
    """Record a volume of an image: the file itself, unless it lies over another one."""
    volume = Volume(
        id=volume_id, name=f"cd of {volume_id}", image_id=image.id, primary_storage="default", location="/c",
        backing=backing, size_bytes=1, owner="carl", created_at=image.created_at,
    )  # fmt: skip
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_volume(volume)
    return volume


def an_iso(protected: bool = False) -> Image:
    return placed(
        format="iso", format_stored="iso", media="ISO", image_type="System", protected=protected
    )  # fmt: skip


def test_an_iso_is_detached_from_all_its_machines_before_it_is_deleted() -> None:
    image = an_iso()
    for volume_id in ("a", "b"):
        inserted(image, volume_id)
    overlay = inserted(placed(), "c", backing="/below")
    planned = plan_delete.fn([image.id], "admin")
    said = {(action.verb, action.subject, action.reason) for action in planned.actions[:-1]}
    assert said == {("detach ISO", f"volume:{v}", f"cd of {v} of carl") for v in ("a", "b")}
    assert planned.actions[-1].verb == "move to the recycle bin"
    delete_one(image)
    with open_catalog() as catalog:
        assert list(catalog.volumes()) == [overlay]
        kinds = [event.kind for event in catalog.events(image.id)][-3:]
    assert kinds == ["imagewright.volume.detached"] * 2 + ["imagewright.image.deleted"]


def test_an_iso_that_may_not_be_deleted_stays_in_its_machines() -> None:
    image = an_iso(protected=True)
    volume = inserted(image, "a")
    with pytest.raises(IllegalTransition, match="protected"):
        delete_one(image)
    with pytest.raises(ImageNotFound):
        delete_one(image, account="eve")
    with open_catalog() as catalog:
        assert list(catalog.volumes()) == [volume]


def test_expunging_while_a_storage_is_disconnected_is_pending_and_done_after_it_is_back(
    home: Path, tmp_path: Path
) -> None:
    register("far", tmp_path / "far")
    image = placed(storages=("default", "far"))
    delete_one(image)
    (tmp_path / "far").rename(tmp_path / "away")
    item = expunge_one(image)
    assert item.outcome == "pending"
    assert "whether its disk is mounted" in item.reason
    with open_catalog() as catalog:
        (work,) = catalog.pending()
        assert (work.operation, work.storage, work.image_id) == ("delete replica", "far", image.id)
        with pytest.raises(ImageNotFound):
            catalog.image(image.id)
    assert not opened().contains(image.id)
    (again,) = retry.fn(due_work.fn(None, False), "admin")
    assert again.outcome == "pending"
    assert due_work.fn(None, False) == ()  # it waits a minute before it asks again
    (tmp_path / "far").rmdir() if (tmp_path / "far").exists() else None
    (tmp_path / "away").rename(tmp_path / "far")
    assert opened("far").contains(image.id)
    (done,) = retry.fn(due_work.fn(None, True), "admin")
    assert done.outcome == "done"
    assert not opened("far").contains(image.id)
    with open_catalog() as catalog:
        assert list(catalog.pending()) == []


def test_deferred_work_never_deletes_what_came_back_meanwhile(home: Path, tmp_path: Path) -> None:
    register("far", tmp_path / "far")
    image = placed(storages=("default",))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.defer("delete replica", f"replica:{image.id}@default", "it was away", storage="default")
    (item,) = retry.fn(due_work.fn(None, True), "admin")
    assert item.outcome == "done"
    assert opened().contains(image.id)


def test_a_half_expunged_image_is_not_recovered_but_expunged_again() -> None:
    image = placed()
    delete_one(image)
    from tasks.images import expunge as module

    with open_catalog() as catalog, catalog.locked(image.id, holder=holder()) as lease:
        module._begin(catalog, image.id, "admin", lease)
    with pytest.raises(IllegalTransition, match="being expunged"):
        all_done("recover", recover.fn([image.id], "admin"))
    assert expunge_one(image).outcome == "done"


def test_leftovers_and_kept_landings_go_with_an_expunged_image(home: Path, tmp_path: Path) -> None:
    register("old", tmp_path / "old")
    moved = placed(storages=("default", "old"))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.remove_replica(moved.id, "old")
        change.save_leftover(
            Leftover(id="l", image_id=moved.id, image_storage="old", location="x", size_bytes=1, moved_to="default",
                     created_at=datetime.now(UTC))
        )  # fmt: skip
    failed = saved(blank(status=ImageStatus.ERROR, error="broke off", image_storages=("default",)))
    landed(opened(), failed.id, os.urandom(MIB))
    for image in (moved, failed):
        delete_one(image)
        assert expunge_one(image).outcome == "done"
    assert not opened("old").contains(moved.id)
    assert list(opened().landings()) == []
    with open_catalog() as catalog:
        assert list(catalog.leftovers()) == []


def test_one_that_is_worked_on_is_refused_and_the_others_are_expunged() -> None:
    images = [placed() for _ in range(3)]
    for image in images:
        delete_one(image)
    with (
        open_catalog() as catalog,
        catalog.locked(images[1].id, holder=f"other@{os.uname().nodename}:1:{ticks(1)}"),
    ):
        outcomes = expunge.fn([image.id for image in images], "admin")
    assert len(outcomes.done) == 2
    said = str(outcomes.failed[images[1].id])
    assert said == (
        f"image {images[1].id} is being worked on by run other on {os.uname().nodename}; wait for it or cancel it"
    )
    assert stored_image(images[1].id).status is ImageStatus.DELETED


def test_work_for_a_storage_that_is_not_there_is_no_empty_list() -> None:
    with pytest.raises(StorageNotFound, match="no image storage 'defualt'"):
        due_work.fn("defualt", True)


def test_each_account_keeps_its_bin_as_configured() -> None:
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for name, policy, days in (
            ("a", "delay", 1.0),
            ("b", "never", None),
            ("c", "direct", None),
            ("d", None, None),
        ):
            change.save_account(
                Account(name=name, retention_policy=policy, retention_days=days, created_at=datetime.now(UTC))
            )
    ago = datetime.now(UTC) - timedelta(days=2)
    binned = {
        name: saved(blank(owner=name, status=ImageStatus.DELETED, deleted_at=ago)).id for name in ("a", "b", "c", "d")
    }
    assert set(due_images.fn("admin", None, None)) == {binned["a"], binned["c"]}
    assert set(due_images.fn("admin", 1.5, "delay")) == set(binned.values())
    assert due_images.fn("a", None, None) == (binned["a"],)
    assert due_images.fn("d", 0, None) == (binned["d"],)


def test_an_account_without_a_bin_has_its_images_expunged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_RETENTION_POLICY", "direct")
    image = placed()
    assert expunged_at_once.fn([delete_one(image)]) == (image.id,)


def test_deletes_at_once_delete_once() -> None:
    image = placed()
    found: list[Image] = []
    threads = [threading.Thread(target=lambda: found.append(delete_one(image))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [stored_image(image.id)] * 4
    with open_catalog() as catalog:
        assert [e.kind for e in catalog.events(image.id)].count("imagewright.image.deleted") == 1


def test_plans_of_the_bin_change_nothing() -> None:
    image = placed()
    arriving = saved(blank(status=ImageStatus.DOWNLOADING))
    plan = plan_delete.fn([image.id, arriving.id], "admin")
    assert [action.verb for action in plan.actions] == ["move to the recycle bin", "cancel"]
    assert plan.actions[0].reason == "it is expunged after 3 days"
    assert stored_image(image.id) == image
    delete_one(image)
    planned = plan_expunge.fn([image.id], "admin")
    assert [action.verb for action in planned.actions] == ["delete replica", "remove record"]
    assert stored_image(image.id).status is ImageStatus.DELETED
