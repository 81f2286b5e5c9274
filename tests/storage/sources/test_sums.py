"""Published checksums are found in all the dialects that publishers write."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import SourceForbidden, SourceNotFound
from catalog.settings import Settings
from storage.sources import fetch_checksum
from storage.sources.sums import published
from tests.services.faulty_http import Faults, FaultyHttp

M, S1, S256, S512 = "a" * 32, "b" * 40, "c" * 64, "d" * 128
OTHER = "e" * 64

DIALECTS = {
    f"{S256}  disk.img\n{OTHER}  other.img": f"sha256:{S256}",
    f"{S256} *disk.img": f"sha256:{S256}",
    f"{S256.upper()}  ./images/disk.img\r\n": f"sha256:{S256}",
    f"SHA256 (disk.img) = {S256}": f"sha256:{S256}",
    f"SHA512(disk.img)= {S512}": f"sha512:{S512}",
    f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# disk.img: 9 bytes\nSHA256 (disk.img) = {S256}\n"
    "-----BEGIN PGP SIGNATURE-----\niQIz\n-----END PGP SIGNATURE-----": f"sha256:{S256}",
    f"{M}  disk.img\n{S1}  disk.img\n{S256}  disk.img": f"sha256:{S256}",
    f"{M}": f"md5:{M}",
    f"\n{S512}\n": f"sha512:{S512}",
    f"{S1}\tdisk.img": f"sha1:{S1}",
    f"{OTHER}  disk.img.xz\n{OTHER}  my-disk.img": None,
    f"BLAKE2b (disk.img) = {S512}": None,
    f"MD5 (disk.img) = {S256}": None,
    f"{'f' * 56}  disk.img": None,
    "<html><body>404 disk.img</body></html>": None,
    f"<pre>{S256}  disk.img</pre>": None,
    f"\ufeff{S256}  disk.img\r\n{OTHER}  other.img\r\n": f"sha256:{S256}",
    f"{S256} *C:\\images\\disk.img\r\n": f"sha256:{S256}",
    f"\\{S256}  ./disk.img": f"sha256:{S256}",
    f"SHA256 (./a b/disk.img) = {S256}\r\n": f"sha256:{S256}",
    f"SHA2-256(disk.img)= {S256}": f"sha256:{S256}",
    f"SHA2-512(disk.img)= {S256}": None,
    f"{OTHER}  old/disk.img\n{S256} *./disk.img": f"sha256:{S256}",
    f"{S256}  /disk.img/": None,
    f"{S256}  DISK.IMG": None,
    f"{S256[:-1]}  disk.img": None,
    f"{S256}disk.img": None,
    f"{S256}\n{OTHER}\n": None,
    "": None,
}


@pytest.mark.parametrize(("text", "found"), DIALECTS.items())
def test_each_dialect(text: str, found: str | None) -> None:
    assert published(text.encode(), "disk.img", "x") == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/images/2026-01/disk.img", f"sha256:{S256}"),
        ("/pub/images/2026-02/disk.img", f"sha256:{OTHER}"),
        ("/2026-02/disk.img", f"sha256:{OTHER}"),
        ("/2026-03/disk.img", None),
        ("/02/disk.img", None),
    ],
)
def test_of_several_files_of_one_name_the_one_in_the_same_folder_counts(path: str, found: str | None) -> None:
    listed = f"{S256}  2026-01/disk.img\n{OTHER}  ./2026-02/disk.img\n".encode()
    if found is None:
        with pytest.raises(SourceForbidden, match="2 different sha256"):
            published(listed, path, "x")
    else:
        assert published(listed, path, "x") == found


def test_a_contradiction_is_refused() -> None:
    with pytest.raises(SourceForbidden, match="2 different sha256"):
        published(f"{S256}  disk.img\n{OTHER}  disk.img".encode(), "disk.img", "x")


def test_a_list_that_is_too_large_is_refused() -> None:
    with pytest.raises(SourceForbidden, match="at most"):
        published(bytes((4 << 20) + 1), "disk.img", "x")


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    found = published(data, "disk.img", "x")
    assert found is None or found.partition(":")[0] in ("md5", "sha1", "sha256", "sha512")


@pytest.mark.parametrize("name", ["SHA256SUMS", "CHECKSUM", "SHA512SUMS", "disk 1.img.sha256", "MD5SUMS"])
def test_it_is_found_next_to_the_image(server: FaultyHttp, settings: Settings, name: str) -> None:
    server.serve(f"/a/{quote(name)}", Faults(content=f"{S256}  disk 1.img\n".encode()))
    assert fetch_checksum(f"{server.url}/a/disk%201.img?sig=x", settings) == f"sha256:{S256}"


def test_it_is_found_where_it_is_said_to_be(server: FaultyHttp, settings: Settings) -> None:
    sums = server.serve("/elsewhere/list.txt", Faults(content=f"{S256} *disk.img\n".encode()))
    assert fetch_checksum(f"{server.url}/a/disk.img", settings, sums_url=sums) == f"sha256:{S256}"


def test_none_published_is_said(server: FaultyHttp, settings: Settings) -> None:
    with pytest.raises(SourceNotFound, match="no checksum is published"):
        fetch_checksum(f"{server.url}/a/disk.img", settings)
