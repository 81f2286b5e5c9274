"""qcow2: the rules on header and extensions."""

import struct
from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.qcow2.header import (
    COMPRESSION,
    CORRUPT,
    DATA_FILE,
    DIRTY,
    EXTENDED_L2,
    HEADER_V3,
    KNOWN_FEATURES,
    Header,
    read_header,
)
from storage.formats.rules import Rule, printable

EXT_END, EXT_DATA_FILE, EXT_CRYPTO = 0, 0x44415441, 0x0537BE77
MAX_L1_BYTES, MAX_REFTABLE_BYTES = 32 << 20, 8 << 20  # qemu's own limits
MAX_SNAPSHOTS = 65536  # qemu's own limit; scheduled snapshots come to tens of thousands

SHORT = Rule("qcow2.short", "the file ends inside the qcow2 header ({size} bytes); it is truncated")
VERSION = Rule("qcow2.version", "qcow2 version {version} is not allowed; versions 2 and 3 are")
BACKING = Rule("qcow2.backing-file", "the image needs the backing file '{name}'; flatten it with qemu-img convert")
DATA = Rule(
    "qcow2.data-file", "the guest's data lie in an external data file; write it as one file with qemu-img convert"
)
ENCRYPTED = Rule("qcow2.encrypted", "the image is encrypted (method {method}); decrypt it with qemu-img convert")
UNKNOWN = Rule("qcow2.unknown-features", "unknown incompatible features 0x{bits:x} are set")
EXTENDED = Rule("qcow2.extended-l2", "extended L2 entries are not allowed; convert it with -o extended_l2=off")
MARKED_CORRUPT = Rule("qcow2.corrupt", "the image is marked corrupt; repair it with qemu-img check -r all")
MARKED_DIRTY = Rule(
    "qcow2.dirty", "the image was not closed cleanly; its reference counts may be stale", severity="warning"
)
CLUSTER = Rule("qcow2.cluster-size", "cluster bits {bits} are not allowed; 9 to 21 are")
HEADER = Rule("qcow2.header-length", "a header length of {length} bytes is not allowed; 104 to one cluster is")
COMPRESSED = Rule("qcow2.compression", "compression type {kind} is not allowed; 0 (zlib) and 1 (zstd) are")
REFCOUNT = Rule("qcow2.refcount-order", "a reference count order of {order} is not allowed; 0 to 6 are")
L1_PLACE = Rule(
    "qcow2.l1-table", "the L1 table ({entries} entries at {start}) does not fit the file or its virtual size"
)
REFTABLE = Rule(
    "qcow2.refcount-table", "the reference count table ({clusters} clusters at {start}) does not lie in the file"
)
SNAPSHOTS = Rule(
    "qcow2.snapshots", "{count} internal snapshots are more than the {limit} allowed; delete them first", version=2
)
HAS_SNAPSHOTS = Rule(
    "qcow2.snapshots-kept",
    "{count} internal snapshots are in the file; a VM gets the current state only",
    severity="warning",
)
EXTENSION = Rule("qcow2.extension", "header extension 0x{kind:08x} of {length} bytes leaves the first cluster")


def header_findings(head: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge header and extensions. head: at least the first cluster or 1 MiB; size_bytes: of the whole file."""
    header = read_header(head)
    if header is None:
        yield SHORT.found(0, size=size_bytes)
        return
    if header.version not in (2, 3):
        yield VERSION.found(4, version=header.version)
        return
    yield from _references(head, header)
    yield from _features(header)
    if not 9 <= header.cluster_bits <= 21:
        yield CLUSTER.found(20, bits=header.cluster_bits)
        return
    yield from _extensions(head, header)
    yield from _tables(header, size_bytes)


def _references(head: bytes, header: Header) -> Iterator[Finding]:
    if header.backing_offset:
        start = header.backing_offset
        name = head[start : start + min(header.backing_size, 1023)]
        yield BACKING.found(8, name=printable(name))
    if header.incompatible & DATA_FILE:
        yield DATA.found(72)
    if header.crypt_method:
        yield ENCRYPTED.found(32, method=header.crypt_method)


def _features(header: Header) -> Iterator[Finding]:
    unknown = header.incompatible & ~(KNOWN_FEATURES | DATA_FILE | EXTENDED_L2)
    if unknown:
        yield UNKNOWN.found(72, bits=unknown)
    if header.incompatible & EXTENDED_L2:
        yield EXTENDED.found(72)
    if header.incompatible & CORRUPT:
        yield MARKED_CORRUPT.found(72)
    if header.incompatible & DIRTY:
        yield MARKED_DIRTY.found(72)
    if header.compression > 1 or bool(header.incompatible & COMPRESSION) != bool(header.compression):
        yield COMPRESSED.found(104, kind=header.compression)
    if header.refcount_order > 6:
        yield REFCOUNT.found(96, order=header.refcount_order)


def _extensions(head: bytes, header: Header) -> Iterator[Finding]:
    at, end = header.header_length, min(header.cluster_bytes, len(head))
    if header.version == 3 and not HEADER_V3 <= at <= header.cluster_bytes:
        yield HEADER.found(100, length=at)
        return
    while at + 8 <= end:
        kind, length = struct.unpack_from(">II", head, at)
        if kind == EXT_END:
            return
        if at + 8 + length > end:
            yield EXTENSION.found(at, kind=kind, length=length)
            return
        if kind == EXT_DATA_FILE and not header.incompatible & DATA_FILE:
            yield DATA.found(at)
        if kind == EXT_CRYPTO and not header.crypt_method:
            yield ENCRYPTED.found(at, method="in a header extension")
        at += 8 + -(-length // 8) * 8


def _tables(header: Header, size_bytes: int) -> Iterator[Finding]:
    l1_bytes = header.l1_entries * 8
    fits = header.l1_offset % header.cluster_bytes == 0 and header.l1_offset + l1_bytes <= size_bytes
    if not fits or l1_bytes > MAX_L1_BYTES or header.l1_entries < header.l1_needed:
        yield L1_PLACE.found(36, entries=header.l1_entries, start=header.l1_offset)
    table = header.refcount_clusters * header.cluster_bytes
    start = header.refcount_offset
    placed = start and start % header.cluster_bytes == 0 and start + table <= size_bytes
    if not placed or not 0 < table <= MAX_REFTABLE_BYTES:
        yield REFTABLE.found(48, clusters=header.refcount_clusters, start=start)
    if header.snapshots > MAX_SNAPSHOTS:
        yield SNAPSHOTS.found(60, count=header.snapshots, limit=MAX_SNAPSHOTS)
    elif header.snapshots:
        yield HAS_SNAPSHOTS.found(60, count=header.snapshots)
