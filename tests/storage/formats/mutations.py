"""Mutated images: real headers and tables with a few fields changed to numbers that parsers trip over."""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.storage.corpus_builders import (
    CLUSTER,
    bootable,
    extension,
    gpt,
    iso,
    mbr,
    patched,
    qcow2,
    snapshot,
    stream_vmdk,
    udf,
    vmdk,
)

Hot = tuple[tuple[int, int], ...]
_NUMBERS = (
    0,
    1,
    2,
    7,
    511,
    512,
    513,
    0x7FFF,
    0xFFFF,
    1 << 31,
    (1 << 32) - 1,
    1 << 40,
    1 << 62,
    (1 << 63) - 1,
    (1 << 64) - 1,
)


@dataclass(frozen=True, slots=True)
class Seed:
    """A good image and the places where its numbers are."""

    content: bytes
    hot: Hot
    big_endian: bool = False


SNAPSHOTS = 5 * CLUSTER + 4096


def with_bitmap() -> bytes:
    """A qcow2 with a bitmap: directory at cluster 6, table at 7, its one cluster at 8."""
    named = extension(0x23852875, struct.pack(">I4xQQ", 1, 32, 6 * CLUSTER))
    file = patched(qcow2(extensions=named, clusters=9), 88, struct.pack(">Q", 1))
    entry = struct.pack(">QIIBBHI", 7 * CLUSTER, 1, 0, 1, 16, 1, 0) + b"b"
    return patched(patched(file, 6 * CLUSTER, entry), 7 * CLUSTER, struct.pack(">Q", 8 * CLUSTER))


SEEDS = {
    "qcow2-snapshots": Seed(
        qcow2(snapshots=3, snapshots_offset=SNAPSHOTS, snapshot_table=snapshot() * 3),
        ((0, 104), (SNAPSHOTS, SNAPSHOTS + 240), (3 * CLUSTER, 3 * CLUSTER + 16)),
        True,
    ),
    "qcow2-bitmap": Seed(
        with_bitmap(), ((0, 144), (6 * CLUSTER, 6 * CLUSTER + 32), (7 * CLUSTER, 7 * CLUSTER + 16)), True
    ),
    "iso-boot": Seed(bootable(50), ((0x8800, 0x8860), (40 * 2048, 40 * 2048 + 64))),
    "udf": Seed(udf(700), ((0x8000, 0x9000), (256 * 2048, 256 * 2048 + 32), (33 * 2048, 33 * 2048 + 200))),
    "qcow2-2": Seed(
        qcow2(version=2, clusters=6),
        ((0, 72), (3 * CLUSTER, 3 * CLUSTER + 16), (4 * CLUSTER, 4 * CLUSTER + 64)),
        True,
    ),
    "qcow2-3": Seed(
        qcow2(header_length=112, l2=(5 * CLUSTER, 1 << 62 | 5 * CLUSTER)),
        ((0, 160), (3 * CLUSTER, 3 * CLUSTER + 16), (4 * CLUSTER, 4 * CLUSTER + 64)),
        True,
    ),
    "vmdk-sparse": Seed(vmdk(), ((0, 80), (512, 900), (26 * 512, 26 * 512 + 16), (32 * 512, 32 * 512 + 64))),
    "vmdk-stream": Seed(stream_vmdk(), ((0, 80), (512, 900), (26 * 512, 26 * 512 + 16), (256 * 512, 258 * 512))),
    "iso": Seed(iso(), ((0x8000, 0x8000 + 200), (0x8800, 0x8810))),
    "gpt": Seed(gpt(2000), ((440, 512), (512, 612), (1024, 1080))),
    "mbr": Seed(mbr((0x80, 0x83, 1, 100), (0, 5, 101, 100)).ljust(4096, b"\0"), ((0, 512),)),
}


def mutated(seed: Seed, chance: random.Random) -> bytes:
    """Change one to six fields; now and then cut the file, or put a signature somewhere."""
    file = bytearray(seed.content)
    for _ in range(chance.randint(1, 6)):
        start, end = chance.choice(seed.hot)
        size = chance.choice((1, 1, 2, 4, 4, 8, 8))
        at = chance.randrange(start, end) // size * size
        new = chance.choice(_NUMBERS) if chance.random() < 0.6 else chance.getrandbits(64)
        file[at : at + size] = (new & ((1 << 8 * size) - 1)).to_bytes(size, "big" if seed.big_endian else "little")
    if chance.random() < 0.1:
        del file[chance.randrange(len(file)) :]
    if chance.random() < 0.05:
        file += chance.choice((b"conectix", b"koly\0\0\0\x04", b"\0")).ljust(512, b"\0")
    return bytes(file)


def cases(name: str, count: int) -> Iterator[bytes]:
    """Yield the same `count` mutations of a seed in every run."""
    chance = random.Random(name)
    for _ in range(count):
        yield mutated(SEEDS[name], chance)
