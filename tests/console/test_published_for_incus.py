"""What a client of Incus or LXD does with the tree: index, product, both files, the sum over them, the metadata within."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import Image
from catalog.rules.promotion.incus import metadata_of
from catalog.rules.promotion.tree import Handed
from tasks.promotion.family import set_family
from tests.console.api.v1.people import everybody, service
from tests.console.test_published import TREE, build, promoted
from tests.flows.managed import blank
from tests.services.images import need

WAIT_S = 20
Header = Mapping[str, str]


@dataclass(frozen=True)
class Found:
    """An image as a client lists it. files: path, SHA-256 and size of archive and disk; properties: as listed."""

    fingerprint: str
    files: tuple[tuple[str, str, int], ...]
    properties: Mapping[str, str]


@pytest.fixture
def api(home: Path, cheap_passwords: None) -> Iterator[TestClient]:
    with service(follow_redirects=False) as client:
        yield client


@pytest.fixture
def people(api: TestClient) -> Mapping[str, dict[str, str]]:
    set_family.fn({"name": "debian"}, "admin")
    return everybody()


def listed(api: TestClient, headers: Header, ftype: str) -> list[Found]:
    """List images as a client does that looks for archives of a type; it goes by what their sources read, and nothing else."""
    found = []
    for entry in api.get(f"{TREE}/streams/v1/index.json", headers=headers).json()["index"].values():
        if entry["datatype"] != "image-downloads" or not entry["products"]:
            continue
        for product in api.get(f"{TREE}/{entry['path']}", headers=headers).json()["products"].values():
            for name, version in product["versions"].items():
                found += list(_images(product, name, version["items"].values(), ftype))
    return found


def _images(product: Mapping[str, str], name: str, items: Iterator[dict[str, str]], ftype: str) -> Iterator[Found]:
    try:
        datetime.strptime(name[:8], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:  # such versions are passed over
        return
    for archive in (item for item in items if item["ftype"] == ftype):
        for disk in (item for item in items if item["ftype"] == "disk-kvm.img"):
            files = tuple((item["path"], item["sha256"], int(item["size"])) for item in (archive, disk))
            about = {key: product[key] for key in ("os", "release", "arch", "aliases")}
            yield Found(archive["combined_disk-kvm-img_sha256"], files, {**about, "serial": name})


def listed_when_made(api: TestClient, headers: Header, ftype: str, count: int) -> list[Found]:
    end = time.monotonic() + WAIT_S
    while len(found := listed(api, headers, ftype)) < count and time.monotonic() < end:
        time.sleep(0.02)
    assert len(found) == count
    return found


def qcow2(folder: Path, mib: int = 1) -> bytes:
    """Return a disk with random bytes in it."""
    need("qemu-img")
    (folder / "disk.raw").write_bytes(os.urandom(mib << 20))
    convert = ["qemu-img", "convert", "-O", "qcow2", "disk.raw", "disk.qcow2"]
    subprocess.run(convert, cwd=folder, check=True)
    return (folder / "disk.qcow2").read_bytes()


def for_incus(version: str, data: bytes, **fields: object) -> Image:
    return build(version, data, format="qcow2", format_stored="qcow2", **fields)


@pytest.mark.parametrize("ftype", ["incus.tar.xz", "lxd.tar.xz"])
def test_a_client_gets_both_files_and_the_sum_over_them(
    api: TestClient, people: Mapping[str, dict[str, str]], tmp_path: Path, ftype: str
) -> None:
    data, headers = qcow2(tmp_path, 5), people["viewer"]
    image = for_incus("1.10", data, os="Debian 12")
    promoted(image)
    (one,) = listed_when_made(api, headers, ftype, 1)
    archive, disk = (api.get(f"{TREE}/{path}", headers=headers) for path, _, _ in one.files)
    for answer, (_, digest, size) in zip((archive, disk), one.files, strict=True):
        assert (len(answer.content), hashlib.sha256(answer.content).hexdigest()) == (size, digest)
        assert "immutable" in answer.headers["cache-control"]
    assert hashlib.sha256(archive.content + disk.content).hexdigest() == one.fingerprint
    (tmp_path / "got.img").write_bytes(disk.content)
    told = subprocess.run(
        ["qemu-img", "info", "--output", "json", "got.img"], cwd=tmp_path, capture_output=True, check=True
    )
    assert json.loads(told.stdout)["format"] == "qcow2"  # else it is refused
    with tarfile.open(fileobj=io.BytesIO(archive.content), mode="r:xz") as made:
        assert made.getnames() == ["metadata.yaml"]
        file = made.extractfile("metadata.yaml")
        assert file is not None
        said = yaml.safe_load(file.read())
    assert (said["architecture"], said["creation_date"]) == ("x86_64", int(image.created_at.timestamp()))
    assert {said["properties"][name] for name in ("os", "release", "serial", "description")} == {
        "Debian 12", "debian", one.properties["serial"], "debian 1.10 (amd64)",
    }  # fmt: skip
    assert (one.properties["arch"], one.properties["aliases"]) == ("amd64", "debian")


def test_an_archive_is_served_as_all_else_is(
    api: TestClient, people: Mapping[str, dict[str, str]], tmp_path: Path
) -> None:
    image = for_incus("1.0", qcow2(tmp_path))
    promoted(image)
    (one,) = listed_when_made(api, people["viewer"], "incus.tar.xz", 1)
    place, digest, size = f"{TREE}/{one.files[0][0]}", one.files[0][1], one.files[0][2]
    whole = api.get(place, headers=people["viewer"])
    assert whole.headers["etag"] == f'"sha256:{digest}"'
    assert api.get(place, headers={**people["viewer"], "If-None-Match": whole.headers["etag"]}).status_code == 304
    part = api.get(place, headers={**people["viewer"], "Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    head = api.head(place, headers=people["viewer"])
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(size), b"")
    assert api.get(place, headers=people["other"]).status_code == 404
    assert api.get(place).status_code == 401
    assert api.get(place.replace(digest, "0" * 64), headers=people["viewer"]).status_code == 404
    assert listed(api, people["other"], "incus.tar.xz") == []
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_image(image.model_copy(update={"recalled": "a hole", "state": "Disabled"}))
    assert api.get(place, headers=people["viewer"]).status_code == 404
    assert listed(api, people["viewer"], "incus.tar.xz") == []


def test_what_incus_can_not_use_is_not_offered_and_the_others_read_the_same_tree(
    api: TestClient, people: Mapping[str, dict[str, str]], tmp_path: Path
) -> None:
    raw = build("1.0", os.urandom(2000))
    data = for_incus("1.1", os.urandom(2000), image_type="Volume", cpu_architecture=None)
    mips = for_incus("1.2", os.urandom(2000), cpu_architecture="mips64el")
    good = for_incus("1.3", qcow2(tmp_path))
    promoted(raw, data, mips, good)
    listed_when_made(api, people["viewer"], "incus.tar.xz", 1)
    index = api.get(f"{TREE}/streams/v1/index.json", headers=people["viewer"]).json()["index"]
    assert sorted(index) == ["imagewright:images", "imagewright:incus"]
    products = api.get(f"{TREE}/{index['imagewright:images']['path']}", headers=people["viewer"]).json()["products"]
    assert {name for product in products.values() for name in product["versions"]} == {"1.0", "1.1", "1.2", "1.3"}


def test_a_sum_is_made_once_and_outlives_the_console(
    home: Path, api: TestClient, people: Mapping[str, dict[str, str]], tmp_path: Path
) -> None:
    promoted(for_incus("1.0", qcow2(tmp_path)))
    (one,) = listed_when_made(api, people["viewer"], "incus.tar.xz", 1)
    (kept,) = (home / "incus").iterdir()
    assert kept.read_text() == one.fingerprint
    kept.write_text("no sum")
    with service() as another:
        assert listed_when_made(another, people["viewer"], "incus.tar.xz", 1) == [one]
        assert kept.read_text() == one.fingerprint
    with service() as third:
        assert listed(third, people["viewer"], "incus.tar.xz") == [one]


def test_the_archive_of_a_build_is_the_same_each_time() -> None:
    moment = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    image = blank(
        name="x", family="debian", build_version="12.5", cpu_architecture="aarch64", os="Debian 12", created_at=moment
    )
    one = Handed(image=image.model_copy(update={"image_type": "System"}), format="qcow2", size_bytes=1, sha256="0" * 64)
    made = metadata_of(one)
    edited = {"name": "y", "description": "edited", "updated_at": datetime.now(UTC), "labels": ("a=b",)}
    assert metadata_of(one.model_copy(update={"image": one.image.model_copy(update=edited)})) == made
    assert hashlib.sha256(made).hexdigest() == "ef2a7cab9b8c20df6c2bfa50a22bf3cfad614f19dc7dc6982643a09bcba7693d"
