"""Deleting what is still arriving, or was kept of an arrival: nothing of it stays, whatever is away meanwhile."""

import os
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import ImageNotFound
from catalog.records import ImageStatus
from tasks.images.withdraw import ask_withdrawal
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
    ticks,
)

pytestmark = pytest.mark.usefixtures("home")


def test_deleting_an_image_that_is_arriving_leaves_nothing(home: Path) -> None:
    image = saved(blank(status=ImageStatus.DOWNLOADING, image_storages=("default",)))
    landed(opened(), image.id, os.urandom(MIB))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.reserve(subject=f"image:{image.id}", account="admin", storages=("default",), size_bytes=MIB)
    assert delete_one(image).status is ImageStatus.DELETED
    assert list(opened().landings()) == []
    assert chip_bytes(home) == 0
    with open_catalog() as catalog:
        assert [list(catalog.reservations()), list(catalog.bin()), list(catalog.pending())] == [[], [], []]
        with pytest.raises(ImageNotFound):
            catalog.image(image.id)


def test_bytes_of_an_arrival_on_a_storage_that_is_away_are_deleted_when_it_is_back(tmp_path: Path) -> None:
    register("far", tmp_path / "far")
    placed(storages=("far",))
    image = saved(blank(status=ImageStatus.DOWNLOADING, image_storages=("default", "far")))
    for name in image.image_storages:
        landed(opened(name), image.id, os.urandom(MIB))
    (tmp_path / "far").rename(tmp_path / "away")
    assert delete_one(image).status is ImageStatus.DELETED
    assert not (tmp_path / "far").exists()  # no empty store was made in its place
    assert list(opened().landings()) == []
    with open_catalog() as catalog:
        assert {(w.operation, w.storage) for w in catalog.pending()} == {
            ("delete landing", "far"), ("delete replica", "far"),
        }  # fmt: skip
        assert all("whether its disk is mounted" in work.reason for work in catalog.pending())
    assert {item.outcome for item in retry.fn(due_work.fn(None, True), "admin")} == {"pending"}
    (tmp_path / "away").rename(tmp_path / "far")
    assert {item.outcome for item in retry.fn(due_work.fn(None, True), "admin")} == {"done"}
    assert list(opened("far").landings()) == []


def test_a_landing_that_came_back_meanwhile_is_not_deleted() -> None:
    image = saved(blank(status=ImageStatus.DOWNLOADING, image_storages=("default",)))
    landed(opened(), image.id, os.urandom(MIB))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.defer("delete landing", f"replica:{image.id}@default", "it was away", storage="default")
    (item,) = retry.fn(due_work.fn(None, True), "admin")
    assert item.outcome == "done"
    assert [info.landing_id for info in opened().landings()] == [image.id]


def test_a_kept_landing_on_a_storage_that_is_away_waits_for_it(tmp_path: Path) -> None:
    register("far", tmp_path / "far")
    placed(storages=("far",))
    failed = saved(blank(status=ImageStatus.ERROR, error="broke off", image_storages=("far",)))
    landed(opened("far"), failed.id, os.urandom(MIB))
    delete_one(failed)
    (tmp_path / "far").rename(tmp_path / "away")
    item = expunge_one(failed)
    assert (item.outcome, (tmp_path / "far").exists()) == ("pending", False)
    (tmp_path / "away").rename(tmp_path / "far")
    (done,) = retry.fn(due_work.fn(None, True), "admin")
    assert (done.outcome, list(opened("far").landings())) == ("done", [])


def test_an_arrival_that_can_not_be_stopped_now_is_withdrawn_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.images.withdraw.WAIT_S", 0.5)
    image = saved(blank(status=ImageStatus.DOWNLOADING, image_storages=("default",)))
    alive = f"other@{os.uname().nodename}:1:{ticks(1)}"
    with open_catalog() as catalog, catalog.locked(image.id, holder=alive):
        assert delete_one(image).status is ImageStatus.DOWNLOADING
        (item,) = retry.fn(due_work.fn(None, True), "admin")
        assert item.outcome == "pending"
    (item,) = retry.fn(due_work.fn(None, True), "admin")
    assert item.outcome == "done"
    with open_catalog() as catalog:
        assert [list(catalog.pending()), list(catalog.images())] == [[], []]


def test_an_arrival_that_fails_by_itself_meanwhile_is_gone_as_well() -> None:
    image = saved(blank(status=ImageStatus.DOWNLOADING, image_storages=("default",)))
    landed(opened(), image.id, os.urandom(MIB))
    with open_catalog() as catalog:
        ask_withdrawal(catalog, image.id, "admin")
        with catalog.changing(actor="admin") as change:
            change.save_image(image.model_copy(update={"status": ImageStatus.ERROR, "error": "it broke off"}))
    (item,) = retry.fn(due_work.fn(None, True), "admin")
    assert item.outcome == "done"
    assert list(opened().landings()) == []
    with open_catalog() as catalog:
        assert [list(catalog.pending()), list(catalog.images())] == [[], []]
