"""Published checksums are found in all the dialects that publishers write."""

import hashlib
import re
import time
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import SourceForbidden, SourceNotFound
from catalog.rules.images.checksums import DIGITS
from catalog.settings import Settings
from storage.sources import fetch_checksum
from storage.sources.checksums.dialects import read_list
from storage.sources.checksums.places import list_names
from storage.sources.checksums.published import published
from storage.transfer.digests import Digester
from tests.services.faulty_http import Faults, FaultyHttp

M, S1, S256, S512 = "a" * 32, "b" * 40, "c" * 64, "d" * 128
OTHER, B512, S384 = "e" * 64, "9" * 128, "7" * 96

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
    f"BLAKE2b (disk.img) = {S512}": f"blake2b:{S512}",
    f"SHA512 (disk.img) = {S512}\nBLAKE2b (disk.img) = {B512}": f"sha512:{S512}",
    f"# BLAKE2B HASH\n{B512}  disk.img\n# SHA512 HASH\n{S512}  disk.img": f"sha512:{S512}",
    f"# SHA512 HASH\n{S512}  disk.img\n# WHIRLPOOL HASH\n{B512}  disk.img": f"sha512:{S512}",
    f"SHA3-512\n{B512}  disk.img\nSHA256\n{S256}  disk.img": f"sha3_512:{B512}",
    f"{S384}  disk.img": f"sha384:{S384}",
    f"SHA384 (disk.img) = {S384}": f"sha384:{S384}",
    f"SHA512/256 (disk.img) = {OTHER}\nMD5 (disk.img) = {M}": f"md5:{M}",
    f"sha256:{S256}  disk.img": f"sha256:{S256}",
    f"disk.img: {S256}\nother.img: {OTHER}": f"sha256:{S256}",
    f"disk.img: sha512:{S512}": f"sha512:{S512}",
    f"disk.img\t{S256}": f"sha256:{S256}",
    f"disk.img = {S256}": f"sha256:{S256}",
    f"SHA-256: {S256}": f"sha256:{S256}",
    f"sha256 = {S256}": f"sha256:{S256}",
    f"{S256}  -": f"sha256:{S256}",
    f"\r\nAlgorithm       Hash    Path\r\n---------       ----    ----\r\nSHA256          {S256.upper()}    C:\\b\\disk.img\r\n"
    f"SHA256          {OTHER.upper()}    C:\\b\\other.img\r\n": f"sha256:{S256}",
    f"\r\nAlgorithm : SHA512\r\nHash      : {S512[:70]}\r\n            {S512[70:]}\r\nPath      : C:\\b\\disk.img\r\n": f"sha512:{S512}",
    f"Algorithm : MD5\nHash : {M}\nPath : disk.img\nAlgorithm : SHA1\nHash : {S1}\nPath : disk.img": f"sha1:{S1}",
    f"SHA256 hash of disk.img:\r\n{S256}\r\nCertUtil: -hashfile command completed successfully.": f"sha256:{S256}",
    f"SHA1-Hash von Datei disk.img:\r\n{' '.join(['bb'] * 20)}\r\nCertUtil: ...": f"sha1:{S1}",
    f"MD5 hash of file disk.img:\n{M}\nSHA256 hash of file other.img:\n{OTHER}": f"md5:{M}",
    f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{S256}  disk.img\n-----BEGIN PGP SIGNATURE-----\n\n"
    f"{OTHER}  disk.img\n-----END PGP SIGNATURE-----": f"sha256:{S256}",
    f"MD5 (disk.img) = {S256}": None,
    f"{'f' * 56}  disk.img": f"sha224:{'f' * 56}",
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
    f'"Algorithm","Hash","Path"\r\n"SHA256","{S256.upper()}","C:\\b\\disk.img"\r\n': f"sha256:{S256}",
    f"disk.img,{S256}\nother.img,{OTHER}": f"sha256:{S256}",
    f"| file | SHA-512 |\n|---|---|\n| disk.img | `{S512}` |\n| other.img | `{B512}` |": f"sha512:{S512}",
    f"| file | SHA3-256 |\n|---|---|\n| disk.img | {S256} |": f"sha3_256:{S256}",
    f"disk.img;{S256};{OTHER}": None,
    f"SHA256:\n {S256} 1048576 disk.img\n {OTHER} 9 other.img\nMD5Sum:\n {M} 1048576 disk.img": f"sha256:{S256}",
    f"{OTHER}  2 disk.img\n{S256}  disk.img": f"sha256:{S256}",
    f"{S256}  \"disk.img\"\n{OTHER}  'other.img'": f"sha256:{S256}",
    f"sha256sum={S256}  disk.img": f"sha256:{S256}",
    f"./disk.img size=9 \\\n    sha256digest={S256}": f"sha256:{S256}",
    f"{S256[:-1]}  disk.img": None,
    f"{S256}disk.img": None,
    f"{S256}\n{OTHER}\n": None,
    "": None,
}


