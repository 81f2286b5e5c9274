"""The one disk in an OVA or tar, as people and programs pack it; what an archive says of itself is held to."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import UnsafeImage
from catalog.settings import Settings
from storage.sources import open_source
from storage.sources.packed.source import PackedSource
from tests.services.faulty_http import Faults, FaultyHttp
from tests.storage.sources.archives import (
    MIB,
    boot_disk,
    envelope,
    manifest,
    old_sparse,
    padded,
    pax_sparse,
    tar_header,
    tar_of,
    zip_of,
)
from tests.storage.sources.reading import fetch, read, read_until_broken

DISK = boot_disk()
APPLE = b"\0\x05\x16\x07" + bytes(156)


@pytest.fixture
def packed(tmp_path: Path, settings: Settings) -> Callable[[bytes], PackedSource]:
    def source(content: bytes) -> PackedSource:
        (tmp_path / "file").write_bytes(content)
        return open_source(f"file://{tmp_path}/file", settings)

    return source


Packed = Callable[[bytes], PackedSource]

OVIRT = (
    b'<ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/" xmlns:xsi="x"><References>'
    b'<File ovf:href="0f6f" ovf:id="0f6f" ovf:size="1048576"/></References>'
    b'<Section xsi:type="ovf:DiskSection_Type"><Disk ovf:diskId="0f6f" ovf:fileRef="0f6f"/></Section>'
    b"</ovf:Envelope>"
)
FOUND: dict[str, Callable[[], bytes]] = {
    "beside what a Mac adds": lambda: tar_of(
        ("._disk.vmdk", APPLE), ("__MACOSX/disk.vmdk", APPLE), ("disk.vmdk", DISK)
    ),
    "beside a floppy that the OVF tells from it": lambda: tar_of(
        ("vm.ovf", envelope("d.vmdk", others=["floppy.img"])), ("floppy.img", bytes(9)), ("d.vmdk", DISK)
    ),
    "beside an ISO of tools": lambda: tar_of(
        ("vm.ovf", envelope("d.vmdk", others=["tools.iso"])), ("d.vmdk", DISK), ("tools.iso", bytes(9))
    ),
    "named only by the OVF": lambda: tar_of(("vm.ovf", envelope("0f6f-uuid")), ("0f6f-uuid", bytes(MIB))),
    "named in another way by the OVF": lambda: tar_of(("x/vm.ovf", envelope("my%20d.vmdk")), ("x/my d.vmdk", DISK)),
    "told by its bytes": lambda: tar_of(("README", b"read me\n" * 999), ("0f6f-uuid", DISK)),
    "gzipped, as its OVF says": lambda: tar_of(
        ("vm.ovf", envelope("d.vmdk.gz", attributes='ovf:compression="gzip"')),
        ("d.vmdk.gz", gzip.compress(DISK)),
    ),
    "beside a kernel and what is packed": lambda: tar_of(
        ("vmlinuz", bytes(510) + b"\x55\xaa\xeb\x66HdrS" + bytes(2000)),
        ("changelog.gz", gzip.compress(b"changes")),
        ("disk.img", DISK),
        ("boot.sector", DISK[:512]),
    ),
    "gzipped, then cut into chunks": lambda: tar_of(
        ("vm.ovf", envelope("d.vmdk.gz", attributes='ovf:compression="gzip" ovf:chunkSize="200000"')),
        ("d.vmdk.gz.000000000", gzip.compress(DISK, mtime=0)[:200_000]),
        ("d.vmdk.gz.000000001", gzip.compress(DISK, mtime=0)[200_000:]),
    ),
    "named by an OVF as oVirt writes it": lambda: tar_of(
        (
            "vm.ovf",
            OVIRT,
        ),
        ("0f6f", bytes(MIB)),
    ),
    "gzipped under its own name": lambda: tar_of(("vm.ovf", envelope("d.vmdk")), ("d.vmdk", gzip.compress(DISK))),
    "packed with xz in a tar": lambda: tar_of(("disk.raw.xz", lzma.compress(DISK))),
    "in an OVA in a zip": lambda: zip_of(
        ("read.txt", b"x"), ("vm.ova", tar_of(("vm.ovf", envelope("d")), ("d", DISK)))
    ),
    "with an OVF for another product": lambda: tar_of(
        ("vm.ovf", envelope("d.vmdk")), ("vm-esx.ovf", envelope("else.vmdk")), ("d.vmdk", DISK)
    ),
    "beside an OVF that is none": lambda: tar_of(("vm.ovf", b"<a><b></a>"), ("d.vmdk", DISK)),
    **{
        f"called disk.{ending}": partial(tar_of, (f"disk.{ending}", bytes(MIB)))
        for ending in ("dd", "RAW", "qcow", "iso", "img")
    },
}


@pytest.mark.parametrize("name", list(FOUND))
def test_the_disk_is_found(packed: Packed, name: str) -> None:
    assert fetch(packed(FOUND[name]())) in (DISK, bytes(MIB))


def chunked(*numbers: int, size: int = len(DISK), step: int = 400_000) -> bytes:
    chunks = [(f"d.vmdk.{n:09}", DISK[n * step : (n + 1) * step]) for n in numbers]
    said = envelope("d.vmdk", attributes=f'ovf:chunkSize="{step}" ovf:size="{size}"')
    return tar_of(("vm.ovf", said), *chunks)


def test_a_disk_in_chunks_is_put_together(packed: Packed) -> None:
    assert fetch(packed(chunked(0, 1, 2))) == DISK
    without_ovf = tar_of(
        ("d.vmdk.000000000", DISK[:99]), ("._d.vmdk.000000001", APPLE), ("d.vmdk.000000001", DISK[99:])
    )
    assert fetch(packed(without_ovf)) == DISK


@pytest.mark.parametrize("numbers", [(0, 2), (1, 2), (0, 1), (0, 0, 1, 2), (0, 2, 1)])
def test_a_disk_whose_chunks_are_not_all_there_in_order_is_refused(packed: Packed, numbers: Sequence[int]) -> None:
    with pytest.raises(UnsafeImage, match=r"tar\.chunks"):
        fetch(packed(chunked(*numbers)))


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 0, 1)], ids=["behind", "before the disk", "first"])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_the_manifest_of_an_archive_is_held_to(packed: Packed, order: Sequence[int], algorithm: str) -> None:
    files = [("vm.ovf", envelope("d.vmdk")), ("d.vmdk", DISK)]
    whole = [*files, ("vm.mf", manifest(algorithm, *files)), ("vm.cert", b"-----BEGIN CERTIFICATE-----")]
    source = packed(tar_of(*(whole[n] for n in (*order, 3))))
    assert fetch(source) == DISK
    assert source.remarks == ()
    for wrong in (0, 1):
        lying = [(name, data + (b"x" if n == wrong else b"")) for n, (name, data) in enumerate(files)]
        whole[2] = ("vm.mf", manifest(algorithm, *lying, form="{label} ({name}) = {digest}\n"))
        with pytest.raises(UnsafeImage, match=rf"tar\.manifest.*{files[wrong][0]}.*has {algorithm.upper()}"):
            fetch(packed(tar_of(*(whole[n] for n in (*order, 3)))))


def test_a_chunk_is_held_to_the_manifest(packed: Packed) -> None:
    files = [("d.vmdk.000000000", DISK[:99]), ("d.vmdk.000000001", DISK[99:])]
    ovf = ("vm.ovf", envelope("d.vmdk"))
    assert fetch(packed(tar_of(ovf, *files, ("vm.mf", manifest("sha256", *files))))) == DISK
    files[1] = (files[1][0], DISK[99:-1] + b"\1")
    with pytest.raises(UnsafeImage, match=r"tar\.manifest"):
        fetch(packed(tar_of(ovf, ("vm.mf", manifest("sha256", *chunks_of(99))), *files)))


def chunks_of(first: int) -> list[tuple[str, bytes]]:
    return [("d.vmdk.000000000", DISK[:first]), ("d.vmdk.000000001", DISK[first:])]


def test_what_a_manifest_leaves_unchecked_is_said(packed: Packed) -> None:
    for text in (b"SM3(d.vmdk)= 00\n", b"\n"):
        source = packed(tar_of(("vm.mf", text), ("d.vmdk", DISK)))
        assert fetch(source) == DISK
        assert "manifest" in source.remarks[0]
        assert "unchecked" in source.remarks[0]


def test_an_ovf_with_two_disks_is_refused_before_they_are_read(packed: Packed) -> None:
    with pytest.raises(UnsafeImage, match=r"tar\.two-disks.*'a\.vmdk' and 'b\.vmdk'"):
        fetch(packed(tar_of(("vm.ovf", envelope("a.vmdk", "b.vmdk")))))


def test_what_an_archive_without_a_disk_holds_is_said(packed: Packed) -> None:
    with pytest.raises(UnsafeImage, match=r"no-disk.*it holds 'read\.txt', 'vm\.nvram'"):
        fetch(packed(tar_of(("read.txt", b"x"), ("vm.nvram", bytes(9999)))))
    with pytest.raises(UnsafeImage, match=r"no-disk.*OVF names the disk 'd\.vmdk'.*holds 'vm\.ovf', 'e\.vmdk'"):
        fetch(packed(tar_of(("vm.ovf", envelope("d.vmdk")), ("e.vmdk", DISK))))


def test_entities_of_an_ovf_are_never_unfolded(packed: Packed) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE E [<!ENTITY e0 "x">{entities}]><E>&e11;</E>'
    source = packed(tar_of(("vm.ovf", bomb.encode("utf-16")), ("d.vmdk", DISK)))
    assert fetch(source) == DISK
    assert "entities" in source.remarks[0]


def test_an_ovf_or_manifest_of_any_size_is_not_read_into_memory(packed: Packed) -> None:
    for name in ("vm.ovf", "vm.mf"):
        with pytest.raises(UnsafeImage, match=r"tar\.record"):
            fetch(packed(tar_of((name, bytes(2 * MIB)), ("d.vmdk", DISK))))


def test_layers_without_end_are_refused(packed: Packed) -> None:
    content = DISK
    for _ in range(4):
        content = gzip.compress(content)
    assert fetch(packed(content)) == DISK
    with pytest.raises(UnsafeImage, match=r"unpack\.layers"):
        fetch(packed(gzip.compress(content)))


def test_several_packings_together_are_held_to_one_ratio(packed: Packed) -> None:
    bomb = bz2.compress(gzip.compress(bytes(200 * MIB), compresslevel=1))
    with pytest.raises(UnsafeImage, match=r"unpack\.ratio"):
        fetch(packed(bomb))


# ---- tar before ustar, and tar with holes


def test_a_tar_without_a_mark_is_a_tar(packed: Packed) -> None:
    header = tar_header("disk.raw", len(DISK), kind=b"\0", mark=b"")
    assert packed(bytes(header) + DISK + bytes(1024)).probe().packing == "tar"
    assert fetch(packed(bytes(header) + DISK + bytes(1024))) == DISK


@given(st.binary(min_size=512, max_size=512))
def test_a_first_sector_is_no_tar(sector: bytes) -> None:
    from storage.sources.packed.tar import is_tar

    assert not is_tar(sector)
    assert not is_tar(b"ustar".join((sector[:257], sector[262:])))


SPANS = [(n * 20_000, boot_disk(n)[: 7_000 + n]) for n in range(50)]
SIZE = 1_500_000


def unfolded(spans: Sequence[tuple[int, bytes]], size: int) -> bytes:
    whole = bytearray(size)
    for at, data in spans:
        whole[at : at + len(data)] = data
    return bytes(whole)


@pytest.mark.parametrize("version", ["old", "0.0", "0.1", "1.0"])
@pytest.mark.parametrize("count", [1, 4, 5, 25, 26, 50])
def test_a_disk_with_holes_comes_out_whole(packed: Packed, version: str, count: int) -> None:
    spans = [*SPANS[:count], (SIZE, b"")]
    content = old_sparse("disk.raw", spans, SIZE) if version == "old" else pax_sparse("disk.raw", version, spans, SIZE)
    assert fetch(packed(content)) == unfolded(spans, SIZE)
    assert fetch(packed(gzip.compress(content))) == unfolded(spans, SIZE)


@pytest.mark.parametrize(
    "options", ["--format=gnu", *(f"--format=posix --sparse-version={v}" for v in ("0.0", "0.1", "1.0"))]
)
def test_what_gnu_tar_packs_with_holes_comes_out_whole(tmp_path: Path, packed: Packed, options: str) -> None:
    file = tmp_path / "disk.raw"
    with file.open("wb") as disk:
        for at in range(0, 60 * MIB, 2 * MIB):
            disk.seek(at)
            disk.write(os.urandom(5000))
        disk.truncate(64 * MIB)
    command = ["tar", "-C", str(tmp_path), *options.split(), "-S", "-cf", "-", "disk.raw"]
    content = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(content) < 2 * MIB
    assert fetch(packed(content)) == file.read_bytes()


@pytest.mark.parametrize(
    "spans",
    [[(0, b"a" * 600), (100, b"b")], [(SIZE - 1, b"ab")], [(1 << 40, b"a")]],
    ids=["overlap", "past the end", "far past the end"],
)
@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_a_map_that_leads_nowhere_is_refused(packed: Packed, version: str, spans: list[tuple[int, bytes]]) -> None:
    with pytest.raises(UnsafeImage, match=r"tar\.sparse"):
        fetch(packed(pax_sparse("disk.raw", version, spans, SIZE)))


def test_a_map_without_end_is_refused(packed: Packed) -> None:
    endless = pax_sparse("disk.raw", "1.0", [(0, b"")], SIZE).replace(b"1\n0\n0\n", b"9999999\n0\n0\n"[:6], 1)
    with pytest.raises(UnsafeImage, match=r"tar\.(sparse|cut)"):
        fetch(packed(endless))


def test_a_few_bytes_that_claim_to_be_a_huge_disk_are_refused(packed: Packed) -> None:
    for size, rule in ((1 << 38, "ratio"), (1 << 50, "size")):
        with pytest.raises(UnsafeImage, match=rf"tar\.{rule}"):
            fetch(packed(pax_sparse("disk.raw", "0.1", [(0, b"x")], size)))


@hypothesis.settings(deadline=None)
@given(st.data())
def test_mutated_archives_never_do_worse_than_be_refused(data: st.DataObject) -> None:
    from storage.sources.packed.archive import DiskInArchive
    from storage.sources.packed.feed import Feed
    from storage.sources.packed.tar import TarMembers

    whole = bytearray(
        data.draw(
            st.sampled_from(
                [
                    pax_sparse("disk.raw", "1.0", SPANS[:3], SIZE),
                    old_sparse("disk.raw", SPANS[:6], SIZE),
                    chunked(0, 1),
                ]
            )
        )
    )
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 3000))] = data.draw(st.integers(0, 255))
    settings = Settings(max_virtual_size=64 * MIB)
    with suppress(UnsafeImage):
        stream = DiskInArchive(TarMembers(Feed(io.BytesIO(whole), "tar", "x"), settings))
        read(stream)


def test_a_cut_in_a_gzipped_disk_of_an_ova_goes_on(server: FaultyHttp, settings: Settings) -> None:
    disk = boot_disk(size=8 * MIB)
    content = tar_of(("vm.ovf", envelope("d.vmdk.gz")), ("d.vmdk.gz", gzip.compress(disk)))
    source = open_source(server.serve("/vm.ova", Faults(content=content, cut_at=MIB)), settings)
    info = source.probe()
    with source.open(0, info) as stream:
        kept, _ = read_until_broken(stream)
    with source.open(len(kept), info) as stream:
        assert kept + read(stream) == disk
    assert server.gets("/vm.ova")[-1]["Range"].startswith(f"bytes={MIB}-")


def test_folders_links_and_devices_are_passed_over(packed: Packed) -> None:
    odd = b"".join(bytes(tar_header(f"{kind}.img", 0, kind.encode())) for kind in "12345")
    member = bytes(tar_header("disk.img", len(DISK))) + padded(DISK)
    assert fetch(packed(odd + member + bytes(1024))) == DISK
    assert tarfile.DIRTYPE == b"5"
