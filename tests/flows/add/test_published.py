"""Adding from odd servers and with the checksums that publishers write, as people paste them."""

import hashlib
import os
from pathlib import Path

import pytest

from catalog.errors import ChecksumMismatch, InvalidRequest, SourceForbidden, SourceNotFound
from catalog.records import Image, ImageStatus
from flows.requests import AddVolumeImage
from tests.services.odd_http import odd_http

pytestmark = pytest.mark.prefect
DATA = os.urandom(1 << 20)


def add(**fields: object) -> Image:
    from flows import add_volume_image

    image = add_volume_image(AddVolumeImage.model_validate({"name": "data", "image_format": "raw", **fields}))
    assert isinstance(image, Image)
    return image


@pytest.fixture
def disk(home: Path, tmp_path: Path) -> Path:
    """A disk on this host, in a folder of its own."""
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "disk.raw").write_bytes(DATA)
    return folder / "disk.raw"


def of(algorithm: str) -> str:
    return hashlib.new(algorithm, DATA).hexdigest()


@pytest.mark.parametrize(
    "name", ["another-mirror-each-time", "ready-later", "range-403", "cookie-first", "labelled-gzip"]
)
def test_an_odd_server_is_added_from(home: Path, name: str) -> None:
    with odd_http(name, DATA) as server:
        image = add(image_path=f"{server.url}/disk.raw")
    assert (image.status, image.md5) == (ImageStatus.READY, of("md5"))


def test_a_short_list_on_a_server_strict_about_ranges_is_read(home: Path) -> None:
    files = {"/disk.raw": DATA, "/disk.raw.sha256": f"{of('sha256')}  disk.raw\n".encode()}
    with odd_http("range-end-strict", files) as server:
        image = add(image_path=f"{server.url}/disk.raw", expected_checksum="sums:")
    assert image.status is ImageStatus.READY


LISTS = {
    "disk.raw.DIGESTS": f"# BLAKE2B HASH\n{of('blake2b')}  disk.raw\n# SHA512 HASH\n{of('sha512')}  disk.raw\n",
    "CHECKSUMS": f"SHA3-512\n{of('sha3_512')}  disk.raw\n",
    "SHA384SUMS": f"{of('sha384')}  disk.raw\n",
    "B2SUMS": f"{of('blake2b')}  disk.raw\n",
    "disk.sha256": f"{of('sha256')}  built/by-packer.raw\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_next_to_the_image_is_found_and_holds(disk: Path, name: str) -> None:
    disk.with_name(name).write_text(LISTS[name])
    assert add(image_path=f"file://{disk}", expected_checksum="sums:").status is ImageStatus.READY
    disk.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 0xFF]))
    with pytest.raises(ChecksumMismatch):
        add(image_path=f"file://{disk}", expected_checksum="sums:")


def test_a_list_of_an_unknown_algorithm_is_refused_by_its_name(disk: Path) -> None:
    disk.with_name("disk.raw.checksum").write_text(f"WHIRLPOOL (disk.raw) = {'0' * 128}\n")
    with pytest.raises(SourceForbidden, match=r"not known here .WHIRLPOOL.; known are sha512"):
        add(image_path=f"file://{disk}", expected_checksum="sums:")
    disk.with_name("disk.raw.checksum").unlink()
    with pytest.raises(SourceNotFound, match="no checksum is published"):
        add(image_path=f"file://{disk}", expected_checksum="sums:")


def test_a_pasted_checksum_is_read_and_kept_in_its_one_spelling(disk: Path) -> None:
    image = add(image_path=f" file://{disk} ", expected_checksum=f"SHA-256: {of('sha256').upper()} ")
    assert (image.status, image.expected_checksum) == (ImageStatus.READY, f"sha256:{of('sha256')}")
    with pytest.raises(InvalidRequest, match="sha256 has 64 hexadecimal digits, this has 63"):
        add(image_path=f"file://{disk}", expected_checksum=f"sha256: {of('sha256')[1:]}")


def test_a_name_with_spaces_is_taken_as_it_is(disk: Path) -> None:
    spaced = disk.rename(disk.with_name("Windows Server 2022.raw"))
    spaced.with_name("Windows Server 2022.raw.sha256").write_text(f"{of('sha256')}  Windows Server 2022.raw\n")
    image = add(image_path=f"file://{spaced}", expected_checksum=" sums: ")
    assert (image.status, image.md5) == (ImageStatus.READY, of("md5"))
