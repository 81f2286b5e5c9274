"""Adding to a real Ceph cluster and to an ImageStore at once, through the flow."""

import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from catalog import open_catalog
from catalog.errors import InvalidRequest
from catalog.records import ExportedImage, Image, ImageStatus, Plan, ReclaimReport
from flows.requests import AddVolumeImage, ExportImage, ReclaimSpace, VerifyReplicas
from tests.flows.ceph import register_pool
from tests.flows.conftest import Site, qcow2
from tests.flows.managed import MIB, blank, landed, opened, saved
from tests.flows.moving import noise

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("ceph")]


@pytest.fixture
def ceph(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # a home is what it is registered in
    """Register a fresh pool of the cluster as image storage "ceph"."""
    register_pool(monkeypatch)


@pytest.mark.usefixtures("ceph")
def test_a_qcow2_is_kept_as_it_is_on_an_imagestore_and_as_raw_on_ceph(site: Site, tmp_path: Path) -> None:
    from flows import add_volume_image, export_image, verify_replicas

    data = qcow2(tmp_path)
    request = AddVolumeImage(name="both", image_path=site.put("image.qcow2", data), image_storages=("default", "ceph"))
    image = add_volume_image(request)
    assert isinstance(image, Image)
    assert image.status is ImageStatus.READY
    with open_catalog() as catalog:
        assert {r.image_storage: r.format for r in catalog.replicas(image.id)} == {
            "default": "qcow2",
            "ceph": "raw",
        }
        assert catalog.replica(image.id, "ceph").md5 is None
    verify_replicas(VerifyReplicas(image_storages=("ceph",)))
    exported = export_image(ExportImage(image_id=image.id, image_storage="ceph"))
    assert isinstance(exported, ExportedImage)
    with open_catalog() as catalog:
        proven = catalog.replica(image.id, "ceph")
    assert proven.verified_at is not None
    assert (proven.md5, proven.sha256) == (exported.md5, exported.sha256)
    source = tmp_path / "www" / "image.qcow2"
    compared = ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", exported.path, str(source)]
    assert subprocess.run(compared, check=False, capture_output=True).returncode == 0


@pytest.mark.usefixtures("ceph")
def test_a_file_of_this_host_is_refused_on_ceph_with_the_reason(tmp_path: Path) -> None:
    from flows import add_volume_image

    (tmp_path / "data.raw").write_bytes(bytes(4096))
    request = AddVolumeImage(
        name="file", image_format="raw", image_path=(tmp_path / "data.raw").as_uri(), image_storages=("ceph",)
    )
    with pytest.raises(InvalidRequest, match="Ceph"):
        add_volume_image(request)


@pytest.mark.usefixtures("ceph")
def test_reclaiming_gives_back_what_a_dead_add_left_on_ceph_and_nothing_else(site: Site) -> None:
    from flows import add_volume_image, reclaim_space

    url = site.put("image.raw", noise(MIB))
    image = add_volume_image(AddVolumeImage(name="whole", image_format="raw", image_path=url, image_storages=("ceph",)))
    assert isinstance(image, Image)
    wanted, nobodys = saved(blank(status=ImageStatus.DOWNLOADING)), str(uuid4())
    for landing_id in (image.id, wanted.id, nobodys):
        landed(opened("ceph"), landing_id, b"left")
    gone = {f"ceph: landing {image.id}", f"ceph: landing {nobodys}"}
    plan = reclaim_space(ReclaimSpace(image_storages=("ceph",), plan_only=True))
    assert isinstance(plan, Plan)
    assert {(action.verb, action.subject) for action in plan.actions} == {("delete", one) for one in gone}
    assert len(list(opened("ceph").landings())) == 3
    report = reclaim_space(ReclaimSpace())
    assert isinstance(report, ReclaimReport)
    assert {(item.outcome, item.subject) for item in report.items} == {("done", one) for one in gone}
    assert [landing.landing_id for landing in opened("ceph").landings()] == [wanted.id]
    assert opened("ceph").contains(image.id)
