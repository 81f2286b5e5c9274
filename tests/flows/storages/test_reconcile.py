"""Thirty ways in which catalog and storages drift apart: each is planned by its name, corrected, and then gone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.records import Plan, ReconcileReport
from flows.requests import ReconcileStorages
from tasks.storages.inventory import take_stock
from tasks.storages.reconcile import reconcile_batch
from tests.flows.moving import World, artifact, in_one_run, noise, read_all
from tests.flows.storages.drifted import BOTH, TABLE, Scene, manifest_lost, ready_on

pytestmark = pytest.mark.prefect

STAYS = {
    "leave",
    "restore replica",
    "repair store",
}  # a replica that nobody has stays missing: it is said again each time


@pytest.fixture
def scene(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    world = World(tmp_path / "stores", monkeypatch)
    for name in BOTH:
        world.store(name)
    data = noise(50_000)
    return Scene(world, world.add(world.open_store("a"), data), data)


@pytest.mark.parametrize(("break_it", "verbs", "holds"), TABLE, ids=[row[0].__name__ for row in TABLE])
def test_drift_is_planned_and_mended(
    scene: Scene, break_it: Callable[[Scene], None], verbs: list[str], holds: Callable[[Scene], None]
) -> None:
    assert take_stock.fn(BOTH) == ()
    break_it(scene)
    drifts = take_stock.fn(BOTH)
    assert [drift.verb for drift in drifts] == verbs
    items = reconcile_batch.fn(drifts)
    assert {item.outcome for item in items} == ({"kept"} if verbs == ["leave"] else {"done"}), items
    holds(scene)
    assert {drift.verb for drift in take_stock.fn(BOTH)} <= STAYS & set(verbs)


def test_what_somebody_works_on_is_left_alone(scene: Scene) -> None:
    from tasks.runtime.holders import holder

    with scene.world.catalog() as catalog, catalog.locked(scene.image.id, holder()):
        scene.manifest().unlink()
        assert take_stock.fn(BOTH) == ()
    assert [drift.verb for drift in take_stock.fn(BOTH)] == ["restore replica"]


def test_nothing_is_concluded_from_a_storage_that_does_not_answer(scene: Scene) -> None:
    broken = scene.world.objects["a"]

    def unavailable(*_: object) -> None:
        from catalog.errors import StorageUnavailable

        raise StorageUnavailable("a", "no route to host")

    class Silent(type(broken)):  # type: ignore[misc]  # whatever kind of store it is
        put = get = unavailable

    scene.world.objects["a"] = Silent.__new__(Silent)
    scene.world.objects["a"].__dict__.update(broken.__dict__)
    (drift,) = take_stock.fn(BOTH)
    assert (drift.verb, drift.subject, drift.image_storage) == ("set connection", "Disconnected", "a")
    reconcile_batch.fn((drift,))
    scene.world.objects["a"] = broken
    (drift,) = take_stock.fn(BOTH)
    assert (drift.verb, drift.subject) == ("set connection", "Connected")
    reconcile_batch.fn((drift,))
    assert scene.world.wholes(scene.image) == {"a"}


def test_the_flow_plans_first_and_mends_when_told(scene: Scene) -> None:
    def work() -> None:
        from flows.storages.reconcile import reconcile_storages

        manifest_lost(scene)
        plan = reconcile_storages.fn(ReconcileStorages(image_storages=BOTH, plan_only=True))
        assert isinstance(plan, Plan)
        assert [(a.verb, a.subject) for a in plan.actions] == [("restore replica", f"{scene.image.id}@a")]
        assert not scene.manifest().exists()
        assert "restore replica" in artifact("storage-drift")
        report = reconcile_storages.fn(ReconcileStorages(image_storages=BOTH))
        assert isinstance(report, ReconcileReport)
        assert [item.outcome for item in report.items] == ["done"]

    in_one_run(work)
    ready_on("a", "b")(scene)
    assert read_all(scene.world.open_store("a"), scene.image.id) == scene.data


def test_the_catalog_is_rebuilt_from_the_storages_alone(scene: Scene) -> None:
    scene.on_b()
    with scene.world.catalog() as catalog:
        records = [catalog.image_storage(name) for name in BOTH]
    (scene.world.settings.home / "catalog.db").unlink()
    for extra in scene.world.settings.home.glob("catalog.db-*"):
        extra.unlink()
    for record in records:
        scene.world.register(record)
    assert_verbs(["adopt image", "adopt image"])
    first, second = take_stock.fn(BOTH)
    reconcile_batch.fn((first,))
    assert_verbs(["adopt replica"])
    reconcile_batch.fn(take_stock.fn(BOTH))
    assert second.subject == first.subject == scene.image.id
    ready_on("a", "b")(scene)


def assert_verbs(verbs: list[str]) -> None:
    assert [drift.verb for drift in take_stock.fn(BOTH)] == verbs
