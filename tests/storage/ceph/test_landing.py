"""Landing in a pool: what arrives is what is kept, whatever the writer dies of."""

import time

import pytest

from catalog.errors import ImageBusy
from storage.ceph import CephStorage
from storage.protocols import SourceInfo
from tests.services.ceph import CephCluster
from tests.services.payload import random_bytes
from tests.storage.ceph.conftest import image_record, open_storage
from tests.storage.ceph.content import (
    MIB,
    OBJECT,
    digests_of,
    kept_by,
    kept_of,
    land,
    read_landing,
    reads_as,
    source,
    sparse_file,
    write_all,
)
from tests.storage.ceph.killed import write_until_killed


@pytest.mark.parametrize("size", [0, 1, 511, OBJECT - 1, OBJECT, OBJECT + 1, 9 * MIB + 17])
@pytest.mark.parametrize("block", [70_001, 5 * MIB])
def test_any_size_in_any_blocks_reads_back_the_same(ceph: CephStorage, size: int, block: int) -> None:
    data = random_bytes(size)
    land(ceph, "a", data, block)
    assert read_landing(ceph.landing("a")) == data


@pytest.mark.parametrize("declared", [None, 3 * OBJECT, 40 * OBJECT])
def test_a_size_that_was_unknown_or_wrong_ends_as_it_is(ceph: CephStorage, declared: int | None) -> None:
    data = random_bytes(5 * OBJECT + 77)
    landing = ceph.landing("a")
    landing.begin(SourceInfo(url="http://source/image", size_bytes=declared))
    write_all(landing, data)
    assert landing.finish().size_bytes == len(data)
    assert read_landing(ceph.landing("a")) == data


def test_zeros_take_no_space(ceph: CephStorage, cluster: CephCluster, pool: str) -> None:
    data = sparse_file((64 << 10, 64 * MIB), (MIB, 3 * MIB + 5))
    landing = ceph.landing("a")
    landing.begin(source(data))
    write_all(landing, data, OBJECT)
    stored = landing.finish()
    assert stored.stored_bytes == (64 << 10) + MIB
    extents = cluster.rbd("diff", f"{pool}/imagewright.landing.a").splitlines()[1:]
    assert sum(int(line.split()[1]) for line in extents) <= stored.stored_bytes + (128 << 10)
    reader = landing.open()
    holes = [extent for extent in reader.extents() if extent[2]]
    assert sum(end - start for start, end, _ in holes) >= 58 * MIB
    assert reads_as(landing.open(), data)


def test_finishing_twice_is_finishing_once(ceph: CephStorage) -> None:
    data = random_bytes(OBJECT + 1)
    landing = ceph.landing("a")
    landing.begin(source(data))
    write_all(landing, data)
    assert landing.finish() == landing.finish() == ceph.landing("a").finish()


def test_a_clean_close_keeps_every_byte(ceph: CephStorage) -> None:
    data = random_bytes(2 * OBJECT + 4321)
    landing = ceph.landing("a")
    landing.begin(source(data))
    write_all(landing, data[: OBJECT + 1234])
    landing.close()
    again = ceph.landing("a")
    assert again.begun_with() == source(data)
    assert kept_by(again) == data[: OBJECT + 1234]
    write_all(again, data[OBJECT + 1234 :])
    again.finish()
    assert read_landing(again) == data


def test_a_finished_landing_can_be_read_again_and_finished_again(ceph: CephStorage) -> None:
    data = sparse_file((OBJECT, OBJECT), (OBJECT + 5, 0))
    land(ceph, "a", data)
    again = ceph.landing("a")
    assert kept_by(again) == data
    assert again.finish().size_bytes == len(data)
    assert read_landing(again) == data


def test_beginning_anew_forgets_what_was_kept(ceph: CephStorage) -> None:
    land(ceph, "a", random_bytes(3 * OBJECT, seed=1))
    shorter = sparse_file((MIB, OBJECT), (0, OBJECT))
    land(ceph, "a", shorter)
    assert read_landing(ceph.landing("a")) == shorter


