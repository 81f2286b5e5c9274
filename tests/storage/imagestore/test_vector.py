"""The format as the README writes it down, read by a program that shares no code with ours."""

import hashlib
import json
import random
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.storage import ImageStore
from tests.storage.stores import add, record

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VERSIONS = (1, 2, 3)
Index = dict[bytes, tuple[bytes, int, int]]
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


def read_index(store: Path, version: int) -> Index:
    """Return digest → (pack, offset of the record, bytes from the beginning of its chain)."""
    found: dict[bytes, tuple[bytes, int, int]] = {}
    for segment in sorted((store / "index").iterdir(), reverse=True):
        data = proven(segment.read_bytes())
        magic, written, packs, chips = struct.unpack_from("<4sIIQ", data)
        assert magic == b"IWIX"
        assert written == version or (version, written) == (3, 2)
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


def read_chip(store: Path, version: int, pack: bytes, offset: int, back: int, index: Index | None = None) -> bytes:
    data = (store / "packs" / pack.hex()[:2] / pack.hex()).read_bytes()
    magic, written = struct.unpack_from("<4sI", data)
    assert magic == b"IWPK"
    assert written == version or (version, written) == (3, 2)
    at, chip, frame = offset - back, b"", zstd.ZstdDecompressor()
    while at <= offset:
        digest, codec, raw, stored = struct.unpack_from("<32sBII", data, at)
        payload = data[at + 41 : at + 41 + stored]
        assert (codec in (2, 4, 5)) == (at > offset - back)
        if codec == 3:  # digests of what the chain leans on
            assert index is not None
            bases = [payload[n : n + 32] for n in range(0, len(payload), 32)]
            prefix = b"".join(read_chip(store, version, *index[base]) for base in bases)  # they lean on nothing
            frame = zstd.ZstdDecompressor(zstd_dict=zstd.ZstdDict(prefix, is_raw=True).as_prefix)
        chip = frame.decompress(payload) if codec in (1, 2, 4, 5) else payload
        assert (len(chip), blake3(chip).digest()) == (raw, digest)
        at += 41 + stored
    return chip


def read_image(store: Path, version: int, manifest: int = 1) -> tuple[dict[str, object], bytes]:
    data = proven((store / "manifests" / IMAGE).read_bytes())
    magic, written, length = struct.unpack_from("<4sII", data)
    assert (magic, written) == (b"IWMF", manifest)
    header = json.loads(data[12 : 12 + length])
    (count,) = struct.unpack_from("<Q", data, 12 + length)
    index = read_index(store, version)
    parts: list[bytes] = []
    for number in range(count):
        size, digest = struct.unpack_from("<Q32s", data, 20 + length + 40 * number)
        parts.append(read_chip(store, version, *index[digest], index) if any(digest) else bytes(size))
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
    chained = leaning = 0
    index = read_index(vector(version), version)
    for path in (vector(version) / "packs").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            digest, length, magic = struct.unpack("<32sI4s", data[-40:])
            trailer = data[-40 - length : -40]
            assert magic == b"IWPF"
            assert blake3(trailer).digest() == digest == bytes.fromhex(path.name)
            assert trailer[:4] == b"IWPT"
            (count,) = struct.unpack_from("<I", trailer, 20)
            begun, bases = 0, list[bytes]()
            for named, codec, _, _, offset in struct.iter_unpack("<32sBIIQ", trailer[24 : 24 + 49 * count]):
                begun = begun if codec in (2, 4, 5) else offset
                chained += codec in (2, 5)
                leaning += codec in (4, 5)
                chip = read_chip(vector(version), version, digest, offset, offset - begun, index)
                assert blake3(chip).digest() == named
                bases += [chip[n : n + 8] for n in range(0, len(chip), 32)] if codec == 3 else []
            keys = [key for (key,) in struct.iter_unpack("<Q", trailer[24 + 49 * count :])]
            assert keys == sorted({int.from_bytes(base, "big") for base in bases})
    assert bool(chained) == (version > 1)
    assert bool(leaning) == (version > 2)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_ever_written_is_read_and_added_to(version: int, tmp_path: Path) -> None:
    shutil.copytree(vector(version), tmp_path / "store")
    storage = ImageStore(record(), DirectoryObjects(tmp_path / "store"))
    assert storage.open(IMAGE).read_at(0, len(DATA)) == DATA
    add(storage, DATA[3000:] + DATA, "second")
    assert storage.open("second").read_at(0, 2 * len(DATA)) == DATA[3000:] + DATA


