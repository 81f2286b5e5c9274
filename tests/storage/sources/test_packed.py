"""Packed sources come out unpacked, bombs are stopped, a broken connection costs nothing but the connection."""

import bz2
import gzip
import hashlib
import io
import lzma
import random
import tarfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import SourceChanged, UnsafeImage
from catalog.settings import Settings
from storage.sources import open_source
from storage.sources.decoders import DECODERS, Packing, packing_of
from storage.sources.unpack import UnpackedStream
from tests.services.faulty_http import Faults, FaultyHttp
from tests.storage.sources.reading import fetch, read, read_until_broken

BODY = random.Random(5).randbytes(1 << 20) + bytes(1 << 20) + random.Random(6).randbytes(300_001)
PACK: dict[Packing, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": partial(lzma.compress, preset=0),
    "zst": zstd.compress,
    "bz2": partial(bz2.compress, compresslevel=1),
}


class Bytes:
    """A stream over bytes that hands out odd pieces."""

    def __init__(self, data: bytes, step: int = 7001) -> None:
        self._file, self._step = io.BytesIO(data), step

    def readinto(self, buffer: memoryview, /) -> int:
        return self._file.readinto(buffer[: self._step])

    def close(self) -> None:
        self._file.close()


@pytest.mark.parametrize("packing", list(PACK))
@pytest.mark.parametrize("suffix", ["", ".bin"])
def test_the_bytes_tell_the_packing_whatever_the_name(
    server: FaultyHttp, settings: Settings, packing: Packing, suffix: str
) -> None:
    packed = PACK[packing](BODY)
    url = server.serve(f"/disk{suffix}", Faults(content=packed))
    source = open_source(url, settings, packed_algorithm="sha256")
    info = source.probe()
    assert (info.packing, info.size_bytes, info.packed_size_bytes) == (packing, None, len(packed))
    assert fetch(source) == BODY
    assert source.packed_checksum == f"sha256:{hashlib.sha256(packed).hexdigest()}"


