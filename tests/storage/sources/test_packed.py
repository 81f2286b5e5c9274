"""Packed sources come out unpacked, bombs are stopped, a broken connection costs nothing but the connection."""

import bz2
import gzip
import hashlib
import io
import lzma
import random
import struct
import tarfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import cast

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import SourceChanged, UnsafeImage
from catalog.settings import Settings
from storage.sources import open_source
from storage.sources.packed.decoders import DECODERS, Packing, packing_of
from storage.sources.packed.unpack import UnpackedStream
from tests.services.faulty_http import Faults, FaultyHttp
from tests.services.payload import payload
from tests.storage.sources.reading import fetch, read, read_until_broken


@payload
def body() -> bytes:
    return random.Random(5).randbytes(1 << 20) + bytes(1 << 20) + random.Random(6).randbytes(300_001)


PACK: dict[Packing, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": partial(lzma.compress, preset=0),
    "zst": zstd.compress,
    "bz2": partial(bz2.compress, compresslevel=1),
    "lzma": partial(lzma.compress, preset=0, format=lzma.FORMAT_ALONE),
}


@cache
def packed_body(packing: Packing) -> bytes:
    return PACK[packing](body())


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
    packed = packed_body(packing)
    url = server.serve(f"/disk{suffix}", Faults(content=packed))
    source = open_source(url, settings, packed_algorithm="sha256")
    info = source.probe()
    assert (info.packing, info.size_bytes, info.packed_size_bytes) == (packing, None, len(packed))
    assert fetch(source) == body()
    assert source.packed_checksum == f"sha256:{hashlib.sha256(packed).hexdigest()}"


