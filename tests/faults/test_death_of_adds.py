"""What is tried again and what is not; what an add says when it started over; what a death just before the end costs."""

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from catalog import open_catalog
from catalog.errors import (
    ChecksumMismatch,
    ImagewrightError,
    SourceForbidden,
    SourceNotFound,
    TransferInterrupted,
    UnsafeImage,
)
from catalog.records import Image, ImageStatus
from flows.requests import AddVolumeImage
from tests.flows.conftest import MIB
from tests.services.faulty_http import Faults, FaultyHttp, faulty_http

pytestmark = pytest.mark.prefect


@pytest.fixture
def source() -> Iterator[FaultyHttp]:
    with faulty_http() as server:
        yield server


def add(url: str, image_format: str = "raw", **fields: object) -> Image:
    from flows import add_volume_image

    request = {"name": "data", "image_format": image_format, "image_path": url, **fields}
    image = add_volume_image(AddVolumeImage.model_validate(request))
    assert isinstance(image, Image)
    return image


def only_image() -> Image:
    with open_catalog() as catalog:
        (image,) = catalog.images()
        return image


def kept_files(home: Path) -> list[Path]:
    """Return the files that hold bytes of images; an index of nothing may stay."""
    folders = ("packs", "landings", "manifests", "aside")
    return [p for name in folders for p in (home / "imagestore" / name).rglob("*") if p.is_file()]


def backed_qcow2(size: int) -> bytes:
    """Return a qcow2 whose header names /etc/shadow as its backing file."""
    name = b"/etc/shadow"
    header = b"QFI\xfb" + (2).to_bytes(4) + (72).to_bytes(8) + len(name).to_bytes(4)
    header += (16).to_bytes(4) + (64 << 20).to_bytes(8)
    return (header.ljust(72, b"\0") + name).ljust(size, b"\0")


def test_what_is_not_there_is_asked_for_once(home: Path, source: FaultyHttp) -> None:
    with pytest.raises(SourceNotFound):
        add(f"{source.url}/absent")
    assert len(source.requests) == 1
    assert only_image().status is ImageStatus.ERROR