@pytest.mark.parametrize("packing", list(PACK))
def test_a_cut_goes_on_in_the_middle_of_the_packed_file(
    server: FaultyHttp, settings: Settings, packing: Packing
) -> None:
    packed = PACK[packing](BODY)
    url = server.serve("/disk", Faults(content=packed, cut_at=len(packed) // 2))
    source = open_source(url, settings, packed_algorithm="md5")
    info = source.probe()
    before = server.body_bytes
    with source.open(0, info) as stream:
        kept, _ = read_until_broken(stream)
    assert source.packed_checksum is None
    with source.open(len(kept), info) as stream:
        assert kept + read(stream) == BODY
    assert server.body_bytes - before <= len(packed) + 512  # the look at its head may be counted late
    assert source.packed_checksum == f"md5:{hashlib.md5(packed).hexdigest()}"


def test_another_process_reads_again_and_drops_what_is_kept(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/disk", Faults(content=gzip.compress(BODY)))
    info = open_source(url, settings).probe()
    with open_source(url, settings).open(1_500_000, info) as stream:
        assert read(stream) == BODY[1_500_000:]


def test_a_packed_source_that_changed_is_said(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/disk", Faults(content=gzip.compress(BODY)))
    source = open_source(url, settings)
    info = source.probe()
    server.change("/disk", content=gzip.compress(BODY[1:]), etag='"v2"')
    with pytest.raises(SourceChanged), source.open(0, info) as stream:
        read(stream)


@pytest.mark.parametrize("packing", list(PACK))
def test_several_members_and_padding_are_one_file(settings: Settings, packing: Packing) -> None:
    packed = PACK[packing](b"one") + PACK[packing](b"") + PACK[packing](b"two") + bytes(1024)
    assert read(UnpackedStream(Bytes(packed, 5), packing, settings, "x")) == b"onetwo"


@pytest.mark.parametrize("packing", list(PACK))
def test_data_cut_short_or_damaged_is_no_image(settings: Settings, packing: Packing) -> None:
    packed = PACK[packing](BODY)
    with pytest.raises(UnsafeImage, match=r"unpack\.(cut|corrupt)"):
        read(UnpackedStream(Bytes(packed[:-20]), packing, settings, "x"))
    with pytest.raises(UnsafeImage, match=r"unpack\.corrupt"):
        read(UnpackedStream(Bytes(packed[:1000] + b"damage" * 99 + packed[1600:]), packing, settings, "x"))
    with pytest.raises(UnsafeImage, match=r"unpack\.(cut|corrupt)"):
        read(UnpackedStream(Bytes(packed + b"<html>an error page</html>"), packing, settings, "x"))


@pytest.mark.parametrize("packing", list(PACK))
def test_a_bomb_is_stopped_by_ratio(with_: Callable[..., Settings], packing: Packing) -> None:
    packed = PACK[packing](bytes(8 << 20)) * 12
    with pytest.raises(UnsafeImage, match=r"unpack\.ratio"):
        read(UnpackedStream(Bytes(packed), packing, with_(max_unpack_ratio=50), "x"))


def test_a_bomb_is_stopped_by_size(with_: Callable[..., Settings]) -> None:
    with pytest.raises(UnsafeImage, match=r"unpack\.size"):
        read(UnpackedStream(Bytes(gzip.compress(BODY)), "gz", with_(max_virtual_size=1 << 20), "x"))


@given(st.binary(max_size=3000), st.sampled_from(list(PACK)), st.integers(1, 999), st.integers(1, 999))
def test_any_bytes_come_back_through_any_pieces(data: bytes, packing: Packing, step: int, room: int) -> None:
    stream = UnpackedStream(Bytes(PACK[packing](data), step), packing, Settings(), "x")
    assert read(stream, room) == data


@given(st.binary(max_size=600), st.sampled_from(list(DECODERS)))
def test_arbitrary_bytes_never_do_worse_than_be_refused(data: bytes, packing: Packing) -> None:
    head = {"gz": b"\x1f\x8b\x08", "xz": b"\xfd7zXZ\0", "zst": b"\x28\xb5\x2f\xfd", "bz2": b"BZh9"}[packing]
    assert packing_of(head + data) == packing
    with suppress(UnsafeImage):
        read(UnpackedStream(Bytes(head + data), packing, Settings(), "x"))


def ova(*members: tuple[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=kind) as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return target.getvalue()


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("around", [lambda data: data, gzip.compress, bz2.compress])
def test_the_single_disk_of_an_ova_is_the_image(
    server: FaultyHttp, settings: Settings, kind: int, around: Callable[[bytes], bytes]
) -> None:
    folder = "d" * 90 + "/"
    content = ova(
        ("box.ovf", b"<xml/>" * 99), (folder + "disk1.vmdk", BODY), ("box.mf", b"SHA256"), kind=kind
    )
    url = server.serve("/box", Faults(content=around(content)))
    assert fetch(open_source(url, settings)) == BODY


def test_the_end_of_an_ova_stays_its_end(server: FaultyHttp, settings: Settings) -> None:
    source = open_source(server.serve("/box.ova", Faults(content=ova(("disk.vmdk", BODY)))), settings)
    with source.open(0, source.probe()) as stream:
        assert read(stream) == BODY
        assert [stream.readinto(memoryview(bytearray(9))) for _ in range(2)] == [0, 0]


def test_a_cut_inside_the_disk_of_an_ova_goes_on(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve(
        "/box.ova", Faults(content=ova(("box.ovf", b"x"), ("disk.vmdk", BODY)), cut_at=1 << 20)
    )
    source = open_source(url, settings)
    info = source.probe()
    with source.open(0, info) as stream:
        kept, _ = read_until_broken(stream)
    with source.open(len(kept), info) as stream:
        assert kept + read(stream) == BODY
    assert server.gets("/box.ova")[-1]["Range"].startswith(f"bytes={1 << 20}-")


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ((("box.ovf", b"x"),), "no-disk"),
        ((("a.vmdk", b"x"), ("b.vmdk", b"y")), "two-disks"),
    ],
)
def test_an_ova_without_exactly_one_disk_is_refused(
    server: FaultyHttp, settings: Settings, members: tuple[tuple[str, bytes], ...], rule: str
) -> None:
    url = server.serve("/box.ova", Faults(content=ova(*members)))
    with pytest.raises(UnsafeImage, match=rule):
        fetch(open_source(url, settings))


@pytest.mark.parametrize(
    "name", ["../../../tmp/out.vmdk", "/etc/out.vmdk", "a/./../..//out.VMDK", "x" * 5000 + ".vmdk"]
)
def test_the_name_of_a_disk_leads_nowhere(server: FaultyHttp, settings: Settings, name: str) -> None:
    url = server.serve("/box.ova", Faults(content=ova(("box.ovf", b"x"), (name, BODY))))
    assert fetch(open_source(url, settings)) == BODY
    assert not Path("/etc/out.vmdk").exists()
    assert not Path("/tmp/out.vmdk").exists()


def test_a_name_of_any_length_makes_no_long_sentence(server: FaultyHttp, settings: Settings) -> None:
    content = ova(("a" * 500_000 + ".vmdk", b"x"), ("b" * 500_000 + ".vmdk", b"y"))
    with pytest.raises(UnsafeImage, match="two-disks") as caught:
        fetch(open_source(server.serve("/box.ova", Faults(content=content)), settings))
    assert len(str(caught.value)) < 400


def test_an_archive_that_is_headers_without_end_is_refused(server: FaultyHttp, settings: Settings) -> None:
    header = tarfile.TarInfo("box.ovf").tobuf(tarfile.USTAR_FORMAT)
    url = server.serve("/box.ova", Faults(content=header * 128, ranges=False, endless=True))
    with pytest.raises(UnsafeImage, match=r"tar\.members"):
        fetch(open_source(url, settings))


def test_a_damaged_archive_is_refused(server: FaultyHttp, settings: Settings) -> None:
    whole = ova(("box.ovf", b"x"), ("disk.vmdk", BODY))
    for content in (whole[: len(whole) // 2], whole[:1024] + b"?" * 512 + whole[1536:]):
        url = server.serve("/box.ova", Faults(content=content))
        with pytest.raises(UnsafeImage, match=r"tar\.(cut|corrupt)"):
            fetch(open_source(url, settings))


def test_an_extended_header_of_any_size_is_not_read_into_memory(
    server: FaultyHttp, settings: Settings
) -> None:
    bomb = tarfile.TarInfo("x")
    bomb.type, bomb.size = tarfile.XHDTYPE, 8 << 30
    url = server.serve("/box.ova", Faults(content=bomb.tobuf(tarfile.GNU_FORMAT) + bytes(4096)))
    with pytest.raises(UnsafeImage, match=r"tar\.record"):
        fetch(open_source(url, settings))


def test_a_plain_file_passes_through(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "disk.gz").write_bytes(BODY)
    source = open_source(f"file://{tmp_path}/disk.gz", settings)
    assert (source.probe().packing, source.probe().size_bytes) == ("", len(BODY))
    assert fetch(source) == BODY
