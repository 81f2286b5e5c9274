"""Images moving between ImageStores and real Ceph clusters: content as before, sparse as before, leftovers guarded by clones."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.records import CleanupReport, Image, ImageStatus, ImageStorage, VerifyReport
from catalog.settings import load_settings
from flows.requests import ChangeImageStorage, CleanUpLeftovers, VerifyReplicas
from storage import registry
from storage.ceph import CephStorage
from storage.replicas.copy import measure_reader
from storage.replicas.source import reader_of
from tests.flows.moving import NOW, World, in_one_run, noise
from tests.services.ceph import CephCluster, ceph_cluster
from tests.services.payload import payload
from tests.services.process import find

pytestmark = [pytest.mark.prefect]


@payload
def content() -> bytes:
    return noise(9 << 20) + bytes(24 << 20) + noise(3 << 20, 1)


@pytest.fixture(scope="module")
def clusters() -> Iterator[tuple[CephCluster, CephCluster]]:
    with ceph_cluster() as first, ceph_cluster() as second:
        yield first, second


@pytest.fixture
def world(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clusters: tuple[CephCluster, CephCluster]
) -> World:
    made = World(tmp_path / "stores", monkeypatch)
    made.store("store")
    for name, cluster in zip(("east", "west"), clusters, strict=True):
        monkeypatch.setenv(f"KEYRING_{name.upper()}", cluster.keyring)
        record = ImageStorage(
            name=name, kind="ceph", url=cluster.url(), credentials=f"env:KEYRING_{name.upper()}",
            capacity_bytes=1 << 30, reserve_bytes=0, created_at=NOW,
        )  # fmt: skip
        made.register(record)
    return made


def open_ceph(world: World, name: str, cluster: CephCluster) -> CephStorage:
    with world.catalog() as catalog:
        record = catalog.image_storage(name)
    opened = registry.open_image_storage(record, settings=load_settings(), credentials=cluster.keyring)
    assert isinstance(opened, CephStorage)
    return opened


def digest_on(storage: CephStorage, image_id: str) -> str:
    with reader_of(storage, image_id) as reader:
        return measure_reader(reader).sha256


def move(image: Image, source: str, target: str) -> Image:
    from flows.replicas.move import change_image_storage

    moved = change_image_storage.fn(ChangeImageStorage(image_id=image.id, source=source, target=target))
    assert isinstance(moved, Image)
    assert moved.status is ImageStatus.READY
    return moved


def clean(storage: str) -> list[tuple[str, str]]:
    from flows.replicas.leftovers import clean_up_leftovers

    report = clean_up_leftovers.fn(CleanUpLeftovers(image_storage=storage, approve="yes"))
    assert isinstance(report, CleanupReport)
    return [(item.outcome, item.reason) for item in report.items]


def test_an_image_moves_from_cluster_to_cluster_and_its_leftover_waits_for_its_clones(
    world: World, clusters: tuple[CephCluster, CephCluster]
) -> None:
    image = world.add(world.open_store("store"), content())
    east, west = (open_ceph(world, n, c) for n, c in zip(("east", "west"), clusters, strict=True))

    def work() -> None:
        assert clusters
        move(image, "store", "east")
        rbd = f"{clusters[0].pools[0]}/imagewright.image.{image.id}"
        clusters[0].rbd("clone", f"{rbd}@published", f"{clusters[0].pools[0]}/disk-1")
        moved = move(image, "east", "west")
        assert moved.image_storages == ("west",)
        assert digest_on(west, image.id) == image.sha256
        stored = world.replicas(image.id)["west"].stored_bytes
        assert stored <= 13 << 20  # the hole was not written
        assert clean("east") == [("kept", "still used by clone images/disk-1")]
        assert east.contains(image.id)
        clusters[0].rbd("rm", f"{clusters[0].pools[0]}/disk-1")
        assert [outcome for outcome, _ in clean("")] == ["done", "done"]  # and the one on the ImageStore
        assert not east.contains(image.id)

    in_one_run(work)
    assert set(world.replicas(image.id)) == {"west"}


def test_damage_in_one_cluster_is_repaired_from_the_image_store(
    world: World, clusters: tuple[CephCluster, CephCluster]
) -> None:
    image = world.add(world.open_store("store"), content())
    east = open_ceph(world, "east", clusters[0])

    def work() -> None:
        from flows.replicas.verify import verify_replicas

        move(image, "store", "east")
        again = world.add_replica(world.open_store("store"), image, content())
        assert again.image_storage == "store"
        pool = clusters[0].pools[0]
        facts = json.loads(clusters[0].rbd("info", "--format=json", f"{pool}/imagewright.image.{image.id}"))
        clusters[0].write_object(pool, f"{facts['block_name_prefix']}.{0:016x}", b"damage", 4096)
        report = verify_replicas.fn(VerifyReplicas(image_storages=("east",)))
        assert isinstance(report, VerifyReport)
        assert [(item.outcome, item.reason[:19]) for item in report.items] == [("done", "repaired from store")]
        assert digest_on(east, image.id) == image.sha256

    in_one_run(work)


def test_a_qcow2_becomes_raw_in_a_cluster_and_stays_raw_when_it_comes_back(
    world: World, clusters: tuple[CephCluster, CephCluster], tmp_path: Path
) -> None:
    find("qemu-img", "qemu-utils")
    raw, qcow2 = tmp_path / "disk.raw", tmp_path / "disk.qcow2"
    raw.write_bytes(content())
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2], check=True)
    image = world.add(
        world.open_store("store"),
        qcow2.read_bytes(),
        format="qcow2",
        format_stored="qcow2",
        virtual_size_bytes=len(content()),
    )
    world.store("other")

    def work() -> None:
        moved = move(image, "store", "west")
        assert moved.format_stored == "raw"
        assert world.replicas(image.id)["west"].size_bytes == len(content())
        back = move(image, "west", "other")
        assert back.format_stored == "raw"

    in_one_run(work)
    reader = world.open_store("other").open(image.id)
    assert reader.read_at(0, reader.size_bytes) == content()
