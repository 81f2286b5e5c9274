"""Hostile files, several variants of each attack, and for each the rule that must refuse it.

Everything is small and made in memory; nothing here depends on qemu-img.
"""

import gzip
import struct
import zlib
from collections.abc import Iterator
from functools import cache

from catalog.records import ImageFormat
from tests.storage.corpus_builders import (
    CLUSTER,
    MIB,
    descriptor,
    extension,
    gpt,
    iso,
    mbr,
    patched,
    qcow2,
    snapshot,
    stream_vmdk,
    vmdk,
)

LIMIT = 1 << 40
"""Largest virtual size that the corpus' verdicts allow."""

FORMATS: tuple[ImageFormat, ...] = ("raw", "qcow2", "iso", "vmdk")
_COMPRESSED = 1 << 62


class Hostile:
    """A file, what somebody declares it to be, and the rule that must refuse it.

    The content is kept packed: most of it is zeros, and tests have the whole corpus for parameters.
    """

    def __init__(self, name: str, declared: ImageFormat, rule: str, content: bytes) -> None:
        self.name, self.declared, self.rule = name, declared, rule
        self._packed = zlib.compress(content, 1)

    @property
    def content(self) -> bytes:
        """Return the file's bytes."""
        return zlib.decompress(self._packed)

    def __str__(self) -> str:
        return self.name


@cache
def hostile_files() -> tuple[Hostile, ...]:
    """Return the whole corpus, made once."""
    parts = (
        _qcow2_references,
        _qcow2_headers,
        _qcow2_tables,
        _vmdk_texts,
        _vmdk_headers,
        _polyglots,
        _foreign,
        _others,
    )
    return tuple(hostile for part in parts for hostile in part())


def _qcow2_references() -> Iterator[Hostile]:
    names = {
        "absolute": b"/etc/passwd",
        "relative": b"../../../etc/shadow",
        "json": b'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}',
        "nbd": b"nbd://10.0.0.1/secret",
        "http": b"http://169.254.169.254/latest",
        "device": b"/dev/sda",
        "control-characters": b"\x1b[2J\n\0x",
    }
    for name, backing in names.items():
        for version in (2, 3):
            yield Hostile(
                f"qcow2-v{version}-backing-{name}",
                "qcow2",
                "qcow2.backing-file",
                qcow2(version=version, backing=backing),
            )
    yield Hostile("qcow2-backing-without-name", "qcow2", "qcow2.backing-file", qcow2(backing_offset=512))
    yield Hostile("qcow2-backing-far-away", "qcow2", "qcow2.backing-file", qcow2(backing_offset=1 << 60))
    yield Hostile("qcow2-backing-declared-raw", "raw", "qcow2.backing-file", qcow2(backing=b"/etc/passwd"))
    data = extension(0x44415441, b"/etc/passwd")
    yield Hostile("qcow2-data-file", "qcow2", "qcow2.data-file", qcow2(incompatible=4, extensions=data))
    yield Hostile("qcow2-data-file-bit-only", "qcow2", "qcow2.data-file", qcow2(incompatible=4))
    yield Hostile("qcow2-data-file-name-only", "qcow2", "qcow2.data-file", qcow2(extensions=data))
    second = extension(0x23852875, b"bitmaps.") + data
    yield Hostile("qcow2-data-file-second-extension", "qcow2", "qcow2.data-file", qcow2(extensions=second))
    yield Hostile("qcow2-aes", "qcow2", "qcow2.encrypted", qcow2(crypt=1))
    yield Hostile("qcow2-luks", "qcow2", "qcow2.encrypted", qcow2(crypt=2))
    yield Hostile(
        "qcow2-luks-extension", "qcow2", "qcow2.encrypted", qcow2(extensions=extension(0x0537BE77, bytes(16)))
    )


