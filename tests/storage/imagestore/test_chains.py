"""Chips in chains: any of them is read, moved and repaired by itself, and costs no more than its chain."""

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import DigestMismatch
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format.codec import CHAIN_BYTES, CHAINED, PLAIN, ZSTD, Codec, Unpacker, digest_of
from storage.imagestore.format.parameters import Parameters
from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.reading.fetch import plan_runs
from storage.imagestore.storage import ImageStore
from storage.protocols import ObjectStore
from storage.replicas.sync import ship
from tests.storage.imagestore.counted import CountingObjects
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import add, image, record

SMALL = Parameters(cell_bytes=4096, min_bytes=1024, average_bytes=4096, max_bytes=16384, pack_bytes=256 << 10)


def text(seed: int, size: int) -> bytes:
    """Return bytes that compress, with words that come back."""
    chosen = random.Random(seed)
    words = [chosen.randbytes(chosen.randrange(3, 40)) for _ in range(500)]
    data = bytearray()
    while len(data) < size:
        data += chosen.choice(words)
    return bytes(data[:size])


DATA = text(1, 700_000) + random.Random(2).randbytes(60_000) + text(3, 400_000)


def store(objects: ObjectStore | None = None) -> ImageStore:
    objects = objects or MemoryObjects()
    return ImageStore(record(), objects, ChipStore(objects, SMALL))


def content(kind: int, seed: int, size: int) -> bytes:
    return text(seed, size) if kind else random.Random(seed).randbytes(size)


chips_of_any_kind = st.lists(
    st.builds(content, st.integers(0, 2), st.integers(0, 5), st.sampled_from([1, 900, 20_000, 200_000])),
    max_size=30,
)


@given(chips_of_any_kind, st.booleans())
def test_what_was_encoded_is_unpacked_again(chips: list[bytes], hurried: bool) -> None:
    encoded = list(Codec(3).encode_all([memoryview(chip) for chip in chips], hurried=hurried))
    unpacker = Unpacker()
    chain = 0
    for chip, (codec, payload) in zip(chips, encoded, strict=True):
        assert unpacker.take(codec, payload, len(chip), digest_of(chip), "here") == chip
        chain = 0 if codec == PLAIN else len(chip) + (chain if codec == CHAINED else 0)
        assert chain <= max(CHAIN_BYTES, len(chip))


def test_a_codec_whose_chain_was_left_open_begins_anew() -> None:
    codec, parts = Codec(3), [memoryview(text(n, 5000)) for n in range(3)]
    assert next(codec.encode_all(parts))[0] == ZSTD  # and nobody asks for the rest
    kind, payload = codec.encode(parts[1])
    assert kind == ZSTD
    assert Unpacker().take(kind, payload, 5000, digest_of(parts[1]), "here") == parts[1]


def test_the_rest_of_a_chain_without_its_beginning_is_an_error() -> None:
    parts = [memoryview(text(1, 5000)), memoryview(text(2, 5000))]
    (_, _), (kind, payload) = Codec(3).encode_all(parts)
    with pytest.raises(DigestMismatch, match="beginning is not there"):
        Unpacker().take(kind, payload, 5000, digest_of(parts[1]), "here")


@pytest.fixture(scope="module")
def filled() -> ImageStore:
    made = store()
    add(made, DATA, "image")
    return made


@given(wanted=st.lists(st.integers(0, 10_000), min_size=1, max_size=40))
def test_any_chips_are_read_in_any_order(filled: ImageStore, wanted: list[int]) -> None:
    pieces = filled.pieces("image")
    rows = [number % len(pieces) for number in wanted]
    read = filled.chips.source().read(pieces.digests[rows])
    expected = [DATA[int(pieces.starts[row]) : int(pieces.starts[row + 1])] for row in rows]
    assert [bytes(chip) for chip in read] == expected


