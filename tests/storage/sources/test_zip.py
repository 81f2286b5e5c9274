"""The one disk in a zip, read in one pass."""

import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import UnsafeImage
from catalog.settings import Settings
from storage.sources import open_source
from storage.sources.packed.archive import DiskInArchive
from storage.sources.packed.feed import Feed
from storage.sources.packed.source import PackedSource
from storage.sources.packed.zip import ZipMembers
from tests.services.faulty_http import Faults, FaultyHttp
from tests.storage.sources.archives import MIB, boot_disk, envelope, manifest, zip_end, zip_entry, zip_of
from tests.storage.sources.reading import fetch, read, read_until_broken
from tests.storage.sources.test_packed import Bytes

DISK = boot_disk()
Packed = Callable[[bytes], PackedSource]


@pytest.fixture
def packed(tmp_path: Path, settings: Settings) -> Packed:
    def source(content: bytes) -> PackedSource:
        (tmp_path / "file").write_bytes(content)
        return open_source(f"file://{tmp_path}/file", settings)

    return source


@pytest.mark.parametrize("large", [False, True], ids=["", "zip64"])
@pytest.mark.parametrize(
    ("method", "piped"),
    [
        (zipfile.ZIP_DEFLATED, False),
        (zipfile.ZIP_DEFLATED, True),
        (zipfile.ZIP_STORED, False),
        (zipfile.ZIP_BZIP2, True),
    ],
)
def test_the_one_disk_in_a_zip_is_the_image(packed: Packed, method: int, piped: bool, large: bool) -> None:
    others = [("read.txt", b"read me"), ("__MACOSX/._disk.raw", b"\0\x05\x16\x07"), ("folder/", b"")]
    content = zip_of(*others, ("folder/disk.raw", DISK), ("last.txt", b"x"), method=method, piped=piped, large=large)
    source = packed(content)
    assert source.probe().packing == "zip"
    assert fetch(source) == DISK


def test_an_ovf_and_its_manifest_hold_in_a_zip_too(packed: Packed) -> None:
    files = [("vm/vm.ovf", envelope("d.vmdk")), ("vm/d.vmdk", DISK)]
    named = [(name.removeprefix("vm/"), data) for name, data in files]
    assert fetch(packed(zip_of(*files, ("vm/vm.mf", manifest("sha256", *named))))) == DISK
    wrong = manifest("sha256", named[0], ("d.vmdk", b"else"))
    with pytest.raises(UnsafeImage, match=r"zip\.manifest"):
        fetch(packed(zip_of(*files, ("vm/vm.mf", wrong))))


def test_two_disks_in_a_zip_are_named(packed: Packed) -> None:
    with pytest.raises(UnsafeImage, match=r"zip\.two-disks.*'a\.vmdk' and 'b\.vmdk'; add them one by one"):
        fetch(packed(zip_of(("a.vmdk", DISK), ("b.vmdk", DISK))))


def test_a_zip_without_a_disk_says_what_it_holds(packed: Packed) -> None:
    with pytest.raises(UnsafeImage, match=r"no-disk.*it holds 'word/document\.xml'"):
        fetch(packed(zip_of(("word/document.xml", b"<xml/>" * 999))))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"flags": 1}, "is encrypted with a password"),
        ({"flags": 1, "method": 99}, "is encrypted with a password"),
        ({"method": 9}, "packed with Deflate64"),
        ({"method": 77}, "packed with method 77"),
        ({"flags": 8, "sizes": False}, "how long it is"),
    ],
)
def test_what_can_not_be_read_is_refused_in_a_sentence(packed: Packed, fields: dict[str, int], words: str) -> None:
    content = zip_entry("disk.raw", DISK, **fields) + zip_end("disk.raw")  # type: ignore[arg-type]
    with pytest.raises(UnsafeImage, match=words):
        fetch(packed(content))


def test_an_encrypted_note_beside_the_disk_does_no_harm(packed: Packed) -> None:
    content = zip_entry("key.txt", b"secret", flags=1) + zip_entry("disk.raw", DISK) + zip_end("key.txt", "disk.raw")
    assert fetch(packed(content)) == DISK


@pytest.mark.parametrize("piped", [False, True])
def test_a_damaged_zip_is_refused(packed: Packed, piped: bool) -> None:
    whole = zip_of(("disk.raw", DISK), piped=piped)
    for content in (whole[: len(whole) // 2], whole[:-5], whole[:5000] + b"damage" * 9 + whole[5054:]):
        with pytest.raises(UnsafeImage, match=r"zip\.(cut|corrupt)"):
            fetch(packed(content))
    stored = bytearray(zip_of(("disk.raw", DISK), method=0))
    stored[MIB // 2] ^= 1
    with pytest.raises(UnsafeImage, match=r"zip\.corrupt.*CRC-32"):
        fetch(packed(bytes(stored)))


def test_a_disk_that_the_directory_does_not_list_is_refused(packed: Packed) -> None:
    hidden = zip_entry("disk.raw", DISK) + zip_end()
    with pytest.raises(UnsafeImage, match=r"zip\.corrupt.*directory lists 0"):
        fetch(packed(hidden))


def test_a_bomb_in_a_zip_is_stopped(packed: Packed) -> None:
    with pytest.raises(UnsafeImage, match=r"zip\.ratio"):
        fetch(packed(zip_of(("disk.raw", bytes(80 * MIB)))))


def test_a_zip_of_files_without_end_is_refused(server: FaultyHttp, settings: Settings) -> None:
    for name in ("a.txt", "folder/"):
        content = zip_entry(name, b"") * 500
        url = server.serve("/disk.zip", Faults(content=content, ranges=False, endless=True))
        with pytest.raises(UnsafeImage, match=r"zip\.members"):
            fetch(open_source(url, settings))


def test_sizes_of_a_zip64_that_lie_are_refused(packed: Packed) -> None:
    head = struct.pack("<HHHHHIIIHH", 45, 0, 0, 0, 33, 0, 0xFFFFFFFF, 0xFFFFFFFF, 8, 20)
    extra = struct.pack("<HHQQ", 1, 16, 1 << 60, 1 << 60)
    with pytest.raises(UnsafeImage, match=r"zip\.cut"):
        fetch(packed(b"PK\x03\x04" + head + b"disk.raw" + extra + DISK))


def test_a_cut_in_the_middle_of_a_zip_goes_on(server: FaultyHttp, settings: Settings) -> None:
    disk = boot_disk(size=8 * MIB)
    content = zip_of(("read.txt", b"x"), ("disk.raw", disk), piped=True)
    source = open_source(server.serve("/disk.zip", Faults(content=content, cut_at=MIB)), settings)
    info = source.probe()
    with source.open(0, info) as stream:
        kept, _ = read_until_broken(stream)
    with source.open(len(kept), info) as stream:
        assert kept + read(stream) == disk
    assert server.gets("/disk.zip")[-1]["Range"].startswith(f"bytes={MIB}-")


@hypothesis.settings(deadline=None)
@given(st.data())
def test_mutated_zips_never_do_worse_than_be_refused(data: st.DataObject) -> None:
    piped, method = data.draw(st.booleans()), data.draw(st.sampled_from([8, 12]))
    whole = bytearray(zip_of(("read.txt", b"x" * 99), ("disk.raw", DISK[:9000]), piped=piped, method=method))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UnsafeImage):
        stream = DiskInArchive(
            ZipMembers(Feed(Bytes(bytes(whole), 999), "zip", "x"), Settings(max_virtual_size=64 * MIB))
        )
        assert read(stream) == DISK[:9000]