def _qcow2_headers() -> Iterator[Hostile]:
    for bit in (5, 17, 40, 63):
        yield Hostile(f"qcow2-unknown-feature-{bit}", "qcow2", "qcow2.unknown-features", qcow2(incompatible=1 << bit))
    yield Hostile("qcow2-extended-l2", "qcow2", "qcow2.extended-l2", qcow2(incompatible=16))
    yield Hostile("qcow2-marked-corrupt", "qcow2", "qcow2.corrupt", qcow2(incompatible=2))
    for version in (0, 1, 4, 0xFFFFFFFF):
        yield Hostile(f"qcow2-version-{version}", "qcow2", "qcow2.version", qcow2(version=version))
    for bits in (0, 8, 22, 63, 0xFFFFFFFF):
        yield Hostile(f"qcow2-cluster-bits-{bits}", "qcow2", "qcow2.cluster-size", qcow2(cluster_bits=bits))
    for length in (0, 72, CLUSTER + 8, 0xFFFFFFFF):
        file = patched(qcow2(), 100, struct.pack(">I", length))
        yield Hostile(f"qcow2-header-length-{length}", "qcow2", "qcow2.header-length", file)
    for kind, feature in ((2, 8), (1, 0), (0, 8), (255, 8)):
        file = qcow2(header_length=112, compression=kind, incompatible=feature)
        yield Hostile(f"qcow2-compression-{kind}-{feature}", "qcow2", "qcow2.compression", file)
    yield Hostile("qcow2-refcount-order", "qcow2", "qcow2.refcount-order", qcow2(refcount_order=7))
    yield Hostile("qcow2-long-extension", "qcow2", "qcow2.extension", qcow2(extensions=extension(5, b"", 1 << 31)))
    for count in (65537, 0xFFFFFFFF):
        yield Hostile(f"qcow2-snapshots-{count}", "qcow2", "qcow2.snapshots", qcow2(snapshots=count))
    tables = {
        "disk": ("qcow2.snapshot-disk", snapshot() + snapshot(disk=LIMIT * 2)),
        "state": ("qcow2.snapshot-state", snapshot(state=1 << 60) + snapshot()),
        "cut": ("qcow2.snapshot-table", snapshot(extra=0xFFFFFFF0)),
    }
    for name, (rule, table) in tables.items():
        yield Hostile(f"qcow2-snapshot-{name}", "qcow2", rule, qcow2(snapshots=2, snapshot_table=table))
    outside = qcow2(snapshots=2, snapshots_offset=1 << 40)
    yield Hostile("qcow2-snapshots-outside", "qcow2", "qcow2.snapshot-table", outside)
    for size in (LIMIT + 512, 1 << 62, (1 << 64) - 512):
        yield Hostile(f"qcow2-size-{size}", "qcow2", "file.virtual-size", qcow2(size=size, l1_entries=1 << 22))
    yield Hostile("qcow2-no-size", "qcow2", "file.no-size", qcow2(size=0))


def _qcow2_tables() -> Iterator[Hostile]:
    l1 = "qcow2.l1-table"
    yield Hostile("qcow2-l1-too-small", "qcow2", l1, qcow2(size=1 << 39))
    yield Hostile("qcow2-l1-outside", "qcow2", l1, qcow2(l1_offset=1 << 40))
    yield Hostile("qcow2-l1-unaligned", "qcow2", l1, qcow2(l1_offset=3 * CLUSTER + 8))
    yield Hostile("qcow2-l1-huge", "qcow2", l1, qcow2(l1_entries=0xFFFFFFFF))
    reference = "qcow2.refcount-table"
    yield Hostile("qcow2-refcounts-outside", "qcow2", reference, qcow2(refcount_offset=1 << 50))
    yield Hostile("qcow2-refcounts-nowhere", "qcow2", reference, qcow2(refcount_offset=0))
    yield Hostile("qcow2-refcounts-none", "qcow2", reference, qcow2(refcount_clusters=0))
    yield Hostile("qcow2-refcounts-many", "qcow2", reference, qcow2(refcount_clusters=1 << 31))
    for length in (4, 50, 71, 73, 103):
        yield Hostile(f"qcow2-cut-at-{length}", "qcow2", "qcow2.short", qcow2()[:length])
    yield Hostile("qcow2-cut-in-l1", "qcow2", l1, qcow2()[: 3 * CLUSTER + 4])
    gone = "qcow2.truncated"
    yield Hostile("qcow2-cut-before-l2", "qcow2", gone, qcow2()[: 4 * CLUSTER])
    yield Hostile("qcow2-cut-before-data", "qcow2", gone, qcow2()[: 5 * CLUSTER])
    yield Hostile("qcow2-l2-outside", "qcow2", gone, qcow2(l1=(1 << 50,)))
    yield Hostile("qcow2-data-outside", "qcow2", gone, qcow2(l2=(1 << 50,)))
    yield Hostile("qcow2-compressed-outside", "qcow2", gone, qcow2(l2=(_COMPRESSED | 1 << 45,)))
    crooked = "qcow2.unaligned"
    yield Hostile("qcow2-l2-unaligned", "qcow2", crooked, qcow2(l1=(4 * CLUSTER + 512,)))
    yield Hostile("qcow2-data-unaligned", "qcow2", crooked, qcow2(l2=(5 * CLUSTER - 512,)))
    shared = "qcow2.shared-clusters"
    yield Hostile("qcow2-one-cluster-for-all", "qcow2", shared, qcow2(l2=(5 * CLUSTER,) * 1024))
    entries = 64
    file = qcow2(size=entries << 29, l1_entries=entries, l1=(4 * CLUSTER,) * entries)
    yield Hostile("qcow2-one-table-for-all", "qcow2", shared, file)
    bomb = qcow2(size=512 * MIB, l2=(_COMPRESSED | 5 * CLUSTER,) * 8192)
    yield Hostile("qcow2-one-compressed-cluster-for-all", "qcow2", "qcow2.bomb", bomb)