def told(data: bytes, path: str, masked: str, list_name: str = "") -> str | None:
    """Return what `published` finds, as it is written."""
    found = published(data, path, masked, list_name)
    return None if found is None else str(found)


@pytest.mark.parametrize(("text", "found"), DIALECTS.items())
def test_each_dialect(text: str, found: str | None) -> None:
    assert told(text.encode(), "disk.img", "x") == found
    for encoding in ("utf-16", "utf-16-le", "utf-8-sig"):
        assert told(text.encode(encoding), "disk.img", "x") == found


@pytest.mark.parametrize(
    ("list_name", "text", "found"),
    [
        ("disk.img.sha256", f"{S256}  output/packer-4711.img", f"sha256:{S256}"),
        ("disk.sha256", f"{S256}  renamed.img", f"sha256:{S256}"),
        ("disk.img.DIGESTS", f"{S1}  renamed\n{S256}  renamed", f"sha256:{S256}"),
        ("disk.img.sha256", f"{S256}  one.img\n{OTHER}  two.img", None),
        ("disk2.img.sha256", f"{S256}  disk2.img", None),
        ("SHA256SUMS", f"{S256}  other.img", None),
        ("B2SUMS", f"{B512}  disk.img", f"blake2b:{B512}"),
        ("disk.img.b2", f"{B512}  disk.img", f"blake2b:{B512}"),
        ("disk.img.blake3", f"{S256}  disk.img", f"blake3:{S256}"),
        ("B3SUMS", f"{S256}  disk.img", f"blake3:{S256}"),
        ("disk.img.sha3-512", f"{B512}  disk.img", f"sha3_512:{B512}"),
        ("disk-sha512.img.sha3-256", f"{S256}  disk.img", f"sha3_256:{S256}"),
        ("SHA512SUMS", f"{S256}  disk.img", f"sha256:{S256}"),
        ("CHECKSUM.SHA512", f"{S512}  disk.img", f"sha512:{S512}"),
    ],
)
def test_the_name_of_a_list_tells_algorithm_and_file(list_name: str, text: str, found: str | None) -> None:
    assert told(text.encode(), "/a/disk.img", "x", list_name) == found


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"WHIRLPOOL (disk.img) = {B512}", "WHIRLPOOL"),
        (f"# STREEBOG512 HASH\n{B512}  disk.img", "STREEBOG512"),
        (f"SHA512/256 (disk.img) = {S256}", "SHA512/256"),
        (f"BLAKE2b-256 (disk.img) = {S256}", "BLAKE2b-256"),
        (f"rmd160:{S1}  disk.img", "rmd160"),
        (f"file,SM3\ndisk.img,{S256}", "SM3"),
        (f"name;streebog256\ndisk.img;{S256}", "streebog256"),
        (f"{'1' * 160}  disk.img", "640 bits"),
        (f"\x1b[31m(disk.img) = {S256}\nSM3 (disk.img) = {S256}", "SM3"),
    ],
)
def test_an_algorithm_that_is_not_known_is_named_and_never_taken_for_another(text: str, named: str) -> None:
    with pytest.raises(SourceForbidden, match=re.escape(named)) as caught:
        published(text.encode(), "disk.img", "x")
    assert str(caught.value).isprintable()


def test_of_a_blake2b_list_shorter_digests_are_no_sha256() -> None:
    with pytest.raises(SourceForbidden, match="blake2b of 256 bits"):
        published(f"{S256}  disk.img".encode(), "disk.img", "x", "B2SUMS")


