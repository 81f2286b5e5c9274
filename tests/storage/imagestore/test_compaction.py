"""A compacted store is smaller, and every image in it reads back byte for byte, whatever happens to the others."""

import json
import random
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from catalog.errors import CapacityExceeded, DigestMismatch, ObjectMissing, StorageRefused
from catalog.units import utc_now
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import compacted, pack, parameters
from storage.imagestore.format.codec import BASES, digest_of
from storage.imagestore.format.index import Table, as_digests
from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.storage import ImageStore
from storage.imagestore.writing.packer import Encoded, Packer
from storage.protocols import ObjectStore
from storage.replicas.sync import ship
from tests.storage.imagestore.compacting import LANDING, PARAMETERS, build, compact, leaning
from tests.storage.imagestore.counted import CountingObjects
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import add, image, image_store, opener, record

BUILDS = {"1-oldest": build(1), "2-older": build(2), "3-newest": build(3)}


def with_builds(objects: ObjectStore | None = None, **changes: object) -> ImageStore:
    storage = image_store(objects or MemoryObjects(), PARAMETERS, **changes)
    for image_id, data in BUILDS.items():
        add(storage, data, image_id)
    return storage


def prove(storage: ImageStore, *image_ids: str) -> None:
    for image_id in image_ids:
        assert storage.open(image_id).read_at(0, 1 << 30) == BUILDS[image_id]
        assert storage.verify(image_id)[0].items == ()


def opened_anew(storage: ImageStore) -> ImageStore:
    return ImageStore(record(), storage.objects, ChipStore(storage.objects))


def test_builds_that_are_alike_take_little_more_than_one(tmp_path: Path) -> None:
    storage = with_builds()
    report = compact(storage)
    assert (report.images, report.images_left) == (3, 0)
    held = sum(
        info.size_bytes for prefix in ("packs/", "index/", "manifests/") for info in storage.objects.list(prefix)
    )
    assert report.bytes_after == held < 0.5 * report.bytes_before
    assert leaning(storage, "1-oldest") > 0.9 * len(storage.pieces("1-oldest").data_digests)
    assert report.logical_bytes == sum(map(len, BUILDS.values()))
    saved = report.saved_by_dedup_bytes + report.saved_by_compression_bytes + report.saved_by_compaction_bytes
    assert report.saved_by_compaction_bytes > 500_000
    assert report.logical_bytes - saved < report.bytes_after
    prove(storage, *BUILDS)
    prove(opened_anew(storage), *BUILDS)
    storage.export("1-oldest", tmp_path / "out", lambda _done, _all: None)
    assert (tmp_path / "out").read_bytes() == BUILDS["1-oldest"]


@pytest.mark.parametrize("kind", ["directory", "throttled", "cached", "s3"])
def test_on_every_object_store_bases_outlive_their_image(kind: str, tmp_path: Path) -> None:
    reopen = opener(kind, tmp_path)
    compact(with_builds(reopen()))
    storage = ImageStore(record(), reopen(), ChipStore(reopen()))
    prove(storage, *BUILDS)
    storage.delete("3-newest")
    storage.reclaim()
    prove(storage, "1-oldest", "2-older")
    assert leaning(storage, "1-oldest") > 0
    assert list(storage.ailments()) == []


def test_the_newest_stands_alone_and_nothing_leans_on_what_leans() -> None:
    storage = with_builds()
    compact(storage)
    assert leaning(storage, "3-newest") == 0
    add(storage, build(4), "4-even-newer")
    compact(storage)
    assert leaning(storage, "4-even-newer") == 0
    prove(storage, *BUILDS)


def test_the_newest_leans_once_there_is_a_newer_one() -> None:
    storage = image_store(MemoryObjects(), PARAMETERS)
    for number in range(4):
        add(storage, build(number), f"{number}")
        assert compact(storage).images == min(number + 1, 2)
        assert compact(storage).images == 0
    assert sum(info.size_bytes for info in storage.objects.list("packs/")) < 2.5 * len(build(0))
    assert [leaning(storage, f"{number}") > 10 for number in range(4)] == [True, False, True, False]
    for number in range(4):
        assert storage.open(f"{number}").read_at(0, 1 << 30) == build(number)