def _vmdk_texts() -> Iterator[Hostile]:
    flat = descriptor(kind="monolithicFlat", extents='RW 16384 FLAT "/etc/passwd" 0')
    text = "vmdk.text-descriptor"
    yield Hostile("vmdk-text-flat", "vmdk", text, flat)
    yield Hostile("vmdk-text-declared-raw", "raw", text, flat)
    yield Hostile("vmdk-text-then-nul", "raw", text, flat + bytes(MIB))
    yield Hostile("vmdk-text-no-comment", "raw", text, b"\n\r\n  \nversion=1\n" + flat)
    yield Hostile("vmdk-text-after-comments", "raw", text, b"# a\n# b\nversion=2\n" + flat)
    yield Hostile("vmdk-text-device", "vmdk", text, descriptor(kind="fullDevice", extents='RW 1 FLAT "/dev/sda" 0'))
    yield Hostile(
        "vmdk-text-split",
        "vmdk",
        text,
        descriptor(kind="twoGbMaxExtentSparse", extents='RW 1 SPARSE "a.vmdk"'),
    )
    yield Hostile("vmdk-text-long-comment", "raw", text, b"# " + b"x" * 100_000 + b"\nversion=3\n" + flat)
    kinds = (
        "monolithicFlat",
        "twoGbMaxExtentFlat",
        "vmfs",
        "vmfsSparse",
        "custom",
        "fullDevice",
        "",
        "x" * 70,
    )
    for kind in kinds:
        yield Hostile(f"vmdk-type-{kind[:12]}", "vmdk", "vmdk.create-type", vmdk(text=descriptor(kind=kind)))
    extents = {
        "absolute": 'RW 16384 SPARSE "/etc/passwd"',
        "parent-folder": 'RW 16384 SPARSE "../x.vmdk"',
        "flat": 'RW 16384 FLAT "x" 0',
        "two": 'RW 16384 SPARSE "a"\nRW 16384 FLAT "b" 0',
        "none": "",
        "zero": "RW 16384 ZERO",
        "device": 'RW 16384 VMFSRDM "x"',
    }
    for name, line in extents.items():
        yield Hostile(f"vmdk-extents-{name}", "vmdk", "vmdk.external-extents", vmdk(text=descriptor(extents=line)))
    size = descriptor(extents='RW 99 SPARSE "disk.vmdk"')
    yield Hostile("vmdk-extent-size", "vmdk", "vmdk.extent-size", vmdk(text=size))
    yield Hostile("vmdk-parent-cid", "vmdk", "vmdk.parent", vmdk(text=descriptor(parent="12345678")))
    for hint in (
        'parentFileNameHint="/etc/passwd"',
        'PARENTFILENAMEHINT = "../x"',
        '# parentFileNameHint="/etc/passwd"',
    ):
        yield Hostile(f"vmdk-{hint[:8]}", "vmdk", "vmdk.parent", vmdk(text=descriptor(more=hint)))
    tracked = descriptor(more='changeTrackPath="/etc/passwd"')
    yield Hostile("vmdk-change-tracking", "vmdk", "vmdk.external-file", vmdk(text=tracked))
    yield Hostile(
        "vmdk-encrypted", "vmdk", "vmdk.external-file", vmdk(text=descriptor(more='encryption.keySafe = "x"'))
    )
    yield Hostile("vmdk-junk-line", "vmdk", "vmdk.descriptor-line", vmdk(text=descriptor(more="!include /etc/passwd")))
    yield Hostile("vmdk-binary-text", "vmdk", "vmdk.descriptor-text", vmdk(text=descriptor(more="\x07\xfe")))