@pytest.mark.parametrize(
    "piece",
    ["sha", "sha256-", "a (b) =", "= ", ": ", " ", "-", "#", "SHA256 hash of ", ",", "|a", "sha256,", S256, S256 + " "],
)
def test_no_list_takes_long(piece: str) -> None:
    for line in (90, 4000, 256 << 10):
        text = (piece * (line // len(piece)) + "\n") * ((256 << 10) // line)
        began = time.monotonic()
        with suppress(SourceForbidden):
            published(text.encode(), "disk.img", "x", "disk.img.sha256")
        assert time.monotonic() - began < 10


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
        assert told(listed, path, "x") == found


def test_a_contradiction_is_refused() -> None:
    with pytest.raises(SourceForbidden, match="2 different sha256"):
        published(f"{S256}  disk.img\n{OTHER}  disk.img".encode(), "disk.img", "x")


def test_a_list_that_is_too_large_is_refused() -> None:
    with pytest.raises(SourceForbidden, match="at most"):
        published(bytes((4 << 20) + 1), "disk.img", "x")


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(SourceForbidden):
        found = published(data, "disk.img", "x")
        assert found is None or found.algorithm in DIGITS


WORDS = st.sampled_from(
    ["SHA256", "SHA512/256", "md5", S256, M, "disk.img", "-", "(", ") = ", ":", "  ", "\n", "\t", "Hash", "Path : ", "hash of ",
     "-----BEGIN PGP", "# ", " HASH", "\ufeff", "<pre>", "\x00", "é"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=25), st.sampled_from(["", "disk.img.sha256", "B2SUMS", "x"]))
def test_any_words_are_read_or_refused(words: list[str], list_name: str) -> None:
    for line in read_list("".join(words).encode(), list_name):
        assert line.algorithm is None or DIGITS[line.algorithm] == len(line.hex)
    with suppress(SourceForbidden):
        published("".join(words).encode(), "disk.img", "x", list_name)


@pytest.mark.parametrize("algorithm", DIGITS)
def test_every_known_algorithm_is_computed_when_asked_for(algorithm: str) -> None:
    digester = Digester((algorithm,))
    digester.feed(memoryview(b"image"))
    value = digester.hexdigest(algorithm)
    assert len(value) == DIGITS[algorithm]
    if algorithm != "blake3":
        assert value == hashlib.new(algorithm, b"image").hexdigest()


PLACES = [
    "SHA256SUMS", "CHECKSUM", "SHA512SUMS", "disk 1.img.sha256", "MD5SUMS", "sha256sums.txt", "disk 1.img.SHA256", "CHECKSUM.SHA512",
    "checksums.txt", "disk 1.sha256", "disk 1.img.DIGESTS", "SHA256", "DIGESTS", "disk 1.img-CHECKSUM",
]  # fmt: skip


@pytest.mark.parametrize(
    ("image", "place"),
    [
        ("Fedora-Cloud-Base-Generic-41-1.4.x86_64.qcow2", "Fedora-Cloud-41-1.4-x86_64-CHECKSUM"),
        ("Fedora-Workstation-Live-x86_64-40-1.14.iso", "Fedora-Workstation-40-1.14-x86_64-CHECKSUM"),
        ("Fedora-Server-dvd-aarch64-40-1.14.iso", "Fedora-Server-40-1.14-aarch64-CHECKSUM"),
        ("FreeBSD-14.1-RELEASE-amd64-disc1.iso.xz", "CHECKSUM.SHA512-FreeBSD-14.1-RELEASE-amd64"),
        ("disk.raw.xz", "disk.sha256"),
        ("disk.raw.xz", "disk.raw.md5"),
        ("flatcar_production_qemu_image.img.bz2", "flatcar_production_qemu_image.img.bz2.DIGESTS"),
    ],
)
def test_lists_are_looked_for_by_the_names_that_publishers_use(image: str, place: str) -> None:
    names = list_names(image)
    assert place in names
    assert len(names) == len(set(names)) < 90


@pytest.mark.parametrize("name", PLACES)
def test_it_is_found_next_to_the_image(server: FaultyHttp, settings: Settings, name: str) -> None:
    server.serve(f"/a/{quote(name)}", Faults(content=f"{S256}  disk 1.img\n".encode()))
    assert str(fetch_checksum(f"{server.url}/a/disk%201.img?sig=x", settings)) == f"sha256:{S256}"


def test_it_is_found_where_it_is_said_to_be(server: FaultyHttp, settings: Settings) -> None:
    sums = server.serve("/elsewhere/list.txt", Faults(content=f"{S256} *disk.img\n".encode()))
    assert str(fetch_checksum(f"{server.url}/a/disk.img", settings, sums_url=sums)) == f"sha256:{S256}"


def test_none_published_is_said(server: FaultyHttp, settings: Settings) -> None:
    with pytest.raises(SourceNotFound, match="no checksum is published"):
        fetch_checksum(f"{server.url}/a/disk.img", settings)
