"""Synchronising ImageStores through the flow: what is behind comes, what is there stays, and the report says so."""

import time
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from catalog.errors import (
    ImagewrightError,
    InvalidRequest,
    NothingMatches,
    StorageNotFound,
    StorageRefused,
    SyncFailed,
)
from catalog.records import Image, ImageStatus, Plan, SyncReport
from flows.requests import ChangeImageStorage, SyncImages
from storage.imagestore.reading.manifests import FOLDER as MANIFESTS
from storage.replicas.sync_network import local_addresses
from tests.flows.moving import NOW, World, artifact, in_one_run, noise, read_all
from tests.storage.imagestore.counted import CountingObjects
from tests.storage.memory_objects import MemoryObjects

pytestmark = pytest.mark.prefect
DATA = noise(120_000)


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "stores", monkeypatch)
    for name in ("a", "b"):
        made.store(name)
        made.objects[name] = MemoryObjects()
    return made


def sync(**fields: object) -> SyncReport | Plan:
    from flows.replicas.sync import sync_images

    return sync_images.fn(SyncImages.model_validate({"source": "a", "target": "b"} | fields))


def synced(**fields: object) -> dict[str, str]:
    report = sync(**fields)
    assert isinstance(report, SyncReport)
    return {outcome.image_id: outcome.outcome for outcome in report.images}


def test_a_sync_brings_what_is_behind_and_a_second_one_nothing(world: World) -> None:
    first = world.add(world.open_store("a"), DATA, name="debian-12")
    second = world.add(world.open_store("a"), DATA[:90_000] + noise(20_000, 3), name="debian-13")

    def work() -> None:
        plan = sync(plan_only=True)
        assert isinstance(plan, Plan)
        assert {action.verb for action in plan.actions} == {"send chips"}
        assert list(world.open_store("b").images()) == []
        report = sync()
        assert isinstance(report, SyncReport)
        assert [o.outcome for o in report.images] == ["synced", "synced"]
        assert report.bytes_sent == plan.bytes_to_move < 160_000
        assert report.bytes_saved > 80_000
        assert sum(o.chips_sent for o in report.images) < sum(o.chips_total for o in report.images)
        assert "| of these brought now | 2 |" in artifact("replication-a-to-b")
        assert set(synced().values()) == {"already there"}

    in_one_run(work)
    for image in (first, second):
        assert world.wholes(image) == {"a", "b"}
    with world.catalog() as catalog:
        assert "imagewright.image.synced" in [event.kind for event in catalog.events(first.id)]
        assert catalog.lease(first.id).holder is None
    assert list(world.open_store("b").landings()) == []


def test_filters_choose_and_a_rule_may_mirror_deletions(world: World) -> None:
    store = world.open_store("a")
    web = world.add(store, noise(20_000, 1), name="web-1", family="web", owner="alice")
    db = world.add(store, noise(20_000, 2), name="db-1", family="db", owner="bob")
    own = world.add(world.open_store("b"), noise(20_000, 3), name="only here")

    def work() -> None:
        assert synced(name_pattern="web-*", plan_only=False) == {web.id: "synced"}
        assert synced(family="db") == {db.id: "synced"}
        tomorrow = (world.image(db.id).updated_at + timedelta(days=1)).isoformat()
        assert synced(changed_since=tomorrow) == {}
        assert synced(changed_since=tomorrow, deletion="mirror") == {}  # unchanged is not unwanted
        assert synced(account="alice") == {web.id: "already there"}
        plan = sync(name_pattern="web-*", deletion="mirror", plan_only=True)
        assert isinstance(plan, Plan)
        assert [a.subject for a in plan.actions if a.verb == "make leftover"] == [f"replica:{db.id}@b"]
        assert synced(name_pattern="web-*", deletion="mirror") == {web.id: "already there", db.id: "removed"}

    in_one_run(work)
    assert world.wholes(web) == {"a", "b"}
    with world.catalog() as catalog:  # it no longer matched: its bytes stay until somebody cleans up
        assert [r.image_storage for r in catalog.replicas(db.id)] == ["a"]
        assert [(left.image_id, left.image_storage) for left in catalog.leftovers()] == [(db.id, "b")]
    in_one_run(lambda: back(db))
    assert world.wholes(db) == {"a", "b"}
    assert world.wholes(own) == {"b"}  # the source never had it: the rule is not about it


def back(image: Image) -> None:
    """Sync an image that a rule removed: nothing of it travels again, and it is no leftover any more."""
    report = sync(image_ids=(image.id,))
    assert isinstance(report, SyncReport)
    assert [(o.outcome, o.bytes_sent) for o in report.images] == [("synced", 0)]


@pytest.mark.parametrize("slip", [{"name_pattern": "wbe-*"}, {"family": "wbe"}, {"owner": "carol"}])
@pytest.mark.parametrize("deletion", ["keep", "mirror"])
def test_a_selection_that_matches_nothing_is_an_error_and_deletes_nothing(
    world: World, slip: dict[str, str], deletion: str
) -> None:
    web = world.add(world.open_store("a"), noise(20_000, 1), name="web-1", family="web")

    def work() -> None:
        assert synced() == {web.id: "synced"}
        for plan_only in (True, False):
            with pytest.raises(
                NothingMatches,
                match=f"no Ready image on image storage 'a' matches.*{next(iter(slip.values()))[:3]}",
            ):
                sync(**slip, deletion=deletion, plan_only=plan_only)

    in_one_run(work)
    assert world.wholes(web) == {"a", "b"}
    with world.catalog() as catalog:
        assert not list(catalog.leftovers())