def _vmdk_headers() -> Iterator[Hostile]:
    yield Hostile(
        "vmdk-no-capacity",
        "vmdk",
        "vmdk.no-capacity",
        vmdk(capacity=0, text=descriptor(kind="monolithicFlat")),
    )
    yield Hostile("vmdk-esx-sparse", "vmdk", "vmdk.esx-sparse", vmdk(magic=b"COWD"))
    for version in (0, 4, 0xFFFFFFFF):
        yield Hostile(f"vmdk-version-{version}", "vmdk", "vmdk.version", vmdk(version=version))
    for grain, entries in ((0, 512), (3, 512), (1 << 40, 512), (128, 1), (128, 0), (128, 0xFFFFFFFF)):
        yield Hostile(
            f"vmdk-geometry-{grain}-{entries}",
            "vmdk",
            "vmdk.geometry",
            vmdk(grain=grain, table_entries=entries),
        )
    for offset, size in ((0, 20), (2, 20), (1, 0), (1, 4096), (1, 1 << 60)):
        file = vmdk(descriptor_offset=offset, descriptor_size=size)
        yield Hostile(f"vmdk-descriptor-{offset}-{size}", "vmdk", "vmdk.descriptor", file)
    yield Hostile("vmdk-compression", "vmdk", "vmdk.compression", vmdk(compression=9))
    yield Hostile("vmdk-directory-outside", "vmdk", "vmdk.grain-directory", vmdk(directory=1 << 40))
    yield Hostile("vmdk-cut-header", "vmdk", "vmdk.short", vmdk()[:60])
    yield Hostile("vmdk-cut-grain", "vmdk", "vmdk.truncated", vmdk()[: 128 * 512])
    yield Hostile("vmdk-table-outside", "vmdk", "vmdk.truncated", vmdk(tables=(1 << 30,)))
    yield Hostile("vmdk-grain-outside", "vmdk", "vmdk.truncated", vmdk(grains=(1 << 30,)))
    many = vmdk(capacity=65536, grains=(128,) * 512, text=descriptor(extents='RW 65536 SPARSE "x"'))
    yield Hostile("vmdk-one-grain-for-all", "vmdk", "vmdk.shared-grains", many)
    yield Hostile("vmdk-footer-missing", "vmdk", "vmdk.no-footer", vmdk(directory=(1 << 64) - 1))
    yield Hostile("vmdk-footer-cut", "vmdk", "vmdk.no-footer", stream_vmdk()[:-700])
    yield Hostile("vmdk-footer-not-closed", "vmdk", "vmdk.no-footer", stream_vmdk(closed=False))
    yield Hostile("vmdk-footer-capacity", "vmdk", "vmdk.footer", stream_vmdk(footer_capacity=0))
    yield Hostile("vmdk-footer-descriptor", "vmdk", "vmdk.footer", stream_vmdk(footer_descriptor=100))
    yield Hostile("vmdk-footer-directory", "vmdk", "vmdk.grain-directory", stream_vmdk(directory=1 << 50))
    yield Hostile("vmdk-footer-points-on", "vmdk", "vmdk.grain-directory", stream_vmdk(directory=(1 << 64) - 1))
    big = LIMIT // 512 + 1
    file = vmdk(capacity=big, grain=1 << 16, text=descriptor(extents=f'RW {big} SPARSE "x"'))
    yield Hostile("vmdk-size", "vmdk", "file.virtual-size", file)


def _polyglots() -> Iterator[Hostile]:
    rule = "file.polyglot"
    volume = iso()[0x8000:0x9000]
    table = mbr((0x80, 0x83, 1, 100))[446:512]
    footer = b"conectix".ljust(512, b"\0")
    yield Hostile("qcow2-and-iso", "qcow2", rule, patched(qcow2(), 0x8000, volume))
    yield Hostile("qcow2-and-iso-declared-iso", "iso", rule, patched(qcow2(), 0x8000, volume))
    yield Hostile("qcow2-and-mbr", "qcow2", rule, patched(qcow2(), 446, table))
    yield Hostile("qcow2-and-mbr-declared-raw", "raw", rule, patched(qcow2(), 446, table))
    yield Hostile("qcow2-and-vhd", "qcow2", rule, qcow2() + footer)
    yield Hostile("qcow2-and-vdi", "qcow2", rule, patched(qcow2(version=2), 0x40, b"\x7f\x10\xda\xbe"))
    yield Hostile("qcow2-and-tar", "qcow2", rule, patched(qcow2(), 257, b"ustar"))
    yield Hostile("qcow2-and-dmg", "qcow2", rule, qcow2() + b"koly\0\0\0\x04".ljust(512, b"\0"))
    yield Hostile("vmdk-and-iso", "vmdk", rule, patched(vmdk(), 0x8000, volume))
    yield Hostile("vmdk-and-mbr", "vmdk", rule, patched(vmdk(), 446, table))
    yield Hostile("vmdk-and-vhd", "vmdk", rule, vmdk() + footer)
    yield Hostile("iso-and-vhd", "iso", rule, iso() + footer)
    yield Hostile("iso-and-luks", "iso", rule, patched(iso(), 0, b"LUKS\xba\xbe"))
    yield Hostile("iso-and-text-vmdk", "iso", rule, patched(iso(), 0, b"# Disk DescriptorFile\nversion=1\n"))
    yield Hostile("iso-and-gzip", "iso", rule, patched(iso(), 0, b"\x1f\x8b\x08"))