def test_a_discarded_landing_leaves_nothing(ceph: CephStorage, cluster: CephCluster, pool: str) -> None:
    land(ceph, "a/b@c", random_bytes(OBJECT))
    assert [found.landing_id for found in ceph.landings()] == ["a/b@c"]
    ceph.landing("a/b@c").discard()
    ceph.landing("a/b@c").discard()
    assert list(ceph.landings()) == []
    assert cluster.leftovers(pool) == []


def test_a_killed_writer_loses_little_and_another_worker_goes_on(
    ceph: CephStorage, cluster: CephCluster, pool: str
) -> None:
    data = sparse_file((40 * MIB, 20 * MIB), (30 * MIB, 5 * MIB), (21 * MIB + 9, 0))
    write_until_killed(cluster, pool, data, stop_at=110 * MIB)
    landing = ceph.landing("a")
    kept = kept_of(landing, data)
    in_flight = 64 * MIB + OBJECT  # at the most; holes are not under way, and 85 MiB of what it took are data
    assert kept >= 85 * MIB - in_flight
    write_all(landing, data[kept:])
    assert landing.finish().stored_bytes == 40 * MIB + 30 * MIB + 21 * MIB + 9
    assert reads_as(landing.open(), data)


def test_a_killed_writers_landing_can_be_discarded_at_once(ceph: CephStorage, cluster: CephCluster, pool: str) -> None:
    write_until_killed(cluster, pool, random_bytes(20 * MIB), stop_at=16 * MIB)
    began = time.monotonic()
    ceph.landing("a").discard()
    assert time.monotonic() - began < 10
    assert list(ceph.landings()) == []


def test_a_writer_that_was_taken_over_can_write_no_more(ceph: CephStorage) -> None:
    data = random_bytes(12 * OBJECT)
    slow = ceph.landing("a")
    slow.begin(source(data))
    write_all(slow, data[: 3 * OBJECT])
    fast = ceph.landing("a")
    kept = kept_by(fast)
    assert data.startswith(kept)
    with pytest.raises(ImageBusy):
        write_all(slow, random_bytes(OBJECT, seed=99) * 50)
    slow.close()
    write_all(fast, data[len(kept) :])
    fast.finish()
    assert read_landing(fast) == data


def test_an_object_lost_in_the_middle_ends_what_is_kept_and_nothing_shines_through(
    ceph: CephStorage, cluster: CephCluster, pool: str
) -> None:
    landing = ceph.landing("a")
    landing.begin(SourceInfo(url="http://source/image", size_bytes=6 * OBJECT))
    first = random_bytes(6 * OBJECT)
    write_all(landing, first)
    landing.close()
    cluster.remove_object(pool, cluster.data_objects(pool)[2])
    again = ceph.landing("a")
    kept = kept_by(again)
    assert kept == first[: 2 * OBJECT]
    write_all(again, bytes(4 * OBJECT))
    again.finish()
    assert read_landing(again) == kept + bytes(4 * OBJECT)
    assert len(cluster.data_objects(pool)) == 2


def test_a_published_landing_is_no_landing_any_more(ceph: CephStorage) -> None:
    data = random_bytes(OBJECT)
    land(ceph, "a", data)
    ceph.publish("a", image_record("image"), digests_of(data))
    assert list(ceph.landings()) == []
    assert ceph.landing("a").begun_with() is None


def test_landings_say_what_they_keep_and_where_it_comes_from(ceph: CephStorage) -> None:
    data = random_bytes(3 * OBJECT)
    landing = ceph.landing("a")
    landing.begin(source(data))
    write_all(landing, data[: 2 * OBJECT + 5])
    landing.close()
    (found,) = ceph.landings()
    assert (found.landing_id, found.kept_bytes, found.source) == ("a", 2 * OBJECT, source(data))


def test_another_worker_with_only_the_rbd_profile_is_enough(cluster: CephCluster, pool: str) -> None:
    worker = open_storage(cluster, pool, user="images")
    worker.check()
    data = random_bytes(OBJECT)
    land(worker, "a", data)
    assert read_landing(worker.landing("a")) == data