@pytest.mark.parametrize("step", [700, 5000, 40_000])
def test_any_part_of_a_leaning_image_is_read(step: int) -> None:
    storage = with_builds()
    compact(storage)
    reader, data = storage.open("1-oldest"), BUILDS["1-oldest"]
    for at in random.Random(step).sample(range(len(data)), 30):
        assert reader.read_at(at, step) == data[at : at + step]


def test_reading_on_fetches_every_chain_and_its_bases_once() -> None:
    storage = with_builds(CountingObjects(MemoryObjects()))
    compact(storage)
    objects = storage.objects
    assert isinstance(objects, CountingObjects)
    reader, objects.read_bytes = storage.open("1-oldest"), 0
    data = BUILDS["1-oldest"]
    assert b"".join(reader.read_at(at, 7000) for at in range(0, len(data), 7000)) == data
    assert objects.read_bytes < 1.5 * len(data)


def test_a_chip_that_leans_and_one_that_bears_it_say_so() -> None:
    storage = with_builds()
    compact(storage)
    leans = storage.why(storage.chip_holding("1-oldest", 150_000))
    assert "in a chain that leans on other chips" in leans[0]
    bears = storage.why(storage.chip_holding("3-newest", 150_000))
    assert any("packs lean on it" in sentence for sentence in bears)


def test_what_was_written_lately_is_left_alone() -> None:
    storage = with_builds()
    before = storage.compact(utc_now() - timedelta(days=1), LANDING)
    assert (before.images, before.bytes_after) == (0, before.bytes_before)
    assert not any(leaning(storage, image_id) for image_id in BUILDS)


def test_a_plan_changes_nothing() -> None:
    storage = with_builds()
    names = [info.name for info in storage.objects.list("")]
    plan = storage.compact(utc_now() + timedelta(days=1), LANDING, plan_only=True)
    assert (plan.images, plan.bytes_after) == (3, plan.bytes_before)
    assert [info.name for info in storage.objects.list("")] == names


def test_what_is_compacted_is_not_read_again() -> None:
    storage = with_builds()
    compact(storage)
    again = compact(storage)
    assert (again.images, again.bytes_read, again.bytes_after) == (0, 0, again.bytes_before)


def test_a_budget_ends_a_run_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.imagestore.upkeep.compact.STEP_BYTES", 70_000)
    storage = with_builds()
    runs = 0
    while (report := compact(storage, budget_bytes=150_000)).images_left:
        runs += 1
        assert 0 < report.bytes_read <= 230_000
        prove(storage, *BUILDS)
    assert runs > 3
    assert compacted.read(storage.objects) == {**dict.fromkeys(BUILDS), "3-newest": compacted.NEWEST}
    assert report.bytes_after < 200_000 + len(BUILDS["1-oldest"])


def test_a_store_without_room_says_so_and_keeps_what_it_has() -> None:
    storage = with_builds()
    storage = image_store(storage.objects, PARAMETERS, capacity_bytes=sum(map(len, BUILDS.values())) + 200_000)
    with pytest.raises(CapacityExceeded):
        compact(storage)
    prove(storage, *BUILDS)


def test_bases_stay_while_something_leans_on_them_and_no_longer() -> None:
    storage = with_builds()
    compact(storage)
    storage.delete("3-newest")
    for _ in range(2):
        storage.reclaim()
    prove(storage, "1-oldest", "2-older")
    storage.delete("2-older")
    storage.delete("1-oldest")
    for _ in range(2):
        storage.reclaim()
    assert list(storage.objects.list("packs/")) == []


def test_a_lost_index_is_rebuilt_with_what_chains_lean_on() -> None:
    storage = with_builds()
    compact(storage)
    storage.delete("3-newest")
    storage.reclaim()
    for info in list(storage.objects.list("index/")):
        storage.objects.delete(info.name)
    prove(opened_anew(storage), "1-oldest", "2-older")
    opened_anew(storage).reclaim()
    prove(opened_anew(storage), "1-oldest", "2-older")


