"""compact-storage: older builds take less room, plans change nothing, and what is asked wrongly is refused."""

from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import pytest

from catalog.errors import ImageBusy, InvalidRequest, StorageNotFound
from catalog.records import CompactionReport, Plan
from flows.requests import CompactStorage
from flows.storages.compact import compact_storage
from storage.imagestore.storage import ImageStore
from storage.imagestore.upkeep.rewriting import Rewriting
from tasks.replicas.landings import needed_landings
from tasks.runtime.holders import holder
from tasks.storages.compact import compact
from tests.flows.moving import World
from tests.storage.imagestore.compacting import build


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "stores", monkeypatch)
    made.store("a")
    return made


@pytest.mark.prefect
def test_builds_are_compacted_and_read_as_before(world: World) -> None:
    images = {world.add(world.open_store("a"), data).id: data for data in map(build, (1, 2))}
    plan = compact_storage(CompactStorage(image_storage="a", older_than_days=0, plan_only=True))
    assert isinstance(plan, Plan)
    assert [action.subject for action in plan.actions] == ["a"]
    young = compact_storage(CompactStorage(image_storage="a"))
    assert isinstance(young, CompactionReport)
    assert (young.images, young.bytes_after) == (0, young.bytes_before)
    report = compact_storage(CompactStorage(image_storage="a", older_than_days=0))
    assert isinstance(report, CompactionReport)
    assert (report.images, report.images_left) == (2, 0)
    assert report.bytes_after < 0.7 * report.bytes_before
    for image_id, data in images.items():
        assert world.open_store("a").open(image_id).read_at(0, len(data)) == data
    with world.catalog() as catalog:
        known = catalog.image_storage("a")
    assert (known.logical_bytes, known.kept_bytes) == (sum(map(len, images.values())), report.bytes_after)
    assert known.saved_by_compaction_bytes == report.saved_by_compaction_bytes > 0
    assert known.measured_at is not None
    with pytest.raises(InvalidRequest):
        compact_storage(CompactStorage(image_storage="a", account="other"))
    with pytest.raises(StorageNotFound):
        compact_storage(CompactStorage(image_storage="nowhere"))


def test_two_runs_over_one_storage_take_turns(world: World) -> None:
    name = f"compaction-{uuid5(NAMESPACE_URL, 'a')}"
    with (
        world.catalog() as catalog,
        catalog.locked(name, holder=holder().replace("call@", "other@")),
        pytest.raises(ImageBusy),
    ):
        compact.fn("a", 0, None, plan_only=False)


def test_what_a_compaction_that_died_pinned_is_swept(world: World) -> None:
    storage = world.open_store("a")
    image = world.add(storage, build(1))
    assert isinstance(storage, ImageStore)
    chips = storage.pieces(image.id).data_digests
    Rewriting(storage.chips, "compaction-dead").begin(chips, ())
    with world.catalog() as catalog:
        assert needed_landings(catalog, storage) == frozenset()
        storage.reclaim(needed_landings(catalog, storage))
    assert [landing.landing_id for landing in storage.landings()] == []
