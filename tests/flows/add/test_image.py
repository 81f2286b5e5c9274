"""Adding an image: what comes back, what is refused and how, and that nothing is left behind."""

import hashlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from catalog import open_catalog
from catalog.errors import (
    CapacityExceeded,
    ChecksumMismatch,
    FormatMismatch,
    ImagewrightError,
    InvalidRequest,
    SourceForbidden,
    SourceNotFound,
    TransferTooLong,
    UnsafeImage,
)
from catalog.records import ExportedImage, Image, ImageStatus, Plan
from flows.requests import AddSystemImage, AddVolumeImage, ExportImage, RegisterImageStorage
from tests.flows.conftest import MIB, Site, qcow2
from tests.services.faulty_http import Faults, faulty_http

pytestmark = pytest.mark.prefect


def add(**fields: object) -> Image:
    from flows import add_volume_image

    image = add_volume_image(AddVolumeImage.model_validate({"name": "data", "image_format": "raw", **fields}))
    assert isinstance(image, Image)
    return image


def export(image: Image) -> ExportedImage:
    from flows import export_image

    exported = export_image(ExportImage(image_id=image.id))
    assert isinstance(exported, ExportedImage)
    return exported


def stored_objects(home: Path) -> list[str]:
    """Return what holds bytes of images: of a discarded landing an index of nothing stays."""
    store = home / "imagestore"
    kept = [
        p for p in store.rglob("*") if p.is_file() and not p.name.startswith("store.json") and p.parent.name != "index"
    ]
    return [str(p.relative_to(store)) for p in kept]


@pytest.mark.parametrize(
    ("image_format", "make"),
    [
        ("raw", lambda _folder: os.urandom(3 * MIB + 512) + bytes(2 * MIB)),
        ("qcow2", qcow2),
        ("qcow2", lambda folder: qcow2(folder, compressed=True)),
    ],
    ids=["raw", "qcow2", "compressed qcow2"],
)
def test_an_image_comes_back_bit_for_bit(
    home: Path, site: Site, tmp_path: Path, image_format: str, make: Callable[[Path], bytes]
) -> None:
    data = make(tmp_path)
    image = add(image_path=site.put("image", data), image_format=image_format)
    exported = export(image)
    assert Path(exported.path).read_bytes() == data
    assert (image.status, image.size_bytes) == (ImageStatus.READY, len(data))
    assert image.md5 == exported.md5 == hashlib.md5(data).hexdigest()
    assert image.sha256 == exported.sha256 == hashlib.sha256(data).hexdigest()
    assert image.quality is not None
    assert image.quality.success


def test_an_export_is_made_once(home: Path, site: Site) -> None:
    image = add(image_path=site.put("image", os.urandom(MIB)))
    first = export(image)
    assert export(image) == first


SPARSE = 192 * MIB


