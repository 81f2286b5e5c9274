"""Each sweeper runs while a writer is stopped in the middle of what it sweeps: it leaves it alone, and takes it once nobody writes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from catalog.records import ExportedImage, Image
from catalog.rules.storages.drift import Drift
from storage.protocols import SourceInfo
from tasks.images.deletion import Deletion
from tasks.runtime.holders import holder
from tasks.runtime.locks import export_lock
from tasks.storages.inventory import take_stock
from tasks.storages.reconcile import reconcile_batch
from tasks.upkeep.retry_deferred import due_work, retry
from tests.flows.moving import NOW, World, image_of, noise

STOPPED_S = 30


@dataclass
class Scene:
    """An image on storage a."""

    world: World
    image: Image
    data: bytes

    @property
    def export(self) -> Path:
        return self.world.settings.exports_folder / self.image.id / "a.raw"


@pytest.fixture
def scene(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    world = World(tmp_path / "stores", monkeypatch)
    for name in ("a", "b"):
        world.store(name)
    data = noise(50_000)
    return Scene(world, world.add(world.open_store("a"), data), data)


@contextmanager
def locked(scene: Scene, name: str) -> Iterator[None]:
    """Hold a lock as another run does, whose process lives."""
    with scene.world.catalog() as catalog, catalog.locked(name, holder=holder().replace("call@", "writer@")):
        yield


@contextmanager
def an_export(scene: Scene) -> Iterator[Path]:
    """Be in the middle of an export, as `tasks.images.export` makes it."""
    arrived, go = threading.Event(), threading.Event()

    def stop(_done: int, _total: int | None) -> None:
        arrived.set()
        go.wait(STOPPED_S)

    def work() -> None:
        scene.world.open_store("a").export(scene.image.id, scene.export, stop)

    with locked(scene, export_lock(scene.image.id)):
        scene.export.parent.mkdir(parents=True, exist_ok=True)
        writer = threading.Thread(target=work)
        writer.start()
        assert arrived.wait(STOPPED_S)
        (part,) = scene.export.parent.iterdir()
        try:
            yield part
        finally:
            go.set()
            writer.join(STOPPED_S)
        assert scene.export.read_bytes() == scene.data


@contextmanager
def a_named_export(scene: Scene) -> Iterator[Path]:
    """Be between naming the file of an export and letting the catalog know it."""
    with locked(scene, export_lock(scene.image.id)):
        scene.export.parent.mkdir(parents=True, exist_ok=True)
        scene.export.write_bytes(b"whole")
        yield scene.export


@contextmanager
def a_landing(scene: Scene, landing_id: str, *locks: str, on: str = "b") -> Iterator[Path]:
    """Be in the middle of bringing bytes to a storage."""
    with ExitStack() as stack:
        for lock in locks:
            stack.enter_context(locked(scene, lock))
        landing = scene.world.open_store(on).landing(landing_id)
        landing.begin(SourceInfo(url="test:", resumable=True))
        landing.write(memoryview(noise(200_000, 5)))
        yield scene.world.folder / on / "landings" / landing_id
        landing.finish()
        landing.close()


def an_add(scene: Scene) -> "ExitStack | object":
    image = image_of(noise(10, 3))
    return a_landing(scene, image.id, image.id)


def a_rebuild(scene: Scene) -> object:
    return a_landing(scene, f"{scene.image.id}.repair", scene.image.id, on="a")


def a_move(scene: Scene) -> object:
    return a_landing(scene, f"{scene.image.id}.move", scene.image.id, on="a")


def a_sync(scene: Scene) -> object:
    landing_id = f"sync-{uuid4()}"
    return a_landing(scene, landing_id, landing_id)


def reconcile(_scene: Scene) -> None:
    drifts = take_stock.fn(("a", "b"))
    if drifts:
        reconcile_batch.fn(drifts)


def reclaim_space(_scene: Scene) -> None:
    from storage.abilities import Reclaimable
    from tasks.replicas.landings import needed_landings

    with _scene.world.catalog() as catalog:
        for name in ("a", "b"):
            storage = _scene.world.open_store(name)
            assert isinstance(storage, Reclaimable)
            storage.reclaim(needed_landings(catalog, storage))


def retry_deferred(scene: Scene) -> None:
    bits = Deletion(
        operation="delete export", subject="export:old", image_id=scene.image.id, storage="",
        location=str(scene.export), bytes=1,
    )  # fmt: skip
    with scene.world.catalog() as catalog, catalog.changing("admin") as change:
        bits.defer(change, "its disk was away")
    works = [work for work in due_work.fn(None, True) if work.operation == "delete export"]
    retry.fn(works, "admin")


PAIRS: list[tuple[Callable[[Scene], object], Callable[[Scene], None]]] = [
    (an_export, reconcile),
    (a_named_export, reconcile),
    (a_named_export, retry_deferred),
    *((writer, sweeper) for writer in (an_add, a_rebuild, a_move, a_sync) for sweeper in (reconcile, reclaim_space)),
]


@pytest.mark.parametrize(("writer", "sweeper"), PAIRS, ids=[f"{w.__name__}-{s.__name__}" for w, s in PAIRS])
def test_a_sweeper_leaves_alone_what_is_being_written(
    scene: Scene, writer: Callable[[Scene], object], sweeper: Callable[[Scene], None]
) -> None:
    with writer(scene) as written:  # type: ignore[attr-defined]
        sweeper(scene)
        assert written.exists()
    if written.exists():
        sweeper(scene)
        assert not written.exists()


def test_a_file_that_is_written_since_stock_was_taken_is_kept(scene: Scene) -> None:
    with a_named_export(scene) as file:
        pass
    (drift,) = take_stock.fn(("a", "b"))
    assert drift == Drift(verb="delete export file", subject=str(file), reason=drift.reason)
    with locked(scene, export_lock(scene.image.id)):
        (item,) = reconcile_batch.fn((drift,))
    assert (item.outcome, file.exists()) == ("kept", True)


def test_a_file_that_was_made_again_is_not_deleted_by_work_that_was_put_off(scene: Scene) -> None:
    with a_named_export(scene) as file:
        again = ExportedImage(
            id=str(uuid4()), image_id=scene.image.id, image_storage="a", format="raw", path=str(file), size_bytes=5,
            md5="0" * 32, sha256="0" * 64, created_at=NOW,
        )  # fmt: skip
        with scene.world.catalog() as catalog, catalog.changing("admin") as change:
            change.save_export(again)
    retry_deferred(scene)
    assert file.exists()
