"""An LVM2 physical volume, written byte by byte: no device mapper is needed."""

import struct
import zlib
from pathlib import Path

from tests.services.images import MIB, put_part


def logical_volume(target: Path, content: Path) -> Path:
    """Write an LVM2 physical volume with one linear volume that holds `content`. No device mapper is needed."""
    extents = content.stat().st_size // (4 * MIB)
    uuid = "0123456789abcdef0123456789abcde"
    text = _lvm_metadata(extents, uuid).encode() + b"\0"
    with target.open("wb") as file:
        file.truncate(MIB + content.stat().st_size)
        header = uuid.encode().ljust(32, b"0") + struct.pack("<Q", target.stat().st_size)
        areas = struct.pack("<QQQQQQQQ", MIB, 0, 0, 0, 4096, MIB - 4096, 0, 0)
        label = struct.pack("<I8s", 32, b"LVM2 001") + header + areas
        label = label.ljust(492, b"\0")
        file.seek(512)
        file.write(struct.pack("<8sQI", b"LABELONE", 1, _lvm_crc(label)) + label)
        area = b" LVM2 x[5A%r0N*>" + struct.pack("<IQQ", 1, 4096, MIB - 4096)
        area = (area + struct.pack("<QQII", 512, len(text), _lvm_crc(text), 0)).ljust(508, b"\0")
        file.seek(4096)
        file.write(struct.pack("<I", _lvm_crc(area)) + area + text)
    put_part(target, content, MIB)
    return target


def _lvm_crc(data: bytes) -> int:
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _lvm_metadata(extents: int, pv: str) -> str:
    shown = "-".join((pv[:6], pv[6:10], pv[10:14], pv[14:18], pv[18:22], pv[22:26], pv[26:].ljust(6, "0")))
    return f"""vg {{
id = "aaaaaa-bbbb-cccc-dddd-eeee-ffff-gggggg"
seqno = 1
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = 8192
max_lv = 0
max_pv = 0
metadata_copies = 0
physical_volumes {{
pv0 {{
id = "{shown}"
device = "/dev/vda3"
status = ["ALLOCATABLE"]
flags = []
dev_size = {extents * 8192 + 2048}
pe_start = 2048
pe_count = {extents}
}}
}}
logical_volumes {{
root {{
id = "hhhhhh-iiii-jjjj-kkkk-llll-mmmm-nnnnnn"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
creation_time = 1700000000
creation_host = "test"
segment_count = 1
segment1 {{
start_extent = 0
extent_count = {extents}
type = "striped"
stripe_count = 1
stripes = [
"pv0", 0
]
}}
}}
}}
}}
contents = "Text Format Volume Group"
version = 1
description = ""
creation_host = "test"
creation_time = 1700000000
"""