@pytest.mark.parametrize("packing", list(PACK))
def test_a_cut_goes_on_in_the_middle_of_the_packed_file(
    server: FaultyHttp, settings: Settings, packing: Packing
) -> None:
    packed = packed_body(packing)
    url = server.serve("/disk", Faults(content=packed, cut_at=len(packed) // 2))
    source = open_source(url, settings, packed_algorithm="md5")
    info = source.probe()
    before = server.body_bytes
    with source.open(0, info) as stream:
        kept, _ = read_until_broken(stream)
    assert source.packed_checksum is None
    with source.open(len(kept), info) as stream:
        assert kept + read(stream) == body()
    assert server.body_bytes - before <= len(packed) + 512  # the look at its head may be counted late
    assert source.packed_checksum == f"md5:{hashlib.md5(packed).hexdigest()}"


def test_another_process_reads_again_and_drops_what_is_kept(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/disk", Faults(content=gzip.compress(body())))
    info = open_source(url, settings).probe()
    with open_source(url, settings).open(1_500_000, info) as stream:
        assert read(stream) == body()[1_500_000:]


def test_a_packed_source_that_changed_is_said(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/disk", Faults(content=gzip.compress(body())))
    source = open_source(url, settings)
    info = source.probe()
    server.change("/disk", content=gzip.compress(body()[9:]), etag='"v2"')
    with pytest.raises(SourceChanged), source.open(0, info) as stream:
        read(stream)


@pytest.mark.parametrize("packing", [packing for packing in PACK if packing != "lzma"])  # it has no members
def test_several_members_and_padding_are_one_file(settings: Settings, packing: Packing) -> None:
    packed = PACK[packing](b"one") + PACK[packing](b"") + PACK[packing](b"two") + bytes(1024)
    assert read(UnpackedStream(Bytes(packed, 5), packing, settings, "x")) == b"onetwo"


@pytest.mark.parametrize("packing", list(PACK))
def test_data_cut_short_or_damaged_is_no_image(settings: Settings, packing: Packing) -> None:
    packed = packed_body(packing)
    with pytest.raises(UnsafeImage, match=r"unpack\.(cut|corrupt)"):
        read(UnpackedStream(Bytes(packed[:-20]), packing, settings, "x"))
    with pytest.raises(UnsafeImage, match=r"unpack\.corrupt"):
        read(UnpackedStream(Bytes(packed[:1000] + b"damage" * 99 + packed[1600:]), packing, settings, "x"))


def skipped(size: int = 4) -> bytes:
    """Return a frame that zstd skips: pzstd puts one with sizes first, others one with notes or an index last."""
    return b"\x50\x2a\x4d\x18" + struct.pack("<I", size) + bytes(size)


@pytest.mark.parametrize("size", [4, 500, 5000])
def test_frames_that_zstd_skips_may_come_first_between_and_last(tmp_path: Path, settings: Settings, size: int) -> None:
    half = len(body()) // 2
    parts = (skipped(size), zstd.compress(body()[:half]), skipped(), zstd.compress(body()[half:]), skipped(9))
    (tmp_path / "disk").write_bytes(b"".join(parts))
    source = open_source(f"file://{tmp_path}/disk", settings)
    assert source.probe().packing == "zst"
    assert fetch(source) == body()


def test_a_window_that_takes_too_much_memory_is_said_not_called_damage(settings: Settings) -> None:
    for window_log, allowed in ((27, True), (28, True), (29, False), (31, False)):
        options: dict[int, int] = {zstd.CompressionParameter.window_log: window_log}
        packer = zstd.ZstdCompressor(options=options)
        packed = packer.compress(body()) + packer.flush()
        stream = UnpackedStream(Bytes(packed), "zst", settings, "x")
        if allowed:
            assert read(stream) == body()
            continue
        with pytest.raises(UnsafeImage, match=rf"unpack\.memory.*{1 << window_log - 20} MiB of memory, and 256"):
            read(stream)


def test_a_dictionary_of_xz_that_takes_too_much_memory_is_said(settings: Settings) -> None:
    for packing, kind in (("xz", lzma.FORMAT_XZ), ("lzma", lzma.FORMAT_ALONE)):
        packed = bytearray(lzma.compress(body(), format=kind, filters=_for(kind, 1 << 20)))
        if packing == "lzma":
            packed[1:5] = struct.pack("<I", 512 << 20)
        else:
            packed[16] = 34
            packed[20:24] = struct.pack("<I", zlib.crc32(packed[12:20]))
        with pytest.raises(UnsafeImage, match=r"unpack\.memory.*512 MiB of memory"):
            read(UnpackedStream(Bytes(bytes(packed)), cast("Packing", packing), settings, "x"))


def _for(kind: int, size: int) -> list[dict[str, int]]:
    one = lzma.FILTER_LZMA2 if kind == lzma.FORMAT_XZ else lzma.FILTER_LZMA1
    return [{"id": one, "preset": 0, "dict_size": size}]


@pytest.mark.parametrize("packing", ["gz", "bz2"])
@pytest.mark.parametrize("behind", [b"# built by nightly\n", random.Random(4).randbytes(96), b"\0" * 9 + b"\x17" * 700])
def test_what_stands_behind_the_data_is_left_out_and_said(
    tmp_path: Path, settings: Settings, packing: Packing, behind: bytes
) -> None:
    (tmp_path / "disk").write_bytes(packed_body(packing) + behind)
    source = open_source(f"file://{tmp_path}/disk", settings)
    assert fetch(source) == body()
    (remark,) = source.remarks
    assert f"{len(behind.lstrip(bytes(1)))} bytes behind the source's {packing} data" in remark


@pytest.mark.parametrize("packing", list(PACK))
def test_a_line_end_behind_the_data_is_padding(settings: Settings, packing: Packing) -> None:
    stream = UnpackedStream(Bytes(PACK[packing](b"disk") + b"\r\n\n"), packing, settings, "x")
    assert read(stream) == b"disk"
    assert stream.remarks == ()


@pytest.mark.parametrize("packing", ["xz", "zst", "lzma"])
def test_where_programs_refuse_what_stands_behind_the_data_we_do(settings: Settings, packing: Packing) -> None:
    with pytest.raises(UnsafeImage, match=r"unpack\.trailing.*behind its"):
        read(UnpackedStream(Bytes(packed_body(packing) + b"<html>an error page</html>"), packing, settings, "x"))


@pytest.mark.parametrize("packing", ["gz", "bz2"])
def test_a_member_whose_head_is_damaged_is_no_note_behind_the_data(settings: Settings, packing: Packing) -> None:
    member = packed_body(packing)
    for packed in (member + b"?" + member[1:], PACK[packing](b"a") * 2 + b"?" + PACK[packing](b"b")[1:]):
        with pytest.raises(UnsafeImage, match=r"unpack\.trailing"):
            read(UnpackedStream(Bytes(packed), packing, settings, "x"))
    with pytest.raises(UnsafeImage, match=r"unpack\.cut"):
        read(UnpackedStream(Bytes(member + member[:2]), packing, settings, "x"))


def test_a_file_packed_twice_is_unpacked_twice(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "disk").write_bytes(gzip.compress(lzma.compress(body(), preset=0)))
    assert fetch(open_source(f"file://{tmp_path}/disk", settings)) == body()


@pytest.mark.parametrize("packing", [packing for packing in PACK if packing != "lzma"])
def test_a_bomb_is_stopped_by_ratio(with_: Callable[..., Settings], packing: Packing) -> None:
    packed = PACK[packing](bytes(8 << 20)) * 12
    with pytest.raises(UnsafeImage, match=r"unpack\.ratio"):
        read(UnpackedStream(Bytes(packed), packing, with_(max_unpack_ratio=50), "x"))


def test_a_bomb_is_stopped_by_size(with_: Callable[..., Settings]) -> None:
    with pytest.raises(UnsafeImage, match=r"unpack\.size"):
        read(UnpackedStream(Bytes(gzip.compress(body())), "gz", with_(max_virtual_size=1 << 20), "x"))


@given(st.binary(max_size=3000), st.sampled_from(list(PACK)), st.integers(1, 999), st.integers(1, 999))
def test_any_bytes_come_back_through_any_pieces(data: bytes, packing: Packing, step: int, room: int) -> None:
    stream = UnpackedStream(Bytes(PACK[packing](data), step), packing, Settings(), "x")
    assert read(stream, room) == data


@given(st.binary(max_size=600), st.sampled_from(list(DECODERS)))
def test_arbitrary_bytes_never_do_worse_than_be_refused(data: bytes, packing: Packing) -> None:
    head = {
        "gz": b"\x1f\x8b\x08",
        "xz": b"\xfd7zXZ\0",
        "zst": b"\x28\xb5\x2f\xfd",
        "bz2": b"BZh9",
        "lzma": b"\x5d\0\0\x80\0" + b"\xff" * 8 + b"\0",
    }[packing]
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
    content = ova(("box.ovf", b"<xml/>" * 99), (folder + "disk1.vmdk", body()), ("box.mf", b"SHA256"), kind=kind)
    url = server.serve("/box", Faults(content=around(content)))
    assert fetch(open_source(url, settings)) == body()


def test_the_end_of_an_ova_stays_its_end(server: FaultyHttp, settings: Settings) -> None:
    source = open_source(server.serve("/box.ova", Faults(content=ova(("disk.vmdk", body())))), settings)
    with source.open(0, source.probe()) as stream:
        assert read(stream) == body()
        assert [stream.readinto(memoryview(bytearray(9))) for _ in range(2)] == [0, 0]


def test_a_cut_inside_the_disk_of_an_ova_goes_on(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/box.ova", Faults(content=ova(("box.ovf", b"x"), ("disk.vmdk", body())), cut_at=1 << 20))
    source = open_source(url, settings)
    info = source.probe()
    with source.open(0, info) as stream:
        kept, _ = read_until_broken(stream)
    with source.open(len(kept), info) as stream:
        assert kept + read(stream) == body()
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
    url = server.serve("/box.ova", Faults(content=ova(("box.ovf", b"x"), (name, body()))))
    assert fetch(open_source(url, settings)) == body()
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
    whole = ova(("box.ovf", b"x"), ("disk.vmdk", body()))
    for content in (whole[: len(whole) // 2], whole[:1024] + b"?" * 512 + whole[1536:]):
        url = server.serve("/box.ova", Faults(content=content))
        with pytest.raises(UnsafeImage, match=r"tar\.(cut|corrupt)"):
            fetch(open_source(url, settings))


def test_an_extended_header_of_any_size_is_not_read_into_memory(server: FaultyHttp, settings: Settings) -> None:
    bomb = tarfile.TarInfo("x")
    bomb.type, bomb.size = tarfile.XHDTYPE, 8 << 30
    url = server.serve("/box.ova", Faults(content=bomb.tobuf(tarfile.GNU_FORMAT) + bytes(4096)))
    with pytest.raises(UnsafeImage, match=r"tar\.record"):
        fetch(open_source(url, settings))


def test_a_plain_file_passes_through(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "disk.gz").write_bytes(body())
    source = open_source(f"file://{tmp_path}/disk.gz", settings)
    assert (source.probe().packing, source.probe().size_bytes) == ("", len(body()))
    assert fetch(source) == body()
