"""Minimal disk image files, written byte by byte so that any field can lie."""

import struct
import zlib

CLUSTER = 65536
MIB = 1 << 20


def qcow2(
    *,
    version: int = 3,
    size: int = 64 * MIB,
    cluster_bits: int = 16,
    backing: bytes = b"",
    backing_offset: int | None = None,
    crypt: int = 0,
    l1_entries: int = 1,
    l1_offset: int = 3 * CLUSTER,
    refcount_offset: int = CLUSTER,
    refcount_clusters: int = 1,
    snapshots: int = 0,
    snapshots_offset: int = 5 * CLUSTER + 4096,
    snapshot_table: bytes = b"",
    incompatible: int = 0,
    refcount_order: int = 4,
    header_length: int = 104,
    compression: int = 0,
    extensions: bytes = b"",
    l1: tuple[int, ...] = (4 * CLUSTER,),
    l2: tuple[int, ...] = (5 * CLUSTER,),
    clusters: int = 6,
) -> bytes:
    """Write header, refcount table and block, L1 at cluster 3, one L2 at cluster 4, data at cluster 5."""
    name_at = 512 if backing_offset is None else backing_offset
    file = bytearray(clusters * CLUSTER)
    start = struct.pack(
        ">4sIQIIQIIQQIIQ",
        b"QFI\xfb",
        version,
        name_at if backing or backing_offset is not None else 0,
        len(backing),
        cluster_bits,
        size,
        crypt,
        l1_entries,
        l1_offset,
        refcount_offset,
        refcount_clusters,
        snapshots,
        snapshots_offset if snapshots else 0,
    )
    rest = struct.pack(">QQQII", incompatible, 0, 0, refcount_order, header_length) if version > 2 else b""
    head = start + rest + (bytes([compression]) + bytes(7) if header_length > 104 else b"")
    put(file, 0, head + extensions)
    put(file, 512, backing)
    put(file, CLUSTER, struct.pack(">Q", 2 * CLUSTER))
    put(file, 2 * CLUSTER, struct.pack(f">{clusters}H", *([1] * clusters)))
    put(file, 3 * CLUSTER, struct.pack(f">{len(l1)}Q", *l1))
    put(file, 4 * CLUSTER, struct.pack(f">{len(l2)}Q", *l2))
    put(file, 5 * CLUSTER, b"guest data")
    put(file, 5 * CLUSTER + 4096, snapshot_table)
    return bytes(file)