def test_runs_end_where_chains_do(filled: ImageStore) -> None:
    places = filled.chips.source().places(filled.pieces("image").digests)
    assert (places.codec == CHAINED).any()
    runs = plan_runs(places, limit=100_000)
    assert [number for run in runs for number in run.chips] == list(range(len(places.pack)))
    assert all(places.back[run.chips.start] == 0 for run in runs)


def test_reading_on_in_small_steps_fetches_every_chain_once() -> None:
    objects = CountingObjects(MemoryObjects())
    made = store(objects)
    stored = add(made, DATA, "image").stored_bytes
    reader = made.open("image")
    objects.read_bytes = 0
    parts = [reader.read_at(at, 7000) for at in range(0, len(DATA), 7000)]
    assert b"".join(parts) == DATA
    assert objects.read_bytes <= 1.1 * stored


def spoil(made: ImageStore, number: int, at: int) -> None:
    """Overwrite a byte of the stored form of a chip."""
    places = made.chips.source().places(made.pieces("image").digests[number : number + 1])
    name = places.packs[places.pack[0]].tobytes().hex()
    assert isinstance(made.objects, DirectoryObjects)
    with (made.objects.root / "packs" / name[:2] / name).open("r+b") as file:
        file.seek(int(places.offset[0]) + 41 + at)
        file.write(b"\xff\x00\xff")


def test_damage_stays_within_its_chain_and_in_front_of_it(tmp_path: Path) -> None:
    made = store(DirectoryObjects(tmp_path))
    add(made, DATA, "image")
    pieces = made.pieces("image")
    places = made.chips.source().places(pieces.digests)
    chains = (places.offset - places.back).tolist()
    number = next(n for n in range(20, len(chains)) if places.codec[n] == CHAINED)
    spoil(made, number, 30)
    named = [int(item.subject.partition("@")[2]) for item in made.verify("image")[0].items]
    following = [
        int(pieces.starts[n])
        for n in range(number, len(chains))
        if (chains[n], places.pack[n]) == (chains[number], places.pack[number])
    ]
    assert named[0] == int(pieces.starts[number])
    assert set(named) <= set(following)
    reader = made.open("image")
    before = int(pieces.starts[number])
    assert reader.read_at(before - 3000, 3000) == DATA[before - 3000 : before]
    with pytest.raises(DigestMismatch):
        reader.read_at(before, 10)


def every_second(made: ImageStore, data: bytes, seed: int) -> bytes:
    """Return other bytes that share about every second chip with `data`."""
    pieces = made.pieces("image")
    starts = pieces.starts.tolist()
    parts: Sequence[bytes] = [
        data[first:last] if number % 4 < 2 else text(seed + number, last - first)
        for number, (first, last) in enumerate(pairwise(starts))
    ]
    return b"".join(parts)


def test_parts_of_chains_travel_and_survive_reclaim(tmp_path: Path) -> None:
    source, target = store(), store()
    add(source, DATA, "image")
    other = every_second(source, DATA, 50)
    add(target, other, "other")
    (shipped,) = ship(source, target, [image("image")], "delivery")
    assert shipped.error is None
    assert 0 < shipped.chips_sent < shipped.chips_total
    assert target.open("image").read_at(0, len(DATA)) == DATA
    target.delete("other")
    for _ in range(2):
        target.reclaim()
    assert target.verify("image")[0].items == ()
    target.export("image", tmp_path / "out", lambda _done, _all: None)
    assert (tmp_path / "out").read_bytes() == DATA


def test_an_image_keeps_its_chips_when_the_one_that_brought_their_chains_goes() -> None:
    made = store()
    add(made, DATA, "image")
    kept = every_second(made, DATA, 90)
    add(made, kept, "kept")
    made.delete("image")
    for _ in range(3):
        made.reclaim()
    assert made.open("kept").read_at(0, len(kept)) == kept
    assert not np.any(made.chips.source().places(made.pieces("kept").data_digests).missing)
