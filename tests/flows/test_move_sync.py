"""Synchronising ImageStores through the flow: what is behind comes, what is there stays, and the report says so."""

import time
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from catalog.errors import ImagewrightError, InvalidRequest, StorageNotFound, StorageRefused, SyncFailed
from catalog.records import Image, ImageStatus, Plan, SyncReport
from flows.requests import ChangeImageStorage, SyncImages
from storage.chips.counting import CountingObjects
from storage.chips.manifests import FOLDER as MANIFESTS
from storage.chips.memory import MemoryObjects
from storage.sync_network import local_addresses
from tests.flows.moving import NOW, World, artifact, in_one_run, noise, read_all

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
    from flows.sync_images import sync_images

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
        assert synced(owner="carol") == {}
        assert synced(changed_since=(world.image(db.id).updated_at + timedelta(days=1)).isoformat()) == {}
        assert synced(account="alice") == {web.id: "already there"}
        plan = sync(name_pattern="web-*", deletion="mirror", plan_only=True)
        assert isinstance(plan, Plan)
        assert [a.subject for a in plan.actions if a.verb == "delete replica"] == [f"replica:{db.id}@b"]
        assert synced(name_pattern="web-*", deletion="mirror") == {web.id: "already there"}

    in_one_run(work)
    assert world.wholes(web) == {"a", "b"}
    assert world.wholes(db) == {"a"}  # it no longer matched; the source still has it
    assert world.wholes(own) == {"b"}  # the source never had it: the rule is not about it


def test_what_can_t_be_synced_is_told_and_stops_no_other(world: World) -> None:
    good = world.add(world.open_store("a"), DATA)
    gone = world.add(world.open_store("a"), noise(9_000, 1))
    world.open_store("a").delete(gone.id)
    elsewhere = world.add(world.open_store("b"), noise(9_000, 2))
    with world.catalog() as catalog, catalog.changing("admin") as change:
        binned = change.save_image(
            change.image(elsewhere.id).model_copy(update={"status": ImageStatus.DELETED})
        )

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
            change.save_image_storage(
                change.image_storage("b").model_copy(update={"sync_network": "203.0.113.0/24"})
            )
        refused(StorageRefused, r"203\.0\.113\.0/24 and this host has no address there")
        with world.catalog() as catalog, catalog.changing("admin") as change:
            change.save_image_storage(
                change.image_storage("b").model_copy(update={"sync_network": "127.0.0.0/8"})
            )
        assert set(synced().values()) == {"synced"}

    in_one_run(work)
    assert "127.0.0.1" in {str(address) for address in local_addresses()}


def test_an_image_that_somebody_works_on_is_left_to_the_next_run(world: World) -> None:
    from tasks.resources import holder

    busy, free = (world.add(world.open_store("a"), noise(9_000, n)) for n in (1, 2))
    another = holder().replace("call@", "another@")  # of this process, which lives

    def work() -> None:
        with world.catalog() as catalog, catalog.locked(busy.id, another):
            assert synced() == {free.id: "synced", busy.id: "failed"}
        assert synced() == {free.id: "already there", busy.id: "synced"}

    in_one_run(work)


def test_a_leftover_becomes_a_replica_again_without_a_byte(world: World) -> None:
    from flows.change_storage import change_image_storage

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