@pytest.mark.parametrize(
    ("made", "image_format", "checksum", "error"),
    [
        (lambda: os.urandom(3 * MIB), "raw", f"sha256:{'0' * 64}", ChecksumMismatch),
        (lambda: backed_qcow2(3 * MIB), "qcow2", None, UnsafeImage),
    ],
    ids=["wrong checksum", "backing file"],
)
def test_what_can_never_succeed_is_fetched_once_and_leaves_nothing(
    home: Path, source: FaultyHttp, made: Callable[[], bytes], image_format: str, checksum: str | None,
    error: type[ImagewrightError],
) -> None:  # fmt: skip
    content = made()
    url = source.serve("/image", Faults(content=content))
    with pytest.raises(error):
        add(url, image_format, expected_checksum=checksum)
    bodies = [headers for headers in source.gets("/image") if not headers.get("Range", "").startswith("bytes=0-")]
    assert len(bodies) <= 1
    assert (
        source.body_bytes <= len(content) + 2 * MIB
    )  # a slow machine may take the server for a distant one: 5 ranges of 256 KiB
    image = only_image()
    assert image.status is ImageStatus.ERROR
    assert image.error
    assert not kept_files(home)
    with open_catalog() as catalog:
        assert not list(catalog.reservations())


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (lambda: Faults(content=os.urandom(MIB), ranges=False, endless=True), UnsafeImage),
        (lambda: Faults(content=bytes(96 * MIB), encoding="gzip"), UnsafeImage),
        (lambda: Faults(content=b""), UnsafeImage),
        (lambda: Faults(content=os.urandom(MIB), encoding="br"), SourceForbidden),
        (lambda: Faults(content=os.urandom(MIB), length_lie=-10), SourceForbidden),
    ],
    ids=["endless", "bomb", "empty", "unknown encoding", "length too short"],
)
def test_a_server_that_sends_no_image_leaves_nothing(
    home: Path,
    source: FaultyHttp,
    monkeypatch: pytest.MonkeyPatch,
    faults: Callable[[], Faults],
    error: type[ImagewrightError],
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_MAX_VIRTUAL_SIZE", str(80 * MIB))
    with pytest.raises(error) as caught:
        add(source.serve("/image", faults()))
    image = only_image()
    assert (image.status, image.error) == (ImageStatus.ERROR, str(caught.value))
    assert not kept_files(home)
    with open_catalog() as catalog:
        assert not list(catalog.reservations())


def test_a_broken_transfer_is_gone_on_with_and_no_byte_is_read_twice(home: Path, source: FaultyHttp) -> None:
    content = os.urandom(12 * MIB)
    image = add(source.serve("/image", Faults(content=content, cut_at=5 * MIB, cut_times=2)))
    assert image.md5 == hashlib.md5(content).hexdigest()
    assert (
        source.body_bytes <= len(content) + 2 * MIB
    )  # a slow machine may take the server for a distant one: 5 ranges of 256 KiB


def test_a_source_that_changed_between_attempts_is_started_over_and_that_is_said(
    home: Path, source: FaultyHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_RETRIES", "0")
    image_id = str(uuid4())
    before, after = os.urandom(24 * MIB), os.urandom(24 * MIB)
    url = source.serve("/image", Faults(content=before, cut_at=20 * MIB, cut_times=99))
    with pytest.raises(TransferInterrupted):
        add(url, image_id=image_id)
    assert only_image().status is ImageStatus.ERROR
    assert kept_files(home), "it can be resumed"
    source.serve("/image", Faults(content=after, etag='"v2"'))
    image = add(url, image_id=image_id)
    assert (image.status, image.md5) == (ImageStatus.READY, hashlib.md5(after).hexdigest())
    (said,) = [warning for warning in image.warnings if "changed since the add began" in warning]
    assert '"v1"' in said
    assert "started over" in said


def test_an_interrupted_add_is_resumed_from_the_last_byte_kept(
    home: Path, source: FaultyHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_RETRIES", "0")
    image_id, content = str(uuid4()), os.urandom(24 * MIB)
    url = source.serve("/image", Faults(content=content, cut_at=20 * MIB, cut_times=1))
    with pytest.raises(TransferInterrupted):
        add(url, image_id=image_id)
    image = add(url, image_id=image_id)
    assert (image.md5, image.error) == (hashlib.md5(content).hexdigest(), None)
    assert (
        source.body_bytes <= len(content) + 2 * MIB
    )  # a slow machine may take the server for a distant one: 5 ranges of 256 KiB


def test_a_death_between_publication_and_the_catalogs_commit_costs_no_second_fetch(
    home: Path, source: FaultyHttp
) -> None:
    url = source.serve("/image", Faults(content=os.urandom(3 * MIB)))
    ready = add(url)
    with (
        open_catalog() as catalog,
        catalog.changing(actor="test") as change,
    ):  # as the catalog was at such a death
        change.remove_replica(ready.id, "default")
        unpublished = {"status": ImageStatus.DOWNLOADING, "md5": None, "sha256": None, "size_bytes": None,
                       "description": "edited meanwhile"}  # fmt: skip
        change.save_image(change.image(ready.id).model_copy(update=unpublished))
    asked = len(source.requests)
    settled = add(url, image_id=ready.id)
    assert (settled.status, settled.md5, settled.sha256) == (ImageStatus.READY, ready.md5, ready.sha256)
    assert (settled.description, settled.quality) == ("edited meanwhile", ready.quality)
    assert len(source.requests) == asked
    with open_catalog() as catalog:
        assert [replica.image_storage for replica in catalog.replicas(ready.id)] == ["default"]


@pytest.mark.parametrize("named", [True, False], ids=["by its address", "next to the file"])
def test_a_published_list_of_checksums_is_looked_up(home: Path, source: FaultyHttp, named: bool) -> None:
    content = os.urandom(MIB)
    url = source.serve("/image.raw", Faults(content=content))
    listed = f"{'1' * 64}  other.raw\n{hashlib.sha256(content).hexdigest()} *image.raw\n"
    sums = source.serve("/SHA256SUMS", Faults(content=listed.encode()))
    asked = f"sums:{sums}" if named else "sums:"
    image = add(url, expected_checksum=asked)
    assert (image.status, image.expected_checksum) == (ImageStatus.READY, asked)
    source.serve("/SHA256SUMS", Faults(content=f"{'1' * 64}  image.raw\n".encode()))
    with pytest.raises(ChecksumMismatch):
        add(url, expected_checksum=asked)


@pytest.mark.parametrize(
    ("listed", "error"),
    [
        (f"{'1' * 64}  image.raw\n", ChecksumMismatch),
        (f"{'1' * 64}  other.raw\n", SourceNotFound),
        (f"{'1' * 64}  image.raw\n{'2' * 64}  image.raw\n", SourceForbidden),
        (None, SourceNotFound),
    ],
    ids=["wrong", "not listed", "contradicting", "no list"],
)
def test_a_list_that_does_not_confirm_the_image_fails_the_add(
    home: Path, source: FaultyHttp, listed: str | None, error: type[ImagewrightError]
) -> None:
    url = source.serve("/image.raw", Faults(content=os.urandom(MIB)))
    if listed is not None:
        source.serve("/SHA256SUMS", Faults(content=listed.encode()))
    with pytest.raises(error):
        add(url, expected_checksum=f"sums:{source.url}/SHA256SUMS")
    assert not kept_files(home)


@pytest.mark.parametrize("of", ["packed", "unpacked"])
def test_the_checksum_of_a_packed_source_may_be_that_of_the_file_or_of_what_is_in_it(
    home: Path, source: FaultyHttp, of: str
) -> None:
    content = os.urandom(MIB) + bytes(MIB)
    packed = gzip.compress(content)
    digest = hashlib.sha512(packed if of == "packed" else content).hexdigest()
    image = add(source.serve("/image.gz", Faults(content=packed)), expected_checksum=f"sha512:{digest}")
    assert (image.status, image.md5) == (ImageStatus.READY, hashlib.md5(content).hexdigest())


def test_a_mirror_serves_what_the_first_address_has_not(home: Path, source: FaultyHttp) -> None:
    content = os.urandom(2 * MIB)
    mirror = source.serve("/image", Faults(content=content))
    image = add(f"{source.url}/absent {mirror}")
    assert (image.status, image.md5) == (ImageStatus.READY, hashlib.md5(content).hexdigest())
    assert image.source == f"{source.url}/absent {mirror}"
