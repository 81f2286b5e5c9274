"""Chips from store to store: only what is lacking travels, whatever breaks, and nothing is named before it is there."""

from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from catalog.errors import CapacityExceeded, StaleLanding, StorageRefused
from catalog.records import Image
from storage.imagestore.format.pack import RECORD
from storage.imagestore.format.parameters import Parameters
from storage.imagestore.objects.s3 import S3Objects
from storage.imagestore.objects.s3_connection import S3Connection
from storage.imagestore.storage import ImageStore
from storage.protocols import ObjectStore
from storage.replicas.sync import distinct, lacking_bytes, ship
from storage.transfer.bandwidth import SteadyPace
from tests.faults.faulty_objects import FaultyObjects
from tests.flows.moving import image_of, noise, read_all
from tests.services.proxy import proxy
from tests.services.s3 import server
from tests.storage.imagestore.counted import CountingObjects
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import image_store, land

LANDING = "sync-11111111-1111-1111-1111-111111111111"
BASE = noise(300_000) + bytes(64 << 10) + noise(100_000, 1)


def put(store: ImageStore, data: bytes) -> Image:
    image = image_of(data)
    store.publish(image.id, image, land(store, image.id, data))
    return image


def named(objects: ObjectStore, name: str) -> ImageStore:
    return image_store(objects, name=name)


def whole(store: ImageStore, *images: Image) -> bool:
    return all(store.contains(i.id) and store.verify(i.id)[0].items == () for i in images)


@pytest.fixture
def source() -> ImageStore:
    return named(MemoryObjects(), "a")


@pytest.fixture
def target() -> ImageStore:
    return named(MemoryObjects(), "b")


def test_images_arrive_byte_for_byte_and_describe_themselves(source: ImageStore, target: ImageStore) -> None:
    images = [put(source, BASE), put(source, BASE[:200_000] + noise(50_000, 2))]
    shipped = ship(source, target, images, LANDING)
    assert [s.error for s in shipped] == [None, None]
    assert read_all(target, images[0].id) == BASE
    (first, second) = (next(s for s in target.images() if s.image.id == i.id) for i in images)
    assert (first.replica.image_storage, first.replica.sha256) == ("b", images[0].sha256)
    assert first.image == images[0]
    assert shipped[1].chips_sent < shipped[1].chips_total  # what the first image brought is not sent again
    assert shipped[1].bytes_saved > 100_000
    assert second.replica.stored_bytes == shipped[1].bytes_sent
    assert list(target.landings()) == []


def test_bytes_on_the_wire_are_the_lacking_chips_and_two_percent() -> None:
    def real(objects: ObjectStore, name: str) -> ImageStore:
        return image_store(objects, Parameters(), name=name)

    memory, there = MemoryObjects(), MemoryObjects()
    data = noise(8 << 20)
    first, second = (put(real(memory, "a"), d) for d in (data, data[: 5 << 20] + noise(3 << 20, 7)))
    ship(real(memory, "a"), real(there, "b"), [first], LANDING)
    pieces, view = real(memory, "a").pieces(second.id), real(there, "b").chips.load_view()
    lacking = distinct(pieces.digests[~pieces.holes & ~view.usable(pieces.digests)])
    chips = int(real(memory, "a").chips.load_view().locate(lacking).stored.sum())
    source, target = CountingObjects(memory), CountingObjects(there)
    (shipped,) = ship(real(source, "a"), real(target, "b"), [second], LANDING)
    assert shipped.bytes_sent == chips + RECORD.size * len(lacking)
    assert 3 << 20 <= chips < 4 << 20
    assert source.read_bytes <= 1.02 * chips  # index and manifest included
    assert target.written_bytes <= 1.02 * chips  # journal, index and manifest included


def test_a_proxy_counts_the_lacking_chips_of_a_real_s3_source_and_two_percent() -> None:
    def real(objects: ObjectStore, name: str) -> ImageStore:
        return image_store(objects, Parameters(), name=name)

    served, there = server(), MemoryObjects()
    address = served.address(f"wire-{uuid4()}")
    data = noise(24 << 20)
    first, second = (
        put(real(S3Objects(S3Connection(address)), "a"), d) for d in (data, data[: 16 << 20] + noise(8 << 20, 7))
    )
    ship(real(S3Objects(S3Connection(address)), "a"), real(there, "b"), [first], LANDING)
    with proxy(urlsplit(served.endpoint).port or 0) as wire:
        through = address.model_copy(update={"endpoint": f"http://127.0.0.1:{wire.port}"})
        (shipped,) = ship(real(S3Objects(S3Connection(through)), "a"), real(there, "b"), [second], LANDING)
    assert shipped.error is None
    assert 8 << 20 <= shipped.bytes_sent < 9 << 20
    assert shipped.bytes_sent <= wire.bytes_sent <= 1.02 * shipped.bytes_sent


def test_what_is_there_is_not_read_from_the_source_again(source: ImageStore, target: ImageStore) -> None:
    image = put(source, BASE)
    ship(source, target, [image], LANDING)
    counting = CountingObjects(source.objects)
    (again,) = ship(named(counting, "a"), target, [image], LANDING)
    assert (again.chips_sent, again.bytes_sent) == (0, 0)
    assert lacking_bytes(source, target, [image])[image.id][0] == 0
    packs = sum(i.size_bytes for i in source.objects.list("packs/"))
    assert counting.read_bytes < packs / 10