def test_a_sparse_image_takes_only_its_data_and_exports_sparse(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "sparse.raw"
    with source.open("wb") as file:
        file.truncate(SPARSE)
        file.seek(SPARSE * 2 // 3)
        file.write(os.urandom(MIB))
    image = add(image_path=source.as_uri())
    exported = Path(export(image).path)
    stored = sum((home / "imagestore" / name).stat().st_size for name in stored_objects(home))
    assert stored < 2 * MIB
    assert exported.stat().st_size == SPARSE
    assert exported.stat().st_blocks * 512 < 2 * MIB
    assert subprocess.run(["cmp", source, exported], check=False).returncode == 0


def test_adding_again_with_the_same_id_returns_the_image(home: Path, site: Site) -> None:
    url = site.put("image", os.urandom(MIB))
    image = add(image_path=url)
    assert add(image_path=url, image_id=image.id) == image


def test_the_same_id_for_another_image_is_refused(home: Path, site: Site) -> None:
    image = add(image_path=site.put("image", os.urandom(MIB)))
    with pytest.raises(InvalidRequest, match="name 'data', not 'other'"):
        add(name="other", image_path=site.put("image", os.urandom(MIB)), image_id=image.id)


def test_a_plan_says_what_would_move_and_changes_nothing(home: Path, site: Site) -> None:
    from flows import add_volume_image

    url = site.put("image", os.urandom(MIB))
    plan = add_volume_image(AddVolumeImage(name="data", image_format="raw", image_path=url, plan_only=True))
    assert isinstance(plan, Plan)
    assert plan.bytes_to_move == MIB
    with open_catalog() as catalog:
        assert not list(catalog.images())


HTML = b"<!DOCTYPE html><html><body>404 not found</body></html>" + b" " * 4096


@pytest.mark.parametrize(
    ("data", "fields", "error", "sentence"),
    [
        (os.urandom(MIB), {"image_format": "qcow2"}, FormatMismatch, "declared qcow2, but the bytes are raw"),
        (HTML, {}, UnsafeImage, "web page"),
        (b"", {}, UnsafeImage, "empty"),
        (
            os.urandom(MIB),
            {"expected_checksum": "md5:" + "0" * 32},
            ChecksumMismatch,
            "expected checksum md5:000",
        ),
    ],
    ids=["declared format", "HTML page", "empty file", "checksum"],
)
def test_bytes_that_are_not_what_they_should_be_are_refused_and_not_kept(
    home: Path,
    site: Site,
    data: bytes,
    fields: dict[str, object],
    error: type[ImagewrightError],
    sentence: str,
) -> None:
    with pytest.raises(error, match=sentence):
        add(image_path=site.put("image", data), **fields)
    assert stored_objects(home) == []
    with open_catalog() as catalog:
        (image,) = catalog.images()
    assert image.status is ImageStatus.ERROR
    assert sentence in str(image.error)


@pytest.mark.parametrize(
    ("path", "error", "sentence"),
    [
        ("{site}/absent", SourceNotFound, "404"),
        ("file:///etc/passwd", SourceForbidden, "passwd"),
        ("file://{tmp}/absent.raw", SourceNotFound, "absent"),
        ("gopher://127.0.0.1/x", SourceForbidden, "gopher"),
    ],
)
def test_a_source_that_cannot_be_had_is_said_so(
    home: Path, site: Site, tmp_path: Path, path: str, error: type[ImagewrightError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        add(image_path=path.format(site=site.url, tmp=tmp_path))
    assert stored_objects(home) == []


def test_a_full_storage_refuses_before_a_byte_moves(home: Path, site: Site) -> None:
    from flows import register_image_storage

    register_image_storage(
        RegisterImageStorage(name="small", url=(home / "small").as_uri(), capacity_bytes=MIB, reserve_bytes=0)
    )
    with pytest.raises(CapacityExceeded, match=r"'small' has \d+ bytes left"):
        add(image_path=site.put("image", os.urandom(2 * MIB)), image_storages=("small",))
    assert [p.name for p in (home / "small").rglob("*") if p.is_file() and not p.name.startswith("store.json")] == []


def test_a_second_name_for_the_place_of_a_storage_is_refused(home: Path) -> None:
    from flows import register_image_storage

    (home / "link").symlink_to(home / "one")
    register_image_storage(RegisterImageStorage(name="one", url=(home / "one").as_uri()))
    for other in ("link", "./one/", "one/../one"):
        for plan_only in (True, False):
            with pytest.raises(InvalidRequest, match="it is that of 'one'"):
                register_image_storage(
                    RegisterImageStorage(name="two", url=f"file://{home}/{other}", plan_only=plan_only)
                )
    with open_catalog() as catalog:
        assert [storage.name for storage in catalog.image_storages()] == ["default", "one"]


def test_a_storage_s_cap_holds_for_adds_and_is_changed_by_registering_again(home: Path, site: Site) -> None:
    from flows import register_image_storage

    url, seconds = site.put("image", os.urandom(4 * MIB)), []
    for cap in (MIB, None):
        register_image_storage(RegisterImageStorage(name="thin", url=(home / "thin").as_uri(), bandwidth_bytes_s=cap))
        with open_catalog() as catalog:
            assert catalog.image_storage("thin").bandwidth_bytes_s == cap
        began = time.monotonic()
        add(image_path=url, image_storages=("thin",))
        seconds.append(time.monotonic() - began)
    assert seconds[0] >= 3.5
    assert seconds[1] < seconds[0]


def test_an_add_that_takes_too_long_says_so_and_goes_on_when_it_is_repeated(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_TOTAL_TIMEOUT_S", "2")
    data, identity = os.urandom(24 * MIB), str(uuid4())
    with faulty_http() as server:
        url = server.serve("/image", Faults(content=data, block_delay_s=0.02))
        with pytest.raises(TransferTooLong, match="add it again with its image_id"):
            add(image_path=url, image_id=identity)
        server.change("/image", block_delay_s=0.0)
        image = add(image_path=url, image_id=identity)
        resumed = [headers["Range"] for headers in server.gets("/image")][-1]
    assert int(resumed.removeprefix("bytes=").partition("-")[0]) > 0
    assert image.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": " a"}, "name: ' a' is not allowed"),
        ({"name": "a" * 129}, "name:"),
        ({"name": "a/b"}, "name: 'a/b'"),
        ({"description": "x" * 2049}, "description:"),
        ({"cpu_architecture": "aarch64", "bios_mode": "Legacy"}, "bios_mode: 'Legacy'"),
        ({"cpu_architecture": "mips64el", "bios_mode": "Legacy"}, "bios_mode: 'Legacy'"),
        ({"enable_csm": True}, "enable_csm: True"),
        ({"bios_mode": "UEFI", "os": "Windows 7"}, "enable_csm: False"),
        ({"bios_mode": "UEFI", "os": "CentOS 6.5"}, "CentOS"),
        ({"elastic_baremetal": True, "image_format": "iso"}, "elastic_baremetal: True"),
        ({"expected_checksum": "crc32:0"}, "expected_checksum: 'crc32:0'"),
        ({"image_id": "x"}, "image_id: 'x'"),
    ],
)
def test_every_rule_of_the_form_has_its_sentence(home: Path, fields: dict[str, object], sentence: str) -> None:
    from flows import add_system_image

    request = AddSystemImage.model_validate({"name": "system", "image_path": "http://127.0.0.1/x", **fields})
    with pytest.raises(InvalidRequest, match=sentence.replace("/", "\\/")):
        add_system_image(request)
    with open_catalog() as catalog:
        assert not list(catalog.images())


def test_the_architecture_decides_the_default_boot_mode(home: Path, site: Site) -> None:
    from flows import add_system_image

    url = site.put("image", os.urandom(MIB))
    image = add_system_image(AddSystemImage(name="arm", image_format="raw", cpu_architecture="aarch64", image_path=url))
    assert isinstance(image, Image)
    assert image.bios_mode == "UEFI"
    assert image.warnings  # random bytes boot nowhere
