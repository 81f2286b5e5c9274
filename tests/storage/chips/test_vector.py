"""The format as the README writes it down, read by a program that shares no code with ours."""

import hashlib
import json
import random
import shutil
import struct
import sys
from pathlib import Path

import pytest
from blake3 import blake3

from storage.chips.directory import DirectoryObjects
from storage.imagestore import ImageStore
from tests.storage.stores import add, record

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VERSIONS = (1, 2)
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


def read_index(store: Path, version: int) -> dict[bytes, tuple[bytes, int, int]]:
    """Return digest → (pack, offset of the record, bytes from the beginning of its chain)."""
    found: dict[bytes, tuple[bytes, int, int]] = {}
    for segment in sorted((store / "index").iterdir(), reverse=True):
        data = proven(segment.read_bytes())
        magic, written, packs, chips = struct.unpack_from("<4sIIQ", data)
        assert (magic, written) == (b"IWIX", version)
        at = 20
        names = [data[at + 32 * n :][:32] for n in range(packs)]
        at += 32 * packs + 8 * chips  # the keys: first 8 bytes of each digest
        digests = [data[at + 32 * n :][:32] for n in range(chips)]
        at += 32 * chips
        numbers = struct.unpack_from(f"<{chips}I", data, at)
        offsets = struct.unpack_from(f"<{chips}Q", data, at + 4 * chips)
        back = struct.unpack_from(f"<{chips}I", data, at + 21 * chips) if version > 1 else [0] * chips
        for digest, number, offset, distance in zip(digests, numbers, offsets, back, strict=True):
            found.setdefault(digest, (names[number], offset, distance))
    return found


def read_chip(store: Path, version: int, pack: bytes, offset: int, back: int) -> bytes:
    data = (store / "packs" / pack.hex()[:2] / pack.hex()).read_bytes()
    assert data[:8] == b"IWPK" + struct.pack("<I", version)
    at, chip, frame = offset - back, b"", zstd.ZstdDecompressor()
    while at <= offset:
        digest, codec, raw, stored = struct.unpack_from("<32sBII", data, at)
        payload = data[at + 41 : at + 41 + stored]
        assert (codec == 2) == (at > offset - back)
        chip = frame.decompress(payload) if codec else payload
        assert (len(chip), blake3(chip).digest()) == (raw, digest)
        at += 41 + stored
    return chip


def read_image(store: Path, version: int) -> tuple[dict[str, object], bytes]:
    data = proven((store / "manifests" / IMAGE).read_bytes())
    magic, written, length = struct.unpack_from("<4sII", data)
    assert (magic, written) == (b"IWMF", 1)
    header = json.loads(data[12 : 12 + length])
    (count,) = struct.unpack_from("<Q", data, 12 + length)
    index = read_index(store, version)
    parts: list[bytes] = []
    for number in range(count):
        size, digest = struct.unpack_from("<Q32s", data, 20 + length + 40 * number)
        parts.append(read_chip(store, version, *index[digest]) if any(digest) else bytes(size))
        assert len(parts[-1]) == size
    return header, b"".join(parts)


def vector(version: int) -> Path:
    return Path(__file__).parent / f"vector-{version}"


@pytest.mark.parametrize("version", VERSIONS)
def test_another_program_reads_the_image_from_the_description(version: int) -> None:
    header, data = read_image(vector(version), version)
    assert data == DATA
    digests = header["digests"]
    assert isinstance(digests, dict)
    assert digests["sha256"] == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pack_describes_itself(version: int) -> None:
    chained = 0
    for path in (vector(version) / "packs").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            digest, length, magic = struct.unpack("<32sI4s", data[-40:])
            trailer = data[-40 - length : -40]
            assert magic == b"IWPF"
            assert blake3(trailer).digest() == digest == bytes.fromhex(path.name)
            assert trailer[:4] == b"IWPT"
            (count,) = struct.unpack_from("<I", trailer, 20)
            begun = 0
            for named, codec, _, _, offset in struct.iter_unpack("<32sBIIQ", trailer[24:]):
                begun = begun if codec == 2 else offset
                chained += codec == 2
                chip = read_chip(vector(version), version, digest, offset, offset - begun)
                assert blake3(chip).digest() == named
            assert count == (len(trailer) - 24) // 49
    assert bool(chained) == (version > 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_ever_written_is_read_and_added_to(version: int, tmp_path: Path) -> None:
    shutil.copytree(vector(version), tmp_path / "store")
    storage = ImageStore(record(), DirectoryObjects(tmp_path / "store"))
    assert storage.open(IMAGE).read_at(0, len(DATA)) == DATA
    add(storage, DATA[3000:] + DATA, "second")
    assert storage.open("second").read_at(0, 2 * len(DATA)) == DATA[3000:] + DATA