def snapshot(*, disk: int = 64 * MIB, state: int = 0, extra: int = 24, name: bytes = b"before") -> bytes:
    """Write one entry of a qcow2 snapshot table."""
    fixed = struct.pack(">QIHHQQII", 3 * CLUSTER, 1, 1, len(name), 0, 0, 0, extra)
    entry = fixed + struct.pack(">QQQ", state, disk, 0)[:extra] + b"1" + name
    return entry.ljust(-(-len(entry) // 8) * 8, b"\0")


def extension(kind: int, data: bytes, length: int | None = None) -> bytes:
    """Write one qcow2 header extension."""
    return struct.pack(">II", kind, len(data) if length is None else length) + data.ljust(-(-len(data) // 8) * 8, b"\0")


DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=12345678
parentCID={parent}
createType="{kind}"

# Extent description
{extents}

# The Disk Data Base
#DDB
ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "16"
{more}
"""


def descriptor(
    *,
    kind: str = "monolithicSparse",
    extents: str = 'RW 16384 SPARSE "disk.vmdk"',
    parent: str = "ffffffff",
    more: str = "",
) -> bytes:
    """Write the text that describes a VMDK."""
    return DESCRIPTOR.format(kind=kind, extents=extents, parent=parent, more=more).encode("latin-1")


def vmdk(
    *,
    magic: bytes = b"KDMV",
    version: int = 1,
    flags: int = 3,
    capacity: int = 16384,
    grain: int = 128,
    text: bytes | None = None,
    descriptor_offset: int = 1,
    descriptor_size: int = 20,
    table_entries: int = 512,
    directory: int = 26,
    compression: int = 0,
    tables: tuple[int, ...] = (32,),
    grains: tuple[int, ...] = (128,),
    sectors: int = 256,
) -> bytes:
    """Write header, descriptor, one grain directory at sector 26, one table at 32, one grain at 128."""
    file = bytearray(sectors * 512)
    put(
        file,
        0,
        vmdk_header(
            magic,
            version,
            flags,
            capacity,
            grain,
            descriptor_offset,
            descriptor_size,
            table_entries,
            directory,
            compression,
        ),
    )
    put(file, 512, descriptor() if text is None else text)
    put(file, 26 * 512, struct.pack(f"<{len(tables)}I", *tables))
    put(file, 32 * 512, struct.pack(f"<{len(grains)}I", *grains))
    put(file, 128 * 512, b"guest data")
    return bytes(file)


def vmdk_header(
    magic: bytes,
    version: int,
    flags: int,
    capacity: int,
    grain: int,
    descriptor_offset: int,
    descriptor_size: int,
    table_entries: int,
    directory: int,
    compression: int,
) -> bytes:
    """Write the 512 bytes that are header and footer alike."""
    fields = (
        version,
        flags,
        capacity,
        grain,
        descriptor_offset,
        descriptor_size,
        table_entries,
        0,
        directory,
        128,
    )
    return (magic + struct.pack("<IIQQQQIQQQ", *fields) + b"\0\n \r\n" + struct.pack("<H", compression)).ljust(
        512, b"\0"
    )


def stream_vmdk(
    *, footer_capacity: int = 16384, footer_descriptor: int = 1, directory: int = 26, closed: bool = True
) -> bytes:
    """Write a streamOptimized VMDK whose directory is named by a footer."""
    text = descriptor(kind="streamOptimized")
    body = vmdk(flags=0x30003, directory=(1 << 64) - 1, compression=1, text=text, grains=(0,))
    footer = vmdk_header(b"KDMV", 1, 0x30003, footer_capacity, 128, footer_descriptor, 20, 512, directory, 1)
    marker = struct.pack("<QII", 1, 0, 3).ljust(512, b"\0")
    return body + marker + footer + (bytes(512) if closed else b"\xff" * 512)


def iso(*, blocks: int = 64, block: int = 2048, size: int | None = None, first: int = 1) -> bytes:
    """Write an ISO 9660 volume descriptor and its terminator."""
    file = bytearray(blocks * 2048 if size is None else size)
    primary = bytearray(2048)
    put(primary, 0, bytes([first]) + b"CD001\x01")
    put(primary, 80, struct.pack("<I", blocks) + struct.pack(">I", blocks))
    put(primary, 128, struct.pack("<H", block) + struct.pack(">H", block))
    put(file, 0x8000, bytes(primary))
    put(file, 0x8800, b"\xffCD001\x01")
    return bytes(file)


def bootable(image_sector: int, count: int = 4, catalog_sector: int = 40, blocks: int = 512) -> bytes:
    """An ISO of 1 MiB with one boot image; its volume size says nothing of where that lies."""
    catalog = b"\1\0".ljust(30, b"\0") + b"\x55\xaa" + struct.pack("<BBHBBHI", 0x88, 0, 0, 0, 0, count, image_sector)
    record = (b"\0CD001\1EL TORITO SPECIFICATION".ljust(0x47, b"\0") + struct.pack("<I", catalog_sector)).ljust(
        2048, b"\0"
    )
    image = patched(iso(blocks=blocks), 0x8800, record + b"\xffCD001\1")
    return patched(image, catalog_sector * 2048, catalog) if catalog_sector < blocks else image


def udf(sectors: int, size: int = 2 * MIB) -> bytes:
    """A medium of Windows: ISO 9660 says little, the UDF partition from sector 270 on has the files."""
    file = patched(iso(blocks=64).ljust(size, b"\0"), 0x8800, b"\0BEA01\1".ljust(2048, b"\0") + b"\0NSR02\1")
    file = patched(file, 256 * 2048, struct.pack("<H14xII", 2, 16 * 2048, 32))
    partition = struct.pack("<H186xII", 5, 270, sectors)
    return patched(file, 33 * 2048, partition.ljust(2048, b"\0") + struct.pack("<H", 8))


def mbr(*entries: tuple[int, int, int, int], code: bytes = b"") -> bytes:
    """Write a first sector: (active flag, type, first sector, sectors) for each partition."""
    sector = bytearray(512)
    put(sector, 0, code)
    for number, (active, kind, first, count) in enumerate(entries):
        put(
            sector,
            446 + 16 * number,
            struct.pack("<B3sB3sII", active, b"\0\x02\0", kind, b"\xff" * 3, first, count),
        )
    put(sector, 510, b"\x55\xaa")
    return bytes(sector)


def gpt(last_sector: int, *, size: int = MIB, kind: bytes = b"\xaf" * 16, first: int = 40) -> bytes:
    """Write a GPT disk with one partition from `first` to `last_sector`, and the header's backup in the last sector."""
    file = bytearray(size)
    put(file, 0, mbr((0, 0xEE, 1, 0xFFFFFFFF)))
    header = struct.pack("<8sIIIIQQQQ16sQII", b"EFI PART", 0x10000, 92, 0, 0, 1, 2047, 34, 2000, bytes(16), 2, 128, 128)
    put(file, 512, header + struct.pack("<I", 0))
    put(file, 1024, kind + b"\x01" * 16 + struct.pack("<QQQ", first, last_sector, 0))
    put(file, size - 512, b"EFI PART")
    return bytes(file)


def deflated(data: bytes) -> bytes:
    """Compress as qcow2 does: raw deflate."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    return packer.compress(data) + packer.flush()


def put(file: bytearray, at: int, data: bytes) -> None:
    """Write into a file under construction."""
    file[at : at + len(data)] = data


def patched(data: bytes, at: int, new: bytes) -> bytes:
    """Return a copy with some bytes replaced; a negative place counts from the end."""
    file = bytearray(data)
    put(file, at if at >= 0 else len(data) + at, new)
    return bytes(file)
