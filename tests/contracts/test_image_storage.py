"""What every ImageStorage promises, whatever keeps the bytes."""

import hashlib
import random
from pathlib import Path
from uuid import uuid4

import pytest

from catalog.errors import DigestMismatch, ImageNotFound, StorageError
from storage.abilities import Reclaimable
from storage.protocols import Digests, ImageStorage, SourceInfo
from storage.transfer.digests import Digester
from storage.transfer.transfer import transfer
from tests.storage.stores import Bytes, add, image, land


def sample(size: int, seed: int = 1) -> bytes:
    """Return bytes like a disk's: text, random bytes and runs of zeros."""
    rng = random.Random(seed)
    parts: list[bytes] = []
    filled = 0
    while filled < size:
        kind = rng.randrange(3)
        length = rng.randrange(1, 60_000)
        part = (rng.randbytes(length), bytes(length * 4), f"{rng.random()} ".encode() * (length // 8))[kind]
        parts.append(part)
        filled += len(part)
    return b"".join(parts)[:size]


def ignore(_done: int, _total: int | None) -> None:
    return None


DATA = sample(1_500_000)


def test_a_published_image_reads_back_bit_for_bit(image_storage: ImageStorage) -> None:
    replica = add(image_storage, DATA)
    reader = image_storage.open(replica.image_id)
    assert reader.size_bytes == replica.size_bytes == len(DATA)
    assert reader.read_at(0, len(DATA)) == DATA
    assert (replica.md5, replica.sha256) == (hashlib.md5(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest())


def test_any_range_reads_back(image_storage: ImageStorage) -> None:
    reader = image_storage.open(add(image_storage, DATA).image_id)
    rng = random.Random(2)
    for _ in range(40):
        offset, size = rng.randrange(len(DATA) + 10), rng.randrange(200_000)
        assert reader.read_at(offset, size) == DATA[offset : offset + size]
    assert reader.read_at(len(DATA), 10) == b""


def test_extents_cover_the_file_and_holes_are_zeros(image_storage: ImageStorage) -> None:
    data = sample(300_000) + bytes(9 << 20) + sample(100_000, 3)
    reader = image_storage.open(add(image_storage, data).image_id)
    at = 0
    holes = 0
    for start, end, hole in reader.extents():
        assert start == at < end
        assert not hole or not data[start:end].strip(b"\0")
        holes += (end - start) * hole
        at = end
    assert at == len(data)
    assert holes >= 4 << 20


def test_an_export_is_the_file_sparse_and_proven(image_storage: ImageStorage, tmp_path: Path) -> None:
    data = DATA + bytes(16 << 20) + DATA[:1000]
    replica = add(image_storage, data)
    seen: list[int] = []
    digests = image_storage.export(replica.image_id, tmp_path / "out", lambda done, _all: seen.append(done))
    assert (tmp_path / "out").read_bytes() == data
    assert (digests.size_bytes, digests.md5) == (len(data), hashlib.md5(data).hexdigest())
    assert (tmp_path / "out").stat().st_blocks * 512 < len(data) - (8 << 20)
    assert seen == sorted(seen)
    assert seen[-1] == len(data)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out"]


@pytest.mark.parametrize("data", [b"", b"x", bytes(1), bytes(300_000)], ids=["empty", "byte", "zero", "zeros"])
def test_small_and_empty_files_are_kept_too(image_storage: ImageStorage, tmp_path: Path, data: bytes) -> None:
    replica = add(image_storage, data)
    assert image_storage.open(replica.image_id).read_at(0, len(data) + 1) == data
    image_storage.export(replica.image_id, tmp_path / "out", ignore)
    assert (tmp_path / "out").read_bytes() == data


def test_the_storage_describes_what_it_holds(image_storage: ImageStorage) -> None:
    replicas = [add(image_storage, DATA[:1000]), add(image_storage, DATA[1000:3000])]
    stored = {one.image.id: one for one in image_storage.images()}
    assert {key: one.replica for key, one in stored.items()} == {r.image_id: r for r in replicas}
    assert all(one.image.name == "an image" for one in stored.values())
    assert {key: image_storage.stored(key) for key in stored} == stored


def test_publishing_twice_gives_the_same_replica(image_storage: ImageStorage) -> None:
    digests = land(image_storage, "twice", DATA)
    described = image()
    first = image_storage.publish("twice", described, digests)
    second = image_storage.publish("twice", described, digests)
    assert (second.image_id, second.md5, second.location) == (first.image_id, first.md5, first.location)
    assert [one.image.id for one in image_storage.images()] == [described.id]


def test_publishing_another_size_than_landed_is_refused(image_storage: ImageStorage) -> None:
    digests = land(image_storage, "l", DATA)
    with pytest.raises(DigestMismatch):
        image_storage.publish("l", image(), digests.model_copy(update={"size_bytes": 1}))
    assert list(image_storage.images()) == []


def test_publishing_what_never_landed_is_refused(image_storage: ImageStorage) -> None:
    with pytest.raises(StorageError):
        image_storage.publish("no-landing", image(), Digests(size_bytes=0, md5="", sha256=""))


def test_a_landing_is_seen_until_it_is_published(image_storage: ImageStorage) -> None:
    info = SourceInfo(url="http://host/image", size_bytes=len(DATA), etag='"1"', resumable=True)
    landing = image_storage.landing("seen")
    landing.begin(info)
    transfer(Bytes(DATA), [landing], digester := Digester())
    landing.close()
    found = {one.landing_id: one for one in image_storage.landings()}
    assert found["seen"].source == info
    again = image_storage.landing("seen")
    assert again.begun_with() == info
    again.restore(lambda _view: None)
    digester.close()
    again.discard()
    assert list(image_storage.landings()) == []


def test_a_closed_landing_goes_on_where_its_kept_bytes_end(image_storage: ImageStorage) -> None:
    data = sample(12 << 20, 5)
    cut = 9 << 20
    landing = image_storage.landing("resumed")
    landing.begin(SourceInfo(url="test:"))
    transfer(Bytes(data[:cut]), [landing], first := Digester())
    landing.close()
    first.close()
    again = image_storage.landing("resumed")
    digester = Digester()
    kept = again.restore(digester.feed)
    assert 0 < kept <= cut
    assert digester.size_bytes == kept
    transfer(Bytes(data[kept:]), [again], digester, start=kept)
    assert again.finish().size_bytes == len(data)
    again.close()
    digests = digester.result()
    assert digests.sha256 == hashlib.sha256(data).hexdigest()
    replica = image_storage.publish("resumed", image(), digests)
    assert image_storage.open(replica.image_id).read_at(0, len(data)) == data


def test_beginning_again_forgets_what_was_kept(image_storage: ImageStorage) -> None:
    landing = image_storage.landing("l")
    landing.begin(SourceInfo(url="test:old"))
    transfer(Bytes(DATA), [landing], digester := Digester())
    digester.close()
    landing.close()
    landing = image_storage.landing("l")
    landing.begin(SourceInfo(url="test:new"))
    assert landing.begun_with() == SourceInfo(url="test:new")
    assert landing.restore(lambda _view: None) == 0
    landing.close()


def test_a_finished_landing_reads_back_before_it_is_published(image_storage: ImageStorage) -> None:
    land(image_storage, "l", DATA)
    landing = image_storage.landing("l")
    assert landing.open().read_at(1000, 5000) == DATA[1000:6000]
    assert landing.finish().size_bytes == len(DATA)
    landing.close()


def test_an_interrupted_stream_can_be_gone_on_with(image_storage: ImageStorage) -> None:
    landing = image_storage.landing("l")
    landing.begin(SourceInfo(url="test:"))
    digester = Digester()
    with pytest.raises(ConnectionResetError):
        transfer(Bytes(DATA, step=7777, stop=700_000), [landing], digester)
    at = digester.size_bytes
    assert at >= 700_000
    transfer(Bytes(DATA[at:]), [landing], digester, start=at)
    landing.finish()
    landing.close()
    replica = image_storage.publish("l", image(), digester.result())
    assert replica.md5 == hashlib.md5(DATA).hexdigest()
    assert image_storage.open(replica.image_id).read_at(0, len(DATA)) == DATA


def test_deleting_withdraws_the_replica_and_may_be_repeated(image_storage: ImageStorage) -> None:
    replica = add(image_storage, DATA)
    assert image_storage.contains(replica.image_id)
    image_storage.delete(replica.image_id)
    image_storage.delete(replica.image_id)
    assert not image_storage.contains(replica.image_id)
    with pytest.raises(ImageNotFound):
        image_storage.open(replica.image_id)


def test_a_reclaim_names_what_nobody_needs_then_frees_it_and_nothing_else(
    image_storage: ImageStorage,
) -> None:
    assert isinstance(image_storage, Reclaimable)
    whole, kept, gone = add(image_storage, DATA), str(uuid4()), str(uuid4())
    land(image_storage, kept, sample(300_000, 4))
    land(image_storage, gone, sample(300_000, 5))
    planned = image_storage.reclaim({kept}, plan_only=True)
    assert {i.landing_id for i in image_storage.landings()} == {kept, gone}
    done = image_storage.reclaim({kept})
    for report in (planned, done):
        assert {i.subject: i.outcome for i in report.items if "landing" in i.subject} == {f"landing {gone}": "done"}
    assert [i.landing_id for i in image_storage.landings()] == [kept]
    assert image_storage.open(whole.image_id).read_at(0, len(DATA)) == DATA
    again = image_storage.reclaim({kept})
    assert (again.items, again.bytes_freed) == ((), 0)


def test_what_is_not_there_is_not_found(image_storage: ImageStorage, tmp_path: Path) -> None:
    absent = str(uuid4())
    assert not image_storage.contains(absent)
    with pytest.raises(ImageNotFound):
        image_storage.stored(absent)
    with pytest.raises(ImageNotFound):
        image_storage.open(absent)
    with pytest.raises(ImageNotFound):
        image_storage.export(absent, tmp_path / "out", ignore)
    assert not (tmp_path / "out").exists()


def test_two_images_never_mix(image_storage: ImageStorage) -> None:
    one, other = sample(400_000, 7), sample(400_000, 8)
    first, second = add(image_storage, one), add(image_storage, other)
    assert image_storage.open(first.image_id).read_at(0, len(one)) == one
    assert image_storage.open(second.image_id).read_at(0, len(other)) == other
    image_storage.delete(first.image_id)
    assert image_storage.open(second.image_id).read_at(0, len(other)) == other


def test_capacity_and_check_answer(image_storage: ImageStorage) -> None:
    image_storage.check()
    room = image_storage.capacity()
    assert 0 <= room.available_bytes <= room.total_bytes