def _foreign() -> Iterator[Hostile]:
    foreign, packed = "file.foreign-format", "file.packed"
    footer = b"conectix".ljust(512, b"\0")
    for name, head in {
        "vhdx": b"vhdxfile",
        "vhd-dynamic": footer,
        "vdi": b"<<< Oracle VM VirtualBox Disk Image >>>".ljust(64, b"\0") + b"\x7f\x10\xda\xbe",
        "qed": b"QED\0",
        "parallels": b"WithoutFreeSpace",
        "parallels-extended": b"WithouFreSpacExt",
        "bochs": b"Bochs Virtual HD Image",
        "cloop": b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop",
    }.items():
        yield Hostile(name, "raw", foreign, head.ljust(MIB, b"\0"))
    yield Hostile("vhd-fixed", "raw", foreign, bytes(MIB) + footer)
    yield Hostile("vhd-fixed-511", "raw", foreign, bytes(MIB) + footer[:511])
    yield Hostile("vhd-fixed-with-mbr", "raw", foreign, mbr((0, 0x83, 1, 100)).ljust(MIB, b"\0") + footer)
    yield Hostile("dmg", "raw", foreign, bytes(MIB) + b"koly\0\0\0\x04".ljust(512, b"\0"))
    yield Hostile("gzip", "raw", packed, gzip.compress(bytes(MIB)))
    yield Hostile("gzip-declared-qcow2", "qcow2", packed, gzip.compress(qcow2()))
    for name, head in {
        "xz": b"\xfd7zXZ\0",
        "zstd": b"\x28\xb5\x2f\xfd",
        "bzip2": b"BZh91AY&SY",
        "lz4": b"\x04\x22\x4d\x18",
        "zip": b"PK\x03\x04",
        "7z": b"7z\xbc\xaf\x27\x1c",
        "wim": b"MSWIM\0\0\0",
    }.items():
        yield Hostile(name, "raw", packed, head.ljust(MIB, b"\x01"))
    yield Hostile("ova", "vmdk", packed, patched(b"disk.ovf".ljust(MIB, b"\0"), 257, b"ustar\0"))


def _others() -> Iterator[Hostile]:
    pages = {
        "doctype": b"<!DOCTYPE html><html><body>404</body></html>",
        "html": b"\n\n  <HTML>\n<head>",
        "bom": b"\xef\xbb\xbf<!doctype HTML>",
        "comment": b"<!-- proxy -->\n<html>",
        "xml": b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>',
        "long": b"<html>" + b"x" * (2 * MIB),
    }
    for name, page in pages.items():
        for declared in FORMATS[:3]:
            yield Hostile(f"page-{name}-as-{declared}", declared, "file.html-page", page)
    yield Hostile("json", "raw", "file.json-answer", b'{"error": "denied"}')
    for declared in FORMATS:
        yield Hostile(f"empty-as-{declared}", declared, "file.empty", b"")
    yield Hostile("gpt-cut", "raw", "raw.truncated", gpt(1 << 30))
    yield Hostile("gpt-cut-by-one", "raw", "raw.truncated", gpt(2048))
    yield Hostile("gpt-endless", "raw", "raw.truncated", gpt((1 << 64) - 1))
    yield Hostile("iso-cut", "iso", "iso.truncated", iso(blocks=1000, size=MIB))
    yield Hostile("iso-cut-in-descriptor", "iso", "iso.short", iso()[: 0x8000 + 100])
    yield Hostile("iso-block-size", "iso", "iso.block-size", iso(block=3))
