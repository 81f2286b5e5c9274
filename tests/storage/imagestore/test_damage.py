"""Damage is found by reading and by scrubbing, named exactly, never handed out, and healed."""

import random
from pathlib import Path
from typing import Any
from weakref import ReferenceType, ref

import pytest

from catalog.errors import CapacityExceeded, DigestMismatch, ObjectMissing, StorageRefused
from storage.imagestore.format import damage_marks
from storage.imagestore.format.codec import Unpacker
from storage.imagestore.format.parameters import Parameters
from storage.imagestore.format.seal import sealed
from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.storage import ImageStore
from storage.imagestore.writing.stored_records import stream_records
from tests.storage.stores import add, image_store

DATA = random.Random(1).randbytes(200_000) + b"text " * 40_000
OTHER = random.Random(2).randbytes(150_000)


@pytest.fixture
def storage(tmp_path: Path) -> ImageStore:
    objects = DirectoryObjects(tmp_path / "store")
    objects.prepare()
    opened = image_store(objects)
    add(opened, OTHER, "other")
    add(opened, DATA, "image")
    return opened


def place_of(storage: ImageStore, number: int) -> tuple[Path, int, int, int]:
    """Return (file, offset of the payload, its length, offset in the image) of a chip of the image."""
    pieces = storage.pieces("image")
    found = storage.chips.load_view().locate(pieces.digests[number : number + 1])
    name = found.packs[found.pack[0]].tobytes().hex()
    assert isinstance(storage.objects, DirectoryObjects)
    path = storage.objects.root / "packs" / name[:2] / name
    return path, int(found.offset[0]) + 41, int(found.stored[0]), int(pieces.starts[number])


