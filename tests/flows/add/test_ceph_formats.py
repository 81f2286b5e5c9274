"""Every format that can be added, on a real Ceph cluster: the guest's bytes, in the space of its data, given back by every way out."""

import json
import subprocess
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.records import ExportedImage, Image, ImageFormat, ReconcileReport
from flows.requests import AddSystemImage, AddVolumeImage, AdoptStorage, ExportImage
from tests.flows.ceph import register_pool
from tests.flows.conftest import Site
from tests.flows.managed import opened
from tests.services.ceph import CephCluster
from tests.services.images import hybrid_iso
from tests.services.payload import payload, random_bytes
from tests.services.process import find

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("ceph")]
MIB = 1 << 20


@payload
def noise() -> bytes:
    return random_bytes(9 * MIB, 3)


@payload
def guest() -> bytes:
    return noise() + bytes(39 * MIB) + noise()[:MIB] + bytes(15 * MIB)


USED = 16 * MIB  # the objects of 4 MiB that its data lies in
MADE: dict[str, tuple[ImageFormat, list[str]]] = {
    "raw": ("raw", []),
    "qcow2": ("qcow2", []),
    "compressed qcow2": ("qcow2", ["-c"]),
    "vmdk": ("vmdk", []),
    "stream-optimized vmdk": ("vmdk", ["-o", "subformat=streamOptimized"]),
}


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[CephCluster, str]:  # a home is what it is registered in
    return register_pool(monkeypatch)


def used(place: tuple[CephCluster, str], image: Image) -> int:
    """Return what `rbd du` says that an image takes, its snapshot included."""
    cluster, pool = place
    said = json.loads(cluster.rbd("du", f"{pool}/imagewright.image.{image.id}", "--format=json"))
    return sum(int(part["used_size"]) for part in said["images"])


def exported(image: Image, image_format: ImageFormat | None = None) -> Path:
    from flows import export_image

    made = export_image(ExportImage(image_id=image.id, image_storage="ceph", image_format=image_format))
    assert isinstance(made, ExportedImage)
    return Path(made.path)


def raw_of(file: Path, folder: Path) -> bytes:
    target = folder / "exported.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", file, target], check=True)
    return target.read_bytes()


@pytest.mark.parametrize("made", MADE)
def test_a_disk_comes_back_whole_whatever_it_came_in(
    place: tuple[CephCluster, str], site: Site, tmp_path: Path, made: str
) -> None:
    from flows import add_volume_image

    image_format, options = MADE[made]
    (tmp_path / "guest").write_bytes(guest())
    convert = [find("qemu-img", "qemu-utils"), "convert", "-f", "raw", "-O", image_format, *options]
    subprocess.run([*convert, tmp_path / "guest", site.root / "image"], check=True)
    image = add_volume_image(
        AddVolumeImage(name="disk", image_format=image_format, image_path=f"{site.url}/image", image_storages=("ceph",))
    )
    assert isinstance(image, Image)
    assert used(place, image) == USED
    assert exported(image).read_bytes() == guest()
    assert raw_of(exported(image, "qcow2"), tmp_path) == guest()
    reader = opened("ceph").open(image.id)
    for start, size in ((9 * MIB - 5, 10), (47 * MIB, 3 * MIB), (len(guest()) - 1, 5)):
        assert reader.read_at(start, size) == guest()[start : start + size]


def test_an_iso_stays_as_it_is(place: tuple[CephCluster, str], site: Site) -> None:
    from flows import add_system_image

    data = hybrid_iso().read_bytes()
    image = add_system_image(
        AddSystemImage(
            name="iso",
            image_format="iso",
            image_path=site.put("a.iso", data),
            image_storages=("ceph",),
        )
    )
    assert isinstance(image, Image)
    assert used(place, image) <= -(-len(data) // (4 * MIB)) * 4 * MIB
    assert exported(image).read_bytes() == data


@pytest.mark.usefixtures("place")
def test_a_pool_tells_an_empty_catalog_what_it_holds(site: Site, home: Path) -> None:
    from flows import add_volume_image, adopt_storage

    request = AddVolumeImage(
        name="kept", image_format="raw", image_path=site.put("image", guest()), image_storages=("ceph",)
    )
    image = add_volume_image(request)
    assert isinstance(image, Image)
    with open_catalog() as catalog:
        record = catalog.image_storage("ceph")
    for file in home.glob("catalog.db*"):
        file.unlink()
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image_storage(record.model_copy(update={"version": 0}))
    report = adopt_storage(AdoptStorage(image_storage="ceph"))
    assert isinstance(report, ReconcileReport)
    with open_catalog() as catalog:
        again = catalog.image(image.id)
        assert (again.name, again.md5, again.status) == (image.name, image.md5, image.status)
        assert catalog.replica(image.id, "ceph").md5 == image.md5
    assert exported(again).read_bytes() == guest()