def test_damaged_trailers_lose_nothing() -> None:
    storage = with_builds()
    compact(storage)
    storage.delete("3-newest")
    for info in list(storage.objects.list("packs/")):
        data = storage.objects.get(info.name)
        storage.objects.put(info.name, data[:-60] + b"\xff\x00" + data[-58:])
    for info in list(storage.objects.list("index/")):
        storage.objects.delete(info.name)
    again = opened_anew(storage)
    again.reclaim()
    prove(again, "1-oldest", "2-older")


def test_chips_that_lean_travel_to_stores_that_lack_their_bases() -> None:
    source, target = with_builds(), image_store(MemoryObjects(), PARAMETERS)
    compact(source)
    (shipped,) = ship(source, target, [image("1-oldest")], "delivery")
    assert shipped.error is None
    assert leaning(target, "1-oldest") == 0
    assert json.loads(target.objects.get("store.json"))["version"] == 1
    prove(target, "1-oldest")


def damage_pack_of(storage: ImageStore, image_id: str, number: int) -> None:
    """Flip bits in the middle of the payload of a chip."""
    places = storage.chips.load_view().locate(storage.pieces(image_id).data_digests[number : number + 1])
    name = pack.object_name(places.packs[places.pack[0]].tobytes())
    at = int(places.offset[0]) + pack.RECORD.size + int(places.stored[0]) // 2
    data = storage.objects.get(name)
    storage.objects.put(name, data[:at] + bytes(byte ^ 255 for byte in data[at : at + 4]) + data[at + 4 :])


def test_a_damaged_base_is_named_by_each_image_and_repaired_chip_by_chip() -> None:
    storage = with_builds()
    compact(storage)
    damage_pack_of(storage, "3-newest", 20)
    for image_id, data in BUILDS.items():
        items = storage.verify(image_id)[0].items
        assert items
        for item in items:
            offset = int(item.subject.partition("@")[2])
            storage.repair_object(image_id, offset, data[offset : offset + item.bytes])
    prove(storage, *BUILDS)
    storage.reclaim()
    prove(storage, *BUILDS)


def test_an_add_relies_on_nothing_that_leans_on_a_chip_known_to_be_damaged() -> None:
    storage = with_builds()
    compact(storage)
    damage_pack_of(storage, "3-newest", 20)
    assert storage.verify("3-newest")[0].items
    add(storage, BUILDS["1-oldest"], "again")
    assert storage.open("again").read_at(0, 1 << 30) == BUILDS["1-oldest"]
    prove(storage, "1-oldest")


def test_chains_that_lean_on_each_other_are_an_error_and_no_endless_search() -> None:
    """As no program of ours writes them."""
    storage = image_store(MemoryObjects(), PARAMETERS)
    chips = [random.Random(number).randbytes(5000) for number in range(2)]
    digests = [digest_of(chip) for chip in chips]
    for number, chip in enumerate(chips):
        ((codec, payload),) = storage.chips.codec.encode_leaning([memoryview(chip)], chips[1 - number])
        listed = digests[1 - number]
        sealed: list[Table] = []
        packer = Packer(storage.objects, "landings/x", 1 << 20, lambda _: None, sealed.append, leaning=True)
        bases = Encoded(digest_of(listed), BASES, len(listed), listed)
        packer.add([bases, Encoded(digests[number], codec, len(chip), payload)])
        packer.close_part()
        packer.wait()
        packer.stop()
        storage.chips.add_segment(sealed[0])
    with pytest.raises(DigestMismatch, match="lean on each other"):
        storage.chips.source().read(as_digests(digests[:1]))


def test_a_pack_with_bases_that_is_gone_is_named_without_reading() -> None:
    storage = with_builds()
    compact(storage)
    storage.delete("3-newest")
    storage.reclaim()
    view = storage.chips.load_view()
    bases = {name for table in view.tables for name in map(bytes, table.packs)} - view.leaning_packs()
    storage.objects.delete(pack.object_name(min(bases)))
    named = {image_id for ailment in storage.ailments() for image_id in ailment.images}
    with pytest.raises(ObjectMissing):
        prove(storage, "1-oldest", "2-older")
    assert named


