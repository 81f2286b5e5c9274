"""Ways in which catalog and storages drift apart, and what must hold when each is corrected."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from catalog.errors import ImageNotFound
from catalog.records import ExportedImage, Image, ImageStatus, Leftover, Replica, ReplicaStatus
from storage.protocols import SourceInfo
from tasks.storages.inventory import take_stock
from tests.flows.moving import NOW, World, image_of, noise
from tests.storage.stores import land

BOTH = ("a", "b")


@dataclass
class Scene:
    """One image on storage a, or on both, and the world around it."""

    world: World
    image: Image
    data: bytes

    def on_b(self) -> None:
        """Put a second replica on b."""
        store = self.world.open_store("b")
        replica = store.publish(self.image.id, self.image, land(store, self.image.id, self.data))
        self.change(lambda change: change.save_replica(replica))

    def change(self, work: Callable[..., object]) -> None:
        with self.world.catalog() as catalog, catalog.changing("admin") as change:
            work(change)

    def row(self, name: str = "a") -> Replica:
        return self.world.replicas(self.image.id)[name]

    def status(self, status: ImageStatus, error: str | None = None) -> None:
        changed = {"status": status, "error": error}
        self.change(lambda c: c.save_image(c.image(self.image.id).model_copy(update=changed)))

    def manifest(self, name: str = "a") -> Path:
        return self.world.folder / name / "manifests" / self.image.id


def manifest_lost(s: Scene) -> None:
    s.on_b()
    s.manifest().unlink()


def manifest_garbled(s: Scene) -> None:
    s.on_b()
    s.manifest().write_bytes(b"IWMF" + bytes(100))


def only_manifest_lost(s: Scene) -> None:
    s.manifest().unlink()


def only_manifest_garbled(s: Scene) -> None:
    s.manifest().write_bytes(s.manifest().read_bytes()[:-1])


def whole_store_lost(s: Scene) -> None:
    s.on_b()
    for kind in ("manifests", "packs", "index"):
        shutil.rmtree(s.world.folder / "a" / kind)


def index_garbled(s: Scene) -> None:
    (segment, *_) = (s.world.folder / "a" / "index").iterdir()
    segment.write_bytes(segment.read_bytes()[:-1])


def parameters_changed(s: Scene) -> None:
    file = s.world.folder / "a" / "store.json"
    file.write_text(file.read_text().replace('"level": 2', '"level": 3'))


def pack_lost(s: Scene) -> None:
    s.on_b()
    for pack in (s.world.folder / "a" / "packs").rglob("*/*"):
        pack.unlink()


def only_pack_cut(s: Scene) -> None:
    for pack in (s.world.folder / "a" / "packs").rglob("*/*"):
        pack.write_bytes(pack.read_bytes()[:40])


def row_of_an_add_that_died(s: Scene) -> None:
    landing = s.row().model_copy(update={"image_storage": "b", "status": ReplicaStatus.LANDING})
    s.change(lambda c: c.save_replica(landing))


def row_of_a_deletion_that_died(s: Scene) -> None:
    s.on_b()
    s.change(lambda c: c.save_replica(s.row("b").model_copy(update={"status": ReplicaStatus.DELETING})))
    s.world.open_store("b").delete(s.image.id)


def other_bytes_under_the_id(s: Scene) -> None:
    s.on_b()
    other = noise(5_000, 99)
    store = s.world.open_store("a")
    store.publish("x", image_of(other, id=s.image.id), land(store, "x", other))


def only_other_bytes_under_the_id(s: Scene) -> None:
    other = noise(5_000, 99)
    store = s.world.open_store("a")
    store.publish("x", image_of(other, id=s.image.id), land(store, "x", other))


def row_lost(s: Scene) -> None:
    s.on_b()
    s.change(lambda c: c.remove_replica(s.image.id, "b"))


def only_row_lost(s: Scene) -> None:
    s.change(lambda c: c.remove_replica(s.image.id, "a"))


def binned_row_lost(s: Scene) -> None:
    s.on_b()
    s.change(lambda c: c.remove_replica(s.image.id, "b"))
    s.status(ImageStatus.DELETED)


def foreign_bytes_beside(s: Scene) -> None:
    other = noise(5_000, 98)
    store = s.world.open_store("b")
    store.publish("x", image_of(other, id=s.image.id), land(store, "x", other))


def image_row_lost(s: Scene) -> None:
    data = noise(7_000, 97)
    stranger, store = image_of(data, name="a stranger"), s.world.open_store("b")
    store.publish("x", stranger, land(store, "x", data))


def expunged_but_there(s: Scene) -> None:
    s.change(lambda c: c.remove_replica(s.image.id, "a"))
    s.change(lambda c: c.remove_image(s.image.id))


def unknown_and_garbled(s: Scene) -> None:
    (s.world.folder / "b" / "manifests").mkdir()
    (s.world.folder / "b" / "manifests" / str(uuid4())).write_bytes(b"IWMF?")


def leftover_gone(s: Scene) -> None:
    left = Leftover(
        id=str(uuid4()),
        image_id=s.image.id,
        image_storage="b",
        location="x",
        size_bytes=1,
        moved_to="a",
        created_at=NOW,
    )
    s.change(lambda c: c.save_leftover(left))


def landing_of_nobody(s: Scene) -> None:
    landing = s.world.open_store("b").landing(str(uuid4()))
    landing.begin(SourceInfo(url="test:", size_bytes=10))
    landing.close()


def landing_of_a_whole_image(s: Scene) -> None:
    land(s.world.open_store("a"), f"{s.image.id}.repair", s.data)


def landing_of_a_binned_image(s: Scene) -> None:
    land(s.world.open_store("b"), f"{s.image.id}.move", s.data)
    s.status(ImageStatus.DELETED)


def landing_of_a_dead_sync(s: Scene) -> None:
    land(s.world.open_store("b"), f"sync-{uuid4()}", s.data)


def an_export(s: Scene, path: Path) -> ExportedImage:
    return ExportedImage(
        id=str(uuid4()), image_id=s.image.id, image_storage="a", format="raw", path=str(path), size_bytes=1,
        md5="0" * 32, sha256="0" * 64, created_at=NOW,
    )  # fmt: skip


def export_file_lost(s: Scene) -> None:
    path = s.world.settings.exports_folder / s.image.id / "a.raw"
    s.change(lambda c: c.save_export(an_export(s, path)))


def export_row_lost(s: Scene) -> None:
    path = s.world.settings.exports_folder / s.image.id / "a.raw"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"old")


def move_that_died(s: Scene) -> None:
    s.status(ImageStatus.MIGRATING)


def image_nowhere(s: Scene) -> None:
    s.world.open_store("a").delete(s.image.id)
    s.change(lambda c: c.remove_replica(s.image.id, "a"))


def thought_disconnected(s: Scene) -> None:
    s.change(lambda c: c.save_image_storage(c.image_storage("b").model_copy(update={"connection": "Disconnected"})))


def ready_on(*names: str) -> Callable[[Scene], None]:
    def check(s: Scene) -> None:
        assert s.world.image(s.image.id).status is ImageStatus.READY
        assert s.world.wholes(s.image) == set(names)

    return check


def nothing_drifts(s: Scene) -> None:
    ready_on("a")(s)
    assert take_stock.fn(BOTH) == ()


def lost(s: Scene) -> None:
    image = s.world.image(s.image.id)
    assert image.status is ImageStatus.ERROR
    assert (image.error or "").startswith("no whole replica is left")


def binned_on(*names: str) -> Callable[[Scene], None]:
    def check(s: Scene) -> None:
        assert s.world.image(s.image.id).status is ImageStatus.DELETED
        assert s.world.wholes(s.image) == set(names)

    return check


def stranger_adopted(s: Scene) -> None:
    with s.world.catalog() as catalog:
        (stranger,) = catalog.images(name_pattern="a stranger")
    assert stranger.status is ImageStatus.READY
    assert s.world.wholes(stranger) == {"b"}


def nothing_at_all(s: Scene) -> None:
    assert not s.manifest().exists()
    with pytest.raises(ImageNotFound):
        s.world.image(s.image.id)


def no_landings(s: Scene) -> None:
    assert [i.landing_id for name in BOTH for i in s.world.open_store(name).landings()] == []


def no_exports(s: Scene) -> None:
    with s.world.catalog() as catalog:
        assert list(catalog.exports()) == []
    assert list(s.world.settings.exports_folder.glob("*/*")) == []


def connected(s: Scene) -> None:
    with s.world.catalog() as catalog:
        assert catalog.image_storage("b").connection == "Connected"


TABLE: list[tuple[Callable[[Scene], None], list[str], Callable[[Scene], None]]] = [
    (manifest_lost, ["restore replica"], ready_on("a", "b")),
    (manifest_garbled, ["restore replica"], ready_on("a", "b")),
    (only_manifest_lost, ["restore replica"], lost),
    (only_manifest_garbled, ["restore replica"], lost),
    (whole_store_lost, ["restore replica"], ready_on("a", "b")),
    (index_garbled, ["repair store"], nothing_drifts),
    (parameters_changed, ["repair store"], nothing_drifts),
    (pack_lost, ["repair store", "restore replica"], ready_on("a", "b")),
    (only_pack_cut, ["repair store", "restore replica"], lost),
    (row_of_an_add_that_died, ["forget replica"], ready_on("a")),
    (row_of_a_deletion_that_died, ["forget replica"], ready_on("a")),
    (other_bytes_under_the_id, ["distrust replica"], ready_on("a", "b")),
    (only_other_bytes_under_the_id, ["distrust replica"], lost),
    (row_lost, ["adopt replica"], ready_on("a", "b")),
    (only_row_lost, ["adopt replica"], ready_on("a")),
    (binned_row_lost, ["adopt replica"], binned_on("a", "b")),
    (foreign_bytes_beside, ["leave"], ready_on("a")),
    (image_row_lost, ["adopt image"], stranger_adopted),
    (expunged_but_there, ["delete replica"], nothing_at_all),
    (unknown_and_garbled, ["leave"], ready_on("a")),
    (leftover_gone, ["forget leftover"], ready_on("a")),
    (landing_of_nobody, ["discard landing"], no_landings),
    (landing_of_a_whole_image, ["discard landing"], no_landings),
    (landing_of_a_binned_image, ["discard landing"], no_landings),
    (landing_of_a_dead_sync, ["discard landing"], no_landings),
    (export_file_lost, ["forget export"], no_exports),
    (export_row_lost, ["delete export file"], no_exports),
    (move_that_died, ["end move"], ready_on("a")),
    (image_nowhere, ["mark lost"], lost),
    (thought_disconnected, ["set connection"], connected),
]
"""What happened, what the plan must say, what must hold afterwards."""