def made_again(recipe: dict[str, int], pieces: bytes) -> Iterator[bytes]:
    """Yield the parts of a file that is kept as its contents and a recipe."""
    rest_at, size = recipe["contents_bytes"], recipe["cluster_bytes"]
    table = pieces[rest_at + recipe["rest_bytes"] :]
    assert len(table) == recipe["table_bytes"]
    count, number = len(table) // 20, 0
    rows = zip(
        *(struct.unpack_from(f"<{count}{kind}", table, 4 * count * n) for n, kind in enumerate("IIi")), strict=True
    )
    for row, (gap, length, step) in enumerate(rows):
        yield pieces[rest_at : rest_at + gap]
        rest_at, number = rest_at + gap, number + step
        cluster = pieces[number * size : (number + 1) * size]
        if length < size:
            deflate = zlib.compressobj(6, zlib.DEFLATED, -12, 9)
            cluster = deflate.compress(cluster) + deflate.flush()
        proof = table[12 * count + 8 * row :][:8]
        assert (len(cluster), blake3(cluster).digest(8)) == (length, proof)
        yield cluster
    yield pieces[rest_at : -len(table)]


def test_a_recipe_is_followed_from_the_description() -> None:
    header, pieces = read_image(vector(4), 3, manifest=2)
    recipe, digests = header["recipe"], header["digests"]
    assert isinstance(recipe, dict)
    assert isinstance(digests, dict)
    if recipe["library"] != f"zlib {zlib.ZLIB_RUNTIME_VERSION}":
        pytest.skip("zlib is another one here than where the store was written")
    data = b"".join(made_again(recipe, pieces))
    assert hashlib.sha256(data).hexdigest() == digests["sha256"]
    assert ImageStore(record(), DirectoryObjects(vector(4))).open(IMAGE).read_at(0, 1 << 30) == data


def deflated(codec: str, contents: bytes) -> bytes:
    """Return a deflate stream, as a program or library makes it."""
    level = codec.removeprefix("gzip-").removeprefix("zlib-")
    if codec.startswith("gzip"):
        return subprocess.run(["gzip", f"-{level}", "-n"], input=contents, capture_output=True, check=True).stdout[10:]
    packer = zlib.compressobj(int(level), zlib.DEFLATED, -15, 8)
    return packer.compress(contents) + packer.flush()


def packed_again(recipe: dict[str, int], codecs: list[str], pieces: bytes) -> bytes:
    """Return a file that is kept without its members."""
    made = bytearray(pieces[: recipe["size_bytes"]])
    table = pieces[len(pieces) - recipe["table_bytes"] :]
    (count,) = struct.unpack_from("<Q", table)
    spans = struct.iter_unpack("<QQQ", table[8 + 56 * count :])
    own = -(-len(made) // 65536) * 65536 + 65536
    for start, length, codec, parts, proof in struct.iter_unpack("<QQII32s", table[8 : 8 + 56 * count]):
        contents = b""
        for own_bytes, place, size in (next(spans) for _ in range(parts)):
            contents += pieces[own : own + own_bytes] + pieces[place : place + size]
            own += own_bytes
        own = -(-own // 65536) * 65536 + 65536
        stream = deflated(codecs[codec], contents)[:length]
        assert blake3(stream).digest() == proof
        assert not any(made[start : start + length])
        made[start : start + length] = stream
    assert own == len(pieces) - recipe["table_bytes"]
    assert next(spans, None) is None
    return bytes(made)


def test_members_are_made_again_from_the_description() -> None:
    header, pieces = read_image(vector(5), 3, manifest=3)
    recipe, digests = header["members"], header["digests"]
    assert isinstance(recipe, dict)
    assert isinstance(digests, dict)
    assert {codec["name"] for codec in recipe["codecs"]} == {"gzip-6", "zlib-6"}
    says = subprocess.run(["gzip", "--version"], capture_output=True, text=True, check=True).stdout.partition("\n")[0]
    if {codec["library"] for codec in recipe["codecs"]} != {f"zlib {zlib.ZLIB_RUNTIME_VERSION}", says}:
        pytest.skip("gzip or zlib is another one here than where the store was written")
    data = packed_again(recipe, [codec["name"] for codec in recipe["codecs"]], pieces)
    assert hashlib.sha256(data).hexdigest() == digests["sha256"]
    assert ImageStore(record(), DirectoryObjects(vector(5))).open(IMAGE).read_at(0, 1 << 30) == data