def test_of_builds_that_come_one_by_one_few_bear_the_others() -> None:
    storage = image_store(MemoryObjects(), PARAMETERS)
    written = [add(storage, build(number, 200_000), f"{number}").created_at for number in range(8)]
    for number, when in enumerate(written[:-2]):
        storage.compact(when, LANDING)
        for older in range(8):
            assert storage.open(f"{older}").read_at(0, 1 << 30) == build(older, 200_000), number
    alone = [n for n in range(6) if leaning(storage, f"{n}") < 0.5 * len(storage.pieces(f"{n}").data_digests)]
    assert len(alone) <= 1


def test_chips_that_can_not_be_read_are_left_as_they_are() -> None:
    storage = with_builds()
    damage_pack_of(storage, "1-oldest", 10)
    assert compact(storage).images == 3
    prove(storage, "2-older", "3-newest")
    (item,) = storage.verify("1-oldest")[0].items
    offset = int(item.subject.partition("@")[2])
    storage.repair_object("1-oldest", offset, BUILDS["1-oldest"][offset : offset + item.bytes])
    prove(storage, "1-oldest")


def test_a_program_that_knows_no_leaning_chains_refuses_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = with_builds()
    assert json.loads(storage.objects.get("store.json"))["version"] == 1
    compact(storage)
    monkeypatch.setattr(parameters, "VERSION", 1)
    with pytest.raises(StorageRefused, match="format version 2; this program reads 1"):
        opened_anew(storage)
    storage.objects.delete("store.json")  # its copy says the same
    with pytest.raises(StorageRefused, match="format version 2"):
        opened_anew(storage)


def test_a_store_that_is_never_compacted_stays_readable_for_older_programs(tmp_path: Path) -> None:
    storage = with_builds(DirectoryObjects(tmp_path))
    storage.reclaim()
    assert json.loads(storage.objects.get("store.json"))["version"] == 1
    for at in range(8):  # small packs, which the next reclaim joins
        add(storage, build(at)[:20_000], f"small-{at}")
    storage.reclaim()
    heads = {
        storage.objects.get(info.name, 0, 8) for kind in ("index/", "packs/") for info in storage.objects.list(kind)
    }
    assert heads == {b"IWIX\x02\0\0\0", b"IWPK\x02\0\0\0"}


@settings(max_examples=12, stateful_step_count=12, deadline=None)
class Compactions(RuleBasedStateMachine):
    """Images come and go while the store is compacted and reclaimed; all that are there read back."""

    @initialize()
    def begin(self) -> None:
        self.objects = MemoryObjects()
        self.storage = image_store(self.objects, PARAMETERS)
        self.data: dict[str, bytes] = {}

    @rule(number=st.integers(0, 6), seed=st.integers(1, 2), cut=st.sampled_from([0, 30_000, 61_440]))
    def add(self, number: int, seed: int, cut: int) -> None:
        image_id = f"{len(self.data)}-{number}-{seed}-{cut}-{random.Random(len(self.data)).random()}".replace(".", "-")
        self.data[image_id] = build(number, 90_000, seed)[cut:] + build(number + 1, 40_000, 3)
        add(self.storage, self.data[image_id], image_id)

    @precondition(lambda self: self.data)
    @rule(chosen=st.randoms())
    def delete(self, chosen: random.Random) -> None:
        image_id = chosen.choice(sorted(self.data))
        self.storage.delete(image_id)
        del self.data[image_id]

    @rule(budget=st.sampled_from([None, 100_000]))
    def compact(self, budget: int | None) -> None:
        compact(self.storage, budget)

    @rule()
    def reclaim(self) -> None:
        self.storage.reclaim()

    @rule()
    def open_anew(self) -> None:
        self.storage = opened_anew(self.storage)

    @rule()
    def lose_the_index(self) -> None:
        for info in list(self.objects.list("index/")):
            self.objects.delete(info.name)
        self.storage = opened_anew(self.storage)

    @invariant()
    def all_reads_back(self) -> None:
        for image_id, data in getattr(self, "data", {}).items():
            assert self.storage.open(image_id).read_at(0, len(data)) == data


TestCompactions = Compactions.TestCase
