"""Files with packed members in them, as disks have."""

import random
import subprocess
import zlib
from collections.abc import Sequence

from storage.imagestore.storage import ImageStore
from tests.storage.imagestore.compacting import disk

SECTOR = 512


def text(seed: int, size: int) -> bytes:
    """Return bytes that compress to a third or less, by zstd better than by deflate."""
    chosen = random.Random(seed)
    lines = [chosen.randbytes(chosen.randrange(20, 90)) for _ in range(400)]
    return b"".join(chosen.randbytes(3) + line for line in chosen.choices(lines, k=size // 20 + 1))[:size]


def member(contents: bytes, codec: str = "gzip-6", name: bytes = b"") -> bytes:
    """Return a member of gzip, deflated by its program or by zlib."""
    level = codec[-1]
    if codec.startswith("gzip"):
        made = subprocess.run(["gzip", f"-{level}", "-n"], input=contents, capture_output=True, check=True).stdout
        body = made[10:]
    else:
        packer = zlib.compressobj(int(level), zlib.DEFLATED, -15, 8)
        body = packer.compress(contents) + packer.flush()
        body += zlib.crc32(contents).to_bytes(4, "little") + (len(contents) & 0xFFFFFFFF).to_bytes(4, "little")
    head = bytes([0x1F, 0x8B, 8, 8 if name else 0, 0, 0, 0, 0, 0, 3])
    return head + (name + b"\0" if name else b"") + body


def padded(data: bytes, to: int = 4096) -> bytes:
    """Return data up to a boundary, as a file system ends a file."""
    return data + bytes(-len(data) % to)


def archive(files: Sequence[bytes]) -> bytes:
    """Return an archive that begins each file at a multiple of four, as cpio does."""
    return b"".join(padded(b"070701%010x" % len(one) + one, 4) for one in files)


def boot_disk(number: int) -> bytes:
    """Return a disk whose boot image is an archive of its own files, gzipped; builds differ in a little of both."""
    files = [text(seed, 20_000 + 777 * seed) for seed in range(8)] + [text(100 + number, 9000)]
    packed = member(archive(files), name=b"mkinitramfs-MAIN")
    return bytes(8192) + b"".join(padded(one) for one in files[:-1]) + padded(packed) + disk(number, 200_000)


def boot_image_bytes(number: int) -> int:
    """Return how large the boot image of such a disk is."""
    files = [text(seed, 20_000 + 777 * seed) for seed in range(8)] + [text(100 + number, 9000)]
    return len(member(archive(files)))


def stored(storage: ImageStore) -> int:
    """Return the bytes of a store's packs."""
    return sum(info.size_bytes for info in storage.objects.list("packs/"))