def test_a_mirror_keeps_what_is_protected_and_says_so_and_passes_over_other_accounts(world: World) -> None:
    store = world.open_store("a")
    web = world.add(store, noise(20_000, 1), name="web-1", owner="alice")
    safe = world.add(store, noise(20_000, 2), name="db-1", protected=True, owner="alice")
    other = world.add(store, noise(20_000, 3), name="db-2", owner="bob")

    def work() -> None:
        assert set(synced().values()) == {"synced"}
        asked = {"name_pattern": "web-*", "deletion": "mirror", "account": "alice"}
        plan = sync(**asked, plan_only=True)
        assert isinstance(plan, Plan)
        reasons = {a.subject: a.reason for a in plan.actions if a.verb == "keep"}
        assert reasons == {
            f"replica:{safe.id}@b": "it does not match, but it is protected",
        }
        assert synced(**asked) == {web.id: "already there", safe.id: "kept"}

    in_one_run(work)
    for image in (web, safe, other):
        assert world.wholes(image) == {"a", "b"}


def test_what_can_t_be_synced_is_told_and_stops_no_other(world: World) -> None:
    good = world.add(world.open_store("a"), DATA)
    gone = world.add(world.open_store("a"), noise(9_000, 1))
    world.open_store("a").delete(gone.id)
    elsewhere = world.add(world.open_store("b"), noise(9_000, 2))
    with world.catalog() as catalog, catalog.changing("admin") as change:
        binned = change.save_image(change.image(elsewhere.id).model_copy(update={"status": ImageStatus.DELETED}))

    def work() -> None:
        report = sync(image_ids=(good.id, gone.id, binned.id, "nonsense"))
        assert isinstance(report, SyncReport)
        told = {o.image_id: (o.outcome, o.error or "") for o in report.images}
        assert told[good.id] == ("synced", "")
        assert "does not hold it" in told[gone.id][1]
        assert "Deleted: sync is allowed only when it is Ready" in told[binned.id][1]
        assert "no image 'nonsense'" in told["nonsense"][1]
        with pytest.raises(SyncFailed, match="nonsense"):
            sync(image_ids=("nonsense",))

    in_one_run(work)


def test_requests_that_can_t_be_met_are_refused_in_words(world: World) -> None:
    world.add(world.open_store("a"), DATA)

    def refused(kind: type[ImagewrightError], words: str, **fields: object) -> None:
        with pytest.raises(kind, match=words):
            sync(**fields)

    def work() -> None:
        refused(InvalidRequest, "another ImageStore than the source", target="a")
        refused(StorageNotFound, "nowhere", target="nowhere")
        with world.catalog() as catalog, catalog.changing("admin") as change:
            change.save_image_storage(change.image_storage("b").model_copy(update={"sync_network": "203.0.113.0/24"}))
        refused(StorageRefused, r"203\.0\.113\.0/24 and this host has no address there")
        with world.catalog() as catalog, catalog.changing("admin") as change:
            change.save_image_storage(change.image_storage("b").model_copy(update={"sync_network": "127.0.0.0/8"}))
        assert set(synced().values()) == {"synced"}

    in_one_run(work)
    assert "127.0.0.1" in {str(address) for address in local_addresses()}


def test_an_image_that_somebody_works_on_is_left_to_the_next_run(world: World) -> None:
    from tasks.runtime.holders import holder

    busy, free = (world.add(world.open_store("a"), noise(9_000, n)) for n in (1, 2))
    another = holder().replace("call@", "another@")  # of this process, which lives

    def work() -> None:
        with world.catalog() as catalog, catalog.locked(busy.id, another):
            assert synced() == {free.id: "synced", busy.id: "failed"}
        assert synced() == {free.id: "already there", busy.id: "synced"}

    in_one_run(work)


def test_a_leftover_becomes_a_replica_again_without_a_byte(world: World) -> None:
    from flows.replicas.move import change_image_storage

    image = world.add(world.open_store("b"), DATA)

    def work() -> None:
        change_image_storage.fn(ChangeImageStorage(image_id=image.id, source="b", target="a"))
        report = sync()
        assert isinstance(report, SyncReport)
        assert [(o.outcome, o.bytes_sent) for o in report.images] == [("synced", 0)]

    in_one_run(work)
    assert world.wholes(image) == {"a", "b"}
    with world.catalog() as catalog:
        assert list(catalog.leftovers()) == []


def many(world: World, count: int) -> list[Image]:
    """Put tiny images on the source that share most of their chips."""
    store = world.open_store("a")
    random, shared = Random(4), noise(24_000, 9)
    return [world.add(store, shared + random.randbytes(2_000), name=f"tiny-{n}") for n in range(count)]


def check_many(world: World, count: int) -> tuple[float, float]:
    images = many(world, count)
    counting = CountingObjects(world.objects["a"])
    times = []

    def work() -> None:
        world.objects["a"] = counting
        for expected in ("synced", "already there"):
            began, counting.read_bytes = time.monotonic(), 0
            counting.calls.clear()
            assert set(synced().values()) == {expected}
            times.append(time.monotonic() - began)
        manifests = sum(i.size_bytes for i in world.objects["b"].list(MANIFESTS))
        assert counting.read_bytes <= manifests

    in_one_run(work)
    assert len(list(world.objects["b"].list(MANIFESTS))) == count
    assert read_all(world.open_store("b"), images[-1].id) == read_all(world.open_store("a"), images[-1].id)
    assert sum(1 for _ in world.objects["b"].list("index/")) <= count / 50
    assert images[0].created_at == NOW
    return times[0], times[1]


def test_many_tiny_images_are_cheap_and_an_unchanged_second_run_costs_manifests_only(world: World) -> None:
    check_many(world, 120)


@pytest.mark.long
def test_a_thousand_tiny_images(world: World) -> None:
    first, second = check_many(world, 1000)
    print(f"1000 images: {first:.1f} s, again {second:.2f} s")
    assert second < first / 5