def refuse(step: str) -> None:
    raise StorageRefused("b", step)


@pytest.mark.parametrize("after", [False, True])
def test_a_sync_that_breaks_at_any_step_names_nothing_that_is_not_there_and_goes_on(
    source: ImageStore, after: bool
) -> None:
    images = [put(source, BASE), put(source, BASE[:150_000] + noise(60_000, 2))]
    counted = FaultyObjects(MemoryObjects())
    ship(source, named(counted, "b"), images, LANDING)
    for step in range(len(counted.steps)):
        objects = MemoryObjects()
        broken = named(objects, "b")
        broken.objects = broken.chips.objects = FaultyObjects(objects, step, refuse, after=after)
        with suppress(StorageRefused):
            ship(source, broken, images, LANDING)
        target = named(objects, "b")
        for image in images:
            assert not target.contains(image.id) or whole(target, image), (step, counted.steps[step])
        again = ship(source, target, images, LANDING)
        assert whole(target, *images)
        assert sum(s.chips_total for s in again) > 0
        assert list(target.landings()) == []
        target.reclaim()
        assert whole(target, *images)


def test_what_arrived_before_a_break_is_not_sent_again(source: ImageStore) -> None:
    image = put(source, noise(1 << 20))
    objects = MemoryObjects()
    faulty = FaultyObjects(objects)
    ship(source, named(faulty, "x"), [image], LANDING)
    last_write = max(n for n, step in enumerate(faulty.steps) if step.startswith("write"))
    objects = MemoryObjects()
    broken = named(objects, "b")
    broken.objects = broken.chips.objects = FaultyObjects(objects, last_write, refuse)
    with pytest.raises(StorageRefused):
        ship(source, broken, [image], LANDING)
    counting = CountingObjects(source.objects)
    ship(named(counting, "a"), named(objects, "b"), [image], LANDING)
    assert whole(named(objects, "b"), image)
    assert counting.read_bytes < 0.3 * (1 << 20)


def test_a_damaged_chip_of_the_source_keeps_only_its_own_images_back(source: ImageStore, target: ImageStore) -> None:
    good = put(source, noise(100_000, 5))
    bad = put(source, noise(100_000, 6))
    name = [i.name for i in source.objects.list("packs/")]
    places = source.chips.load_view().locate(source.pieces(bad.id).digests[:1])
    pack = f"packs/{places.packs[places.pack[0]].tobytes().hex()[:2]}/{places.packs[places.pack[0]].tobytes().hex()}"
    assert pack in name
    data = bytearray(source.objects.get(pack))
    data[int(places.offset[0]) + RECORD.size + 3] ^= 0xFF
    source.objects.put(pack, bytes(data))
    shipped = {s.image_id: s for s in ship(source, target, [good, bad], LANDING)}
    assert shipped[good.id].error is None
    assert "chips can't be read" in (shipped[bad.id].error or "")
    assert whole(target, good)
    assert not target.contains(bad.id)


def test_a_damaged_chip_of_the_target_is_sent_again_and_heals(source: ImageStore, target: ImageStore) -> None:
    image = put(source, BASE)
    ship(source, target, [image], LANDING)
    (pack, *_) = [i.name for i in target.objects.list("packs/")]
    data = bytearray(target.objects.get(pack))
    data[len(data) // 3] ^= 0xFF
    target.objects.put(pack, bytes(data))
    damaged, _ = target.verify(image.id)
    assert len(damaged.items) == 1
    (shipped,) = ship(source, target, [image], LANDING)
    assert shipped.chips_sent == 1
    assert read_all(target, image.id) == BASE


def test_a_target_without_room_is_told_before_anything_is_sent(source: ImageStore) -> None:
    image = put(source, noise(200_000))
    objects = MemoryObjects()
    named(objects, "b")
    with pytest.raises(CapacityExceeded):
        ship(source, image_store(objects, name="b", capacity_bytes=100_000), [image], LANDING)
    assert not list(objects.list("packs/"))
    assert not list(objects.list("landings/"))


def test_a_delivery_that_was_discarded_meanwhile_publishes_nothing(source: ImageStore, target: ImageStore) -> None:
    image = put(source, BASE)

    def discard(done: int, total: int | None) -> None:
        if done == total:
            target.reclaim(frozenset())

    with pytest.raises(StaleLanding):
        ship(source, target, [image], LANDING, progress=discard)
    assert not target.contains(image.id)
    assert [s.error for s in ship(source, target, [image], LANDING)] == [None]
    assert whole(target, image)


def test_reclaims_beside_a_sync_take_nothing_it_relies_on(source: ImageStore, target: ImageStore) -> None:
    old = put(target, BASE)
    image = put(source, BASE[:250_000] + noise(200_000, 9))
    target.delete(old.id)  # its chips are garbage that the sync is about to rely on

    def reclaim(_done: int, _total: int | None) -> None:
        target.reclaim()

    between: list[Callable[[int, int | None], None]] = [reclaim]
    (shipped,) = ship(source, target, [image], LANDING, progress=between[0])
    target.reclaim()
    assert shipped.error is None
    assert whole(target, image)


def test_a_bandwidth_cap_is_kept(source: ImageStore, target: ImageStore) -> None:
    import time

    image = put(source, noise(600_000))
    began = time.monotonic()
    ship(source, target, [image], LANDING, pace=SteadyPace(600_000))
    assert time.monotonic() - began > 0.7
