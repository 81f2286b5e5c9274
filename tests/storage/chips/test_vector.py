"""The format as the README writes it down, read by a program that shares no code with ours."""

import hashlib
import json
import random
import struct
import sys
from pathlib import Path

from blake3 import blake3

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VECTOR = Path(__file__).parent / "vector"
IMAGE = "00000000-0000-4000-8000-000000000001"
DATA = (
    random.Random(7).randbytes(6000)
    + bytes(12288)
    + b"".join(b"line %d\n" % number for number in range(1200))
    + random.Random(7).randbytes(300)
)


def proven(data: bytes) -> bytes:
    assert blake3(data[:-32]).digest() == data[-32:]
    return data[:-32]


def read_index() -> dict[bytes, tuple[bytes, int]]:
    """Return digest → (pack, offset)."""
    found: dict[bytes, tuple[bytes, int]] = {}
    for segment in sorted((VECTOR / "index").iterdir(), reverse=True):
        data = proven(segment.read_bytes())
        magic, version, packs, chips = struct.unpack_from("<4sIIQ", data)
        assert (magic, version) == (b"IWIX", 1)
        at = 20
        names = [data[at + 32 * n :][:32] for n in range(packs)]
        at += 32 * packs + 8 * chips  # the keys: first 8 bytes of each digest
        digests = [data[at + 32 * n :][:32] for n in range(chips)]
        at += 32 * chips
        numbers = struct.unpack_from(f"<{chips}I", data, at)
        offsets = struct.unpack_from(f"<{chips}Q", data, at + 4 * chips)
        for digest, number, offset in zip(digests, numbers, offsets, strict=True):
            found.setdefault(digest, (names[number], offset))
    return found


def read_chip(pack: bytes, offset: int) -> bytes:
    data = (VECTOR / "packs" / pack.hex()[:2] / pack.hex()).read_bytes()
    assert data[:8] == b"IWPK" + struct.pack("<I", 1)
    digest, codec, raw, stored = struct.unpack_from("<32sBII", data, offset)
    payload = data[offset + 41 : offset + 41 + stored]
    chip = zstd.decompress(payload) if codec == 1 else payload
    assert (len(chip), blake3(chip).digest()) == (raw, digest)
    return chip


def read_image() -> tuple[dict[str, object], bytes]:
    data = proven((VECTOR / "manifests" / IMAGE).read_bytes())
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version) == (b"IWMF", 1)
    header = json.loads(data[12 : 12 + length])
    (count,) = struct.unpack_from("<Q", data, 12 + length)
    index = read_index()
    parts: list[bytes] = []
    for number in range(count):
        size, digest = struct.unpack_from("<Q32s", data, 20 + length + 40 * number)
        parts.append(read_chip(*index[digest]) if any(digest) else bytes(size))
        assert len(parts[-1]) == size
    return header, b"".join(parts)


def test_another_program_reads_the_image_from_the_description() -> None:
    header, data = read_image()
    assert data == DATA
    digests = header["digests"]
    assert isinstance(digests, dict)
    assert digests["sha256"] == hashlib.sha256(DATA).hexdigest()


def test_a_pack_describes_itself() -> None:
    for path in (VECTOR / "packs").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            digest, length, magic = struct.unpack("<32sI4s", data[-40:])
            trailer = data[-40 - length : -40]
            assert magic == b"IWPF"
            assert blake3(trailer).digest() == digest == bytes.fromhex(path.name)
            assert trailer[:4] == b"IWPT"
            (count,) = struct.unpack_from("<I", trailer, 20)
            for entry in struct.iter_unpack("<32sBIIQ", trailer[24:]):
                assert blake3(read_chip(digest, entry[4])).digest() == entry[0]
            assert count == (len(trailer) - 24) // 49