def spoil(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def flip(path: Path, offset: int) -> None:
    spoil(path, offset, bytes([path.read_bytes()[offset] ^ 1]))


def damaged(storage: ImageStore) -> list[str]:
    report, following = storage.verify("image")
    assert following is None
    return [item.subject for item in report.items]


@pytest.mark.parametrize("number", [0, 7, -1])
def test_a_flipped_bit_is_named_and_never_handed_out(storage: ImageStore, number: int) -> None:
    number %= len(storage.pieces("image"))
    path, payload, length, offset = place_of(storage, number)
    flip(path, payload + length // 2)
    assert damaged(storage) == [f"image@{offset}"]
    reader = image_store(storage.objects).open("image")
    with pytest.raises(DigestMismatch, match=path.name):
        reader.read_at(offset, 10)
    assert storage.verify("other")[0].items == ()


def test_a_damaged_record_head_is_noticed_too(storage: ImageStore) -> None:
    path, payload, _, offset = place_of(storage, 3)
    flip(path, payload - 41)
    assert damaged(storage) == [f"image@{offset}"]


def test_a_truncated_pack_damages_exactly_the_chips_it_lost(storage: ImageStore) -> None:
    path, payload, length, _ = place_of(storage, 5)
    with path.open("r+b") as file:
        file.truncate(payload + length // 2)
    pieces = storage.pieces("image")
    lost = [
        f"image@{int(pieces.starts[n])}"
        for n in range(len(pieces))
        if (p := place_of(storage, n))[0] == path and p[1] >= payload
    ]
    assert lost
    assert damaged(storage) == lost


def test_a_missing_pack_is_named(storage: ImageStore, tmp_path: Path) -> None:
    path, *_ = place_of(storage, 0)
    places = [place_of(storage, n) for n in range(len(storage.pieces("image")))]
    lost = [f"image@{offset}" for file, _, _, offset in places if file == path]
    path.unlink()
    with pytest.raises(ObjectMissing, match=path.name):
        image_store(storage.objects).open("image").read_at(0, 10)
    with pytest.raises(ObjectMissing):
        storage.export("image", tmp_path / "out", lambda _done, _all: None)
    assert list(tmp_path.glob("*out*")) == []
    assert damaged(storage) == lost


def test_a_damaged_image_is_never_exported(storage: ImageStore, tmp_path: Path) -> None:
    path, payload, _, _ = place_of(storage, 2)
    flip(path, payload)
    with pytest.raises(DigestMismatch):
        storage.export("image", tmp_path / "out", lambda _done, _all: None)
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


def test_a_garbled_manifest_is_named_and_no_chip_goes_until_it_is_gone(storage: ImageStore, tmp_path: Path) -> None:
    flip(tmp_path / "store" / "manifests" / "image", 40)
    with pytest.raises(DigestMismatch, match="manifests/image"):
        storage.open("image")
    storage.delete("other")
    before = list(storage.objects.list("packs/"))
    (item,) = storage.reclaim().items
    assert (item.outcome, "manifests/image" in item.reason) == ("failed", True)
    assert list(storage.objects.list("packs/")) == before
    storage.delete("image")
    storage.reclaim()
    assert list(storage.objects.list("packs/")) == []


def test_a_repaired_chip_counts_for_every_image(storage: ImageStore) -> None:
    add(storage, DATA[:150_000], "also")
    path, payload, length, offset = place_of(storage, 4)
    flip(path, payload + length // 2)
    first, *rest_of_chain = storage.verify("image")[0].items
    assert first.subject == f"image@{offset}"
    assert storage.verify("also")[0].items
    with pytest.raises(DigestMismatch):
        storage.repair_object("image", offset, b"x" * first.bytes)
    for item in (first, *rest_of_chain):
        at = int(item.subject.partition("@")[2])
        storage.repair_object("image", at, DATA[at : at + item.bytes])
    assert damaged(storage) == []
    assert storage.verify("also")[0].items == ()
    storage.reclaim()
    assert storage.open("image").read_at(0, len(DATA)) == DATA


def test_adding_the_same_bytes_again_heals_what_a_scrub_found(storage: ImageStore) -> None:
    path, payload, _, _ = place_of(storage, 4)
    flip(path, payload)
    assert damaged(storage)
    add(storage, DATA, "again")
    assert storage.open("again").read_at(0, len(DATA)) == DATA
    assert damaged(storage) == []


@pytest.mark.parametrize("small", [0, 8, 1 << 16], ids=["none", "repairs", "all"])
def test_the_newest_place_of_a_chip_counts_whatever_the_size_of_its_segment(
    storage: ImageStore, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr("storage.imagestore.reading.view.SMALL_SEGMENT", small)
    path, payload, length, offset = place_of(storage, 3)
    flip(path, payload + length // 2)
    assert f"image@{offset}" in damaged(storage)
    add(image_store(storage.objects), DATA, "again")
    assert list(storage.objects.list("damaged/")) == []
    fresh = image_store(storage.objects)
    assert damaged(fresh) == []
    assert add(fresh, DATA, "third").stored_bytes == 0


def test_an_index_that_was_lost_is_written_anew_from_the_packs(storage: ImageStore, tmp_path: Path) -> None:
    for segment in (tmp_path / "store" / "index").iterdir():
        segment.unlink()
    fresh = image_store(storage.objects)
    assert fresh.restore_index() > 0
    assert fresh.open("image").read_at(0, len(DATA)) == DATA


def test_reclaim_never_deletes_chips_whose_index_was_lost(storage: ImageStore, tmp_path: Path) -> None:
    for segment in (tmp_path / "store" / "index").iterdir():
        segment.unlink()
    fresh = image_store(storage.objects)
    fresh.reclaim()
    assert fresh.open("image").read_at(0, len(DATA)) == DATA
    assert fresh.open("other").read_at(0, len(OTHER)) == OTHER


def test_a_store_of_an_unknown_version_is_refused(storage: ImageStore, tmp_path: Path) -> None:
    newer = Parameters(version=99).model_dump_json().encode()
    storage.objects.put("store.json", newer)
    storage.objects.put("store.json.sealed", sealed(newer))
    with pytest.raises(StorageRefused, match="version 99"):
        image_store(storage.objects)


def test_the_scrub_keeps_to_its_budget_and_goes_on_where_it_stopped(storage: ImageStore) -> None:
    big = random.Random(5).randbytes(20 << 20)
    add(storage, big, "big")
    first, following = storage.verify("big", budget_bytes=8 << 20)
    assert following
    assert first.bytes_read < 17 << 20
    second, end = storage.verify("big", first_object=following)
    assert end is None
    assert first.bytes_read + second.bytes_read == len(big)


def test_why_a_chip_is_kept_or_going_is_told(storage: ImageStore) -> None:
    digest = storage.pieces("image").digests[0].tobytes()
    assert "kept: image image needs it" in storage.why(digest)
    storage.delete("image")
    assert any(sentence.startswith("garbage") for sentence in storage.why(digest))
    storage.reclaim()
    assert storage.why(digest) == ("not stored: no index names it",)


def test_a_full_store_refuses_and_keeps_nothing(tmp_path: Path) -> None:
    objects = DirectoryObjects(tmp_path / "small")
    objects.prepare()
    small = image_store(objects, capacity_bytes=100_000)
    with pytest.raises(CapacityExceeded):
        add(small, random.Random(1).randbytes(2_000_000))
    for info in list(small.landings()):
        small.landing(info.landing_id).discard()
    assert [i.name for i in objects.list("") if not i.name.startswith(("index/", "store.json"))] == []


def test_reclaim_plans_without_changing_anything(storage: ImageStore) -> None:
    before = list(storage.objects.list(""))
    storage.delete("image")
    plan = storage.reclaim(plan_only=True)
    assert plan.chips_freed > 0
    assert plan.bytes_freed > 200_000
    done = storage.reclaim()
    assert (done.chips_freed, done.bytes_freed) == (plan.chips_freed, plan.bytes_freed)
    assert sum(i.size_bytes for i in storage.objects.list("")) < sum(i.size_bytes for i in before)


def all_damaged(storage: ImageStore) -> int:
    """Flip a bit in each chip of the image; return of how many."""
    places = {place_of(storage, number)[:3] for number in range(len(storage.pieces("image")))}
    for path, payload, length in places:
        flip(path, payload + length // 2)
    return len(places)


def test_what_is_damaged_holds_nothing_that_was_read(storage: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    counts, count, made = list[int](), all_damaged(storage), list[ReferenceType[Unpacker]]()
    begin = Unpacker.__init__

    def noted(self: Unpacker, *given: Any, **named: Any) -> None:
        made.append(ref(self))
        begin(self, *given, **named)

    def unpacking() -> int:
        """Return how many readers of chains there are, each with all that it has read."""
        return sum(one() is not None for one in made)

    monkeypatch.setattr(Unpacker, "__init__", noted)
    monkeypatch.setattr(damage_marks, "mark", lambda _objects, _digest: counts.append(unpacking()))
    assert len(storage.verify("image")[0].items) == len(storage.pieces("image"))
    assert len(counts) == count > 5
    assert len(made) > 5
    assert max(counts) <= 1
    digests = storage.pieces("image").data_digests
    batches = list(stream_records(storage.chips, storage.objects, digests))
    assert len({digest for batch in batches for digest in batch.lost}) == count
    assert unpacking() <= 1
