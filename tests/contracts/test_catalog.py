"""What every catalog promises, whatever keeps its rows."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Unpack

import pytest

from catalog import errors
from catalog.records import (
    Account,
    BootFacts,
    CachedImage,
    Finding,
    Image,
    ImageStatus,
    ImageStorage,
    Leftover,
    QualityCheck,
    QualityReport,
    Verdict,
    Volume,
)
from catalog.repository.catalog import Catalog
from catalog.repository.reading.image_filter import ImageFilter
from catalog.repository.reading.reading import FEW
from tests.catalog.samples import START, a_replica, an_export, an_image, saved


def test_an_empty_catalog_has_the_default_storages(catalog: Catalog, tmp_path: Path) -> None:
    (images,), (primary,) = catalog.image_storages(), catalog.primary_storages()
    assert (images.name, images.kind, images.url) == (
        "default", "imagestore", f"file://{tmp_path}/home/imagestore"
    )  # fmt: skip
    assert (primary.name, primary.kind, primary.url) == (
        "default",
        "local",
        f"file://{tmp_path}/home/primary",
    )
    assert catalog.image_storage("default") == images
    assert catalog.primary_storage("default") == primary


def test_an_image_comes_back_as_it_was_saved(catalog: Catalog) -> None:
    report = QualityReport(
        suite="image",
        success=False,
        checked_at=START,
        checks=(QualityCheck(name="n", success=False, sentence="s"),),
    )
    finding = Finding(rule="qcow2.backing-file", rule_version=1, severity="error", offset=8, sentence="…")
    image = an_image(
        name="系统 镜像 (1)", description="x\ny", virtio=True, enable_csm=True, size_bytes=1 << 62, quality=report,
        verdict=Verdict(format="qcow2", virtual_size_bytes=1 << 40, rule_set="1", findings=(finding,)),
        boot=BootFacts(uefi_boot=("x86_64",), virtio=None), warnings=("a", "b"), shared_accounts=("bob",),
        sharing_mode="specified", image_storages=("default",), deleted_at=START + timedelta(microseconds=1),
    )  # fmt: skip
    (kept,) = saved(catalog, image)
    assert kept == image.model_copy(update={"version": 1, "updated_at": kept.updated_at})
    assert catalog.image(image.id) == kept


def test_a_write_names_the_version_it_read(catalog: Catalog) -> None:
    (first,) = saved(catalog, an_image())
    (second,) = saved(catalog, first.model_copy(update={"name": "renamed"}))
    assert second.version == 2
    with pytest.raises(errors.StaleImage) as stale:
        saved(catalog, first)
    assert (stale.value.expected, stale.value.actual) == (1, 2)
    with pytest.raises(errors.StaleImage):
        saved(catalog, first.model_copy(update={"version": 0}))
    assert catalog.image(first.id) == second


def test_writing_an_image_that_was_removed_says_so(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image())
    with catalog.changing(actor="admin") as change:
        change.remove_image(image.id)
    with pytest.raises(errors.ImageNotFound):
        saved(catalog, image)
    with pytest.raises(errors.ImageNotFound):
        catalog.image(image.id)


def test_a_change_that_fails_leaves_nothing(catalog: Catalog) -> None:
    before = list(catalog.events())
    image = an_image()

    def fail_half_way() -> None:
        with catalog.changing(actor="admin") as change:
            change.save_image(image)
            change.save_replica(a_replica(image))
            assert change.image(image.id).version == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with pytest.raises(errors.ImageNotFound):
        catalog.image(image.id)
    assert list(catalog.replicas()) == []
    assert list(catalog.events()) == before


def test_a_replica_needs_its_image_and_its_storage(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image())
    with pytest.raises(errors.ImageNotFound), catalog.changing(actor="admin") as change:
        change.save_replica(a_replica(an_image()))
    with pytest.raises(errors.StorageNotFound), catalog.changing(actor="admin") as change:
        change.save_replica(a_replica(image, "elsewhere"))


def test_an_image_that_is_kept_somewhere_is_not_removed(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image())
    with catalog.changing(actor="admin") as change:
        change.save_replica(a_replica(image))
        change.save_export(an_export(image, id="e1"))
    kept = pytest.raises(errors.IllegalTransition, match="kept on default, exported as e1")
    with kept, catalog.changing(actor="admin") as change:
        change.remove_image(image.id)
    with catalog.changing(actor="admin") as change:
        change.remove_replica(image.id, "default")
        change.remove_export("e1")
        change.remove_image(image.id)
    assert list(catalog.images()) == []


def test_removing_what_is_absent_is_a_no_op(catalog: Catalog) -> None:
    before = list(catalog.events())
    with catalog.changing(actor="admin") as change:
        change.remove_image("x")
        change.remove_replica("x", "default")
        change.remove_export("x")
        change.remove_leftover("x")
        change.remove_volume("x")
        change.remove_cached_image("x", "default")
    assert list(catalog.events()) == before


def test_images_are_listed_newest_first_in_any_page_size(catalog: Catalog) -> None:
    images = [an_image(created_at=START + timedelta(minutes=i // 3)) for i in range(25)]
    saved(catalog, *images)
    expected = [i.id for i in sorted(images, key=lambda i: (i.created_at, i.id), reverse=True)]
    assert [i.id for i in catalog.images()] == expected
    assert [i.id for i in catalog.images(limit=7)] == expected[:7]
    assert list(catalog.images(limit=0)) == []
    with pytest.raises(errors.InvalidRequest, match="limit: -1 is not allowed; 0 or more"):
        catalog.images(limit=-1)
    catalog._page_size = 4
    assert [i.id for i in catalog.images()] == expected
    assert [i.id for i in catalog.images(limit=9)] == expected[:9]
    seventh = catalog.image(expected[6])
    assert [i.id for i in catalog.images(after=seventh, limit=3)] == expected[7:10]


def test_filters_hold_together(catalog: Catalog) -> None:
    a, b, c, d = saved(
        catalog,
        an_image(name="web_1", status="Ready", family="web", owner="bob", format="raw"),
        an_image(name="webX1", status="Ready", image_type="Volume"),
        an_image(name="Web_2", status="Error", family="web"),
        an_image(name="100%", status="Deleted"),
    )
    with catalog.changing(actor="admin") as change:
        change.save_replica(a_replica(b))

    def ids(**asked: Unpack[ImageFilter]) -> set[str]:
        return {i.id for i in catalog.images(**asked)}

    assert ids() == {a.id, b.id, c.id}
    assert ids(status="Ready") == {a.id, b.id}
    assert ids(status=ImageStatus.READY, owner="bob") == {a.id}
    assert ids(status=("Ready", "Deleted")) == {a.id, b.id, d.id}
    assert ids(name_pattern="web_*") == {a.id}
    assert ids(name_pattern="web?1") == {a.id, b.id}
    assert ids(name_pattern="?00%", status="Deleted") == {d.id}
    assert ids(name_pattern="[w]eb*") == set()
    assert ids(name_pattern="webX1") == {b.id}
    assert ids(family="web", format="raw") == {a.id}
    assert ids(image_type="Volume") == {b.id}
    assert ids(image_storage="default") == {b.id}
    assert ids(changed_since=c.updated_at) == {c.id}
    assert [i.id for i in catalog.bin()] == [d.id]


def test_images_are_found_by_their_expiry(catalog: Catalog) -> None:
    hour = timedelta(hours=1)
    over, now, later, _ = saved(
        catalog, *(an_image(expires_at=moment) for moment in (START - hour, START, START + hour, None))
    )

    def ids(moment: datetime) -> set[str]:
        return {image.id for image in catalog.images(expired_at=moment)}

    assert ids(START - 2 * hour) == set()
    assert ids(START) == {over.id, now.id}
    assert ids(START + hour) == {over.id, now.id, later.id}
    with catalog.changing(actor="admin") as change:
        change.save_image(over.model_copy(update={"expires_at": None}))
    assert ids(START) == {now.id}


def test_an_unknown_status_is_named(catalog: Catalog) -> None:
    with pytest.raises(errors.InvalidRequest, match="Creating, Downloading, Ready"):
        catalog.images(status="ready")


def test_a_misspelt_filter_lists_nothing(catalog: Catalog) -> None:
    with pytest.raises(TypeError, match=r"no parameter 'image_name'; it has status, name_pattern"):
        catalog.images(image_name="web")  # type: ignore[call-arg]


def test_denied_is_absent(catalog: Catalog) -> None:
    with catalog.changing(actor="admin") as change:
        change.save_account(Account(name="dora", projects=("blue",), created_at=START))
    private, to_bob, to_blue, everybody = saved(
        catalog,
        an_image(owner="alice", shared_accounts=("bob",)),
        an_image(owner="alice", sharing_mode="specified", shared_accounts=("bob",)),
        an_image(owner="alice", sharing_mode="specified", shared_projects=("blue",)),
        an_image(owner="alice", sharing_mode="global"),
    )
    seen = {
        "alice": {private.id, to_bob.id, to_blue.id, everybody.id},
        "admin": {private.id, to_bob.id, to_blue.id, everybody.id},
        "bob": {to_bob.id, everybody.id},
        "dora": {to_blue.id, everybody.id},
        "blue": {everybody.id},
    }
    for account, ids in seen.items():
        assert {i.id for i in catalog.images(account=account)} == ids
    assert catalog.image(to_blue.id, account="dora") == to_blue
    with pytest.raises(errors.ImageNotFound) as denied:
        catalog.image(to_blue.id, account="bob")
    with pytest.raises(errors.ImageNotFound) as absent:
        catalog.image("nowhere", account="bob")
    assert str(denied.value).replace(to_blue.id, "nowhere") == str(absent.value)


def test_a_new_sharing_replaces_the_old_one_at_once(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image(owner="alice", sharing_mode="specified", shared_accounts=("bob",)))
    assert list(catalog.images(account="bob"))
    saved(catalog, image.model_copy(update={"shared_accounts": ("carl",)}))
    assert list(catalog.images(account="bob")) == []
    assert list(catalog.images(account="carl"))


def test_latest_of_a_family_is_the_newest_that_may_be_used(catalog: Catalog) -> None:
    def member(hours: int, **fields: object) -> Image:
        return an_image(family="debian", created_at=START + timedelta(hours=hours), **fields)

    _old, new, *_ = saved(
        catalog,
        member(1, status="Ready"),
        member(2, status="Ready"),
        member(3, status="Ready", state="Disabled"),
        member(4, status="Ready", deprecated=True),
        member(5, status="Downloading"),
        member(6, status="Deleted"),
    )
    assert catalog.latest("debian").id == new.id
    with pytest.raises(errors.ImageNotFound):
        catalog.latest("debian", account="bob")
    with pytest.raises(errors.ImageNotFound):
        catalog.latest("other")


def test_the_latest_is_of_the_architecture_that_was_asked_for(catalog: Catalog) -> None:
    def member(hours: int, **fields: object) -> Image:
        return an_image(family="debian", status="Ready", created_at=START + timedelta(hours=hours), **fields)

    intel, *many, arm = saved(
        catalog,
        member(1, cpu_architecture="x86_64"),
        *(member(hours, cpu_architecture="aarch64") for hours in range(2, 22)),
    )
    assert len(many) > 2 * FEW
    assert catalog.latest("debian").id == intel.id
    assert catalog.latest("debian", "aarch64").id == arm.id
    with pytest.raises(errors.ImageNotFound, match="'latest' of family 'debian' for loongarch64"):
        catalog.latest("debian", cpu_architecture="loongarch64")
    with pytest.raises(errors.InvalidRequest, match="cpu_architecture: 'arm64' is not allowed; one of x86_64"):
        catalog.latest("debian", "arm64")
    (data,) = saved(catalog, an_image(family="data", status="Ready", image_type="Volume", cpu_architecture=None))
    assert catalog.latest("data", "aarch64").id == data.id


def test_deprecated_images_are_listed_apart(catalog: Catalog) -> None:
    old, new = saved(catalog, an_image(deprecated=True), an_image())
    assert [image.id for image in catalog.images(deprecated=True)] == [old.id]
    assert [image.id for image in catalog.images(deprecated=False)] == [new.id]
    assert len(list(catalog.images())) == 2


def test_replicas_of_several_images_are_one_question(catalog: Catalog) -> None:
    images = saved(catalog, *(an_image() for _ in range(3)))
    with catalog.changing("admin") as change:
        for image in images:
            change.save_replica(a_replica(image))
    assert {r.image_id for r in catalog.replicas_of([i.id for i in images[:2]])} == {i.id for i in images[:2]}
    assert list(catalog.replicas_of([])) == []


def test_things_are_found_by_what_they_belong_to(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image())
    replica, export = a_replica(image), an_export(image)
    leftover = Leftover(
        id="l", image_id=image.id, image_storage="old", location="x", size_bytes=1, moved_to="default", created_at=START
    )  # fmt: skip
    volume = Volume(
        id="v", name="v", image_id=image.id, primary_storage="default", location="x", backing="y", size_bytes=1,
        created_at=START,
    )  # fmt: skip
    cached = CachedImage(
        image_id=image.id, primary_storage="default", location="c", size_bytes=3, last_used_at=START, created_at=START
    )  # fmt: skip
    second = ImageStorage(name="second", kind="ceph", url="rbd://pool", created_at=START)
    with catalog.changing(actor="admin") as change:
        change.save_image_storage(second)
        change.save_replica(replica)
        change.save_export(export)
        change.save_leftover(leftover)
        change.save_volume(volume)
        change.save_cached_image(cached)
    assert [s.name for s in catalog.image_storages()] == ["default", "second"]
    assert list(catalog.replicas(image.id)) == list(catalog.replicas(image_storage="default")) == [replica]
    assert list(catalog.replicas(image_storage="second")) == []
    assert catalog.replica(image.id, "default") == replica
    assert list(catalog.exports()) == [export]
    assert list(catalog.exports(image.id, image_storage="default")) == [export] == [catalog.exported(export.id)]
    assert list(catalog.leftovers(image_storage="old")) == [leftover] == [catalog.leftover("l")]
    assert list(catalog.volumes(image_id=image.id)) == [volume] == [catalog.volume("v")]
    assert catalog.cached_image(image.id, "default") == cached
    assert list(catalog.cached_images(primary_storage="default")) == [cached]
    assert catalog.cached_image(image.id, "other") is None


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda c: c.image("x"), errors.ImageNotFound),
        (lambda c: c.replica("x", "default"), errors.ImageNotFound),
        (lambda c: c.exported("x"), errors.ExportNotFound),
        (lambda c: c.leftover("x"), errors.LeftoverNotFound),
        (lambda c: c.volume("x"), errors.VolumeNotFound),
        (lambda c: c.image_storage("x"), errors.StorageNotFound),
        (lambda c: c.primary_storage("x"), errors.StorageNotFound),
    ],
)
def test_absence_is_an_error_never_none(catalog: Catalog, ask: "object", error: type[errors.ImagewrightError]) -> None:
    assert callable(ask)
    with pytest.raises(error, match="'x"):
        ask(catalog)


def test_text_that_no_database_keeps_is_replaced(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image(status="Error", error="server said \0\ud800!", warnings=("\0",)))
    assert (image.error, image.warnings) == ("server said \ufffd\ufffd!", ("\ufffd",))
    assert catalog.image(image.id) == image
    assert catalog.verify_events()


def test_a_moment_without_a_time_zone_is_refused(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        saved(catalog, an_image(created_at=START.replace(tzinfo=None)))


def test_moments_of_other_zones_are_kept_as_utc(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image(created_at=START.astimezone(timezone(timedelta(hours=8)))))
    saved(catalog, catalog.image(image.id))
    assert image.created_at == START
    *_, again = catalog.events(image.id)
    assert set(again.after or {}) == {"version", "updated_at"}
