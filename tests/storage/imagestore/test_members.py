"""Packed members of files kept as their contents: their very bytes come back, or they are left as they are."""

import gzip
import json
import random
import zlib
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.imagestore.format.members.deflating import DEFLATES
from storage.imagestore.upkeep.members import search as member_search
from tests.storage.imagestore.compacting import (
    compact,
    header_of,
    opened,
    prove,
)
from tests.storage.imagestore.membered import filled, table_of, taken
from tests.storage.imagestore.packing import boot_disk, boot_image_bytes, member, padded, stored, text

pytestmark = pytest.mark.usefixtures("small_members")


def test_a_boot_image_made_of_the_files_of_its_disk_takes_next_to_nothing(tmp_path: Path) -> None:
    files = {f"{number}": boot_disk(number) for number in (1, 2)}
    as_they_are = filled(files, wanted=False)
    compact(as_they_are)
    storage = filled(files)
    compact(storage)
    assert header_of(storage, "1").members is not None
    assert stored(storage) < stored(as_they_are) - boot_image_bytes(1)
    prove(opened(storage.objects), files)
    storage.export("1", tmp_path / "out", lambda _done, _all: None)
    assert (tmp_path / "out").read_bytes() == files["1"]
    again = compact(storage)
    assert (again.images, again.bytes_read) == (0, 0)
    assert list(storage.landings()) == []


@pytest.mark.parametrize("codec", DEFLATES)
def test_every_codec_comes_back(codec: str) -> None:
    storage = taken(bytes(4096) + padded(member(text(1, 60_000), codec)) + text(2, 3000))
    made = header_of(storage, "1").members
    assert made is not None
    assert [one.name[:4] for one in made.codecs] == [codec[:4]]


PART = st.tuples(
    st.sampled_from(["gzip-6", "gzip-9", "gzip-1", "zlib-6", "zlib-9", "zlib-1", "plain", "noise", "zeros"]),
    st.integers(0, 5),
    st.sampled_from([0, 700, 8000, 30_000, 150_000]),
    st.sampled_from(["whole", "whole", "cut", "damaged", "nested", "odd"]),
)


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(PART, max_size=5), chosen=st.randoms(use_true_random=False))
def test_any_file_comes_back(parts: list[tuple[str, int, int, str]], chosen: random.Random) -> None:
    data = b"".join(part_of(*part, chosen) for part in parts)
    storage = taken(data)
    reader = opened(storage.objects).open("1")
    for _ in range(20):
        at, size = chosen.randrange(len(data) + 1), chosen.choice([1, 512, 5000, 70_000])
        assert reader.read_at(at, size) == data[at : at + size]
    extents = list(reader.extents())
    assert [start for start, _, _ in extents] == [0, *(end for _, end, _ in extents)][: len(extents)]
    assert (extents[-1][1] if extents else 0) == len(data)
    assert all(not any(data[start:end]) for start, end, hole in extents if hole)


def part_of(kind: str, seed: int, size: int, what: str, chosen: random.Random) -> bytes:
    """Return a part of a file: a member, whole or not, or anything else."""
    if kind in ("plain", "noise", "zeros"):
        return {"plain": text(seed, size), "noise": random.Random(seed).randbytes(size), "zeros": bytes(size)}[kind]
    made = member(text(seed, size), kind, b"name" if seed % 2 else b"")
    if what == "nested":
        made = member(padded(made) + text(seed + 1, size), kind)
    if what == "cut":
        made = made[: chosen.randrange(10, len(made))]
    if what == "damaged":
        at = chosen.randrange(10, len(made))
        made = made[:at] + bytes([made[at] ^ 1]) + made[at + 1 :]
    return made if what == "odd" else padded(made, 512)


def test_what_is_cut_off_or_damaged_comes_back_as_far_as_it_is_whole() -> None:
    made = member(text(3, 2_000_000))
    for data in (made[:400_000], made[:400_000] + random.Random(1).randbytes(100_000)):
        storage = taken(data)
        table = table_of(storage)
        assert table is not None
        assert 200_000 < int(table.ends[0]) <= 400_000


def test_what_another_program_deflated_stays_as_it_is() -> None:
    """As of pigz, or with other settings of zlib."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -12, 3)
    body = packer.compress(text(1, 100_000)) + packer.flush()
    storage = taken(member(b"")[:10] + body + bytes(8))
    assert header_of(storage, "1").members is None
    assert "1" in json.loads(storage.objects.get("compacted")[:-32])["tried"]
    assert compact(storage).bytes_read == 0


def test_a_member_that_saves_nothing_stays_as_it_is() -> None:
    storage = taken(member(random.Random(1).randbytes(100_000)))
    assert header_of(storage, "1").members is None


@pytest.mark.parametrize("levels", [1, 2])
def test_a_bomb_stays_as_it_is_and_costs_little(levels: int) -> None:
    bomb = gzip.compress(bytes(100 << 20), 9, mtime=0)
    data = b"".join(padded(bomb if levels == 1 else gzip.compress(bomb, 9, mtime=0)) for _ in range(4))
    begun = process_time()
    storage = taken(data)
    assert process_time() - begun < 5
    assert header_of(storage, "1").members is None
    assert stored(storage) < 2 * len(data)


def test_streams_within_streams_end_with_the_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored blocks, each with the beginning of another member in it, so that every sector begins a stream to the file's end."""
    monkeypatch.setattr(member_search, "EFFORT_BYTES", 1 << 20)
    data = nested_streams(4000)
    assert len(zlib.decompressobj(-15).decompress(data[512 + 10 :])) > len(data) - 100_000
    storage = taken(data)
    assert header_of(storage, "1").members is None
    search = member_search.Search(opened(storage.objects).open("1"))
    assert list(search.members(range(0, len(data), 512))) == []
    assert search.effort <= 0


def nested_streams(sectors: int) -> bytes:
    """Return sectors of which each begins a stream that is as long as all that follows."""
    head = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3])
    block = 512 - 5  # of a stored block: the rest of the sector, and the next one's head
    sector = head + b"\0" + block.to_bytes(2, "little") + (0xFFFF - block).to_bytes(2, "little")
    return (sector + random.Random(1).randbytes(512 - len(sector))) * sectors
