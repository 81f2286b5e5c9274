"""Clusters that refuse, stop, come back, fill up: waited for, or one clean sentence and a landing that goes on."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.errors import CapacityExceeded, InvalidRequest, StorageRefused, StorageUnavailable
from catalog.records import ImageStorage
from catalog.settings import Settings
from storage.ceph import CephStorage
from storage.protocols import Landing
from tests.services.ceph import CephCluster, ceph_cluster
from tests.services.payload import payload, random_bytes
from tests.storage.ceph.conftest import NOW, image_record, open_storage
from tests.storage.ceph.content import (
    MIB,
    OBJECT,
    add,
    digests_of,
    kept_by,
    read_all,
    read_landing,
    source,
    write_all,
)


@payload
def content() -> bytes:
    return random_bytes(24 * MIB)


@pytest.fixture(scope="module")
def one_cluster() -> Iterator[CephCluster]:
    with ceph_cluster() as running:
        yield running


@pytest.fixture
def fragile(one_cluster: CephCluster) -> Iterator[CephCluster]:
    """Yield a cluster that these tests may stop and start; one that fails leaves the next a whole one."""
    yield one_cluster
    made_to_answer(one_cluster)


def made_to_answer(cluster: CephCluster) -> None:
    """Wait until reads are answered. An OSD that was held on a busy machine may be up and answer none; a restart ends that."""
    for _ in range(6):
        cluster.start_missing()
        cluster.wait_for_osd()
        try:
            list(open_storage(cluster, "images", timeout_s=5).images())
        except StorageUnavailable:
            cluster.stop("osd.0")
        else:
            return
    raise AssertionError("the cluster answers no more")


@pytest.mark.parametrize(
    ("user", "credentials", "sentence"),
    [
        ("images", "AQD+vX1nAAAAABAAz7sB9hPZ0wWkq0Zb3y5zQw==", "key of client.images is wrong"),
        ("images", "not a key", "is not a cephx key"),
        ("images", "[client.other]\n\tkey = AAA=", "no key for client.images"),
        ("images", "[[[", "neither a keyring nor a bare key"),
        ("nobody", None, "no keyring was found for client.nobody|key of client.nobody is wrong"),
        ("reader", None, "is not permitted; grant the user 'profile rbd'"),
    ],
)
def test_a_key_that_is_wrong_is_one_sentence(
    cluster: CephCluster, pool: str, user: str, credentials: str | None, sentence: str
) -> None:
    storage = open_storage(cluster, pool, user=user, credentials=credentials)
    with pytest.raises(StorageRefused, match=sentence) as refused:
        storage.check()
    assert credentials is None or credentials not in str(refused.value)


def test_a_key_or_a_keyring_given_as_secret_works(cluster: CephCluster, pool: str) -> None:
    for secret in (cluster.key("client.images"), cluster.keyring):
        open_storage(cluster, pool, credentials=secret).check()


def test_a_wrong_pool_or_configuration_is_one_sentence(cluster: CephCluster, tmp_path: Path) -> None:
    with pytest.raises(StorageRefused, match="there is no pool 'none'"):
        open_storage(cluster, "none").check()
    with pytest.raises(StorageRefused, match=r"configuration file /none/ceph.conf does not exist"):
        _at("rbd://images?conf=/none/ceph.conf").check()
    broken = tmp_path / "ceph.conf"
    broken.write_text("this is [ not a configuration")
    with pytest.raises(StorageRefused, match="can't be read"):
        _at(f"rbd://images?conf={broken}").check()


@pytest.mark.parametrize(
    "url",
    ["rbd://", "rbd:///images", "http://images", "rbd://images?conf=relative", "rbd://images?pool=x",
     "rbd://images/namespace", "rbd://images?user=", "rbd://u:p@images", "rbd://a?user=x&user=y"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="give rbd://POOL"):
        _at(url)


def test_an_unreachable_cluster_is_told_within_five_seconds(tmp_path: Path, cluster: CephCluster) -> None:
    nowhere = tmp_path / "ceph.conf"
    nowhere.write_text(f"[global]\nmon host = 127.0.0.1:1\nkeyring = {cluster.folder}/keyring\n")
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="no monitor answered"):
        _at(f"rbd://images?conf={nowhere}").check()
    assert time.monotonic() - began < 5


def test_an_osd_that_does_not_answer_is_told_within_five_seconds(fragile: CephCluster) -> None:
    storage = open_storage(fragile, "images")
    with fragile.paused("osd.0"):
        began = time.monotonic()
        with pytest.raises(StorageUnavailable, match="no answer in time"):
            storage.check()
        assert time.monotonic() - began < 5
    storage.check()


def test_an_add_waits_for_an_osd_that_comes_back(fragile: CephCluster) -> None:
    landing = open_storage(fragile, "images").landing("waits")
    landing.begin(source(content()))
    write_all(landing, content()[:OBJECT])
    with fragile.paused("osd.0"):
        writer = threading.Thread(target=_write_rest, args=(landing, content()[OBJECT:]))
        writer.start()
        time.sleep(2)
    writer.join()
    assert read_landing(landing) == content()
    landing.discard()


def test_an_add_fails_cleanly_when_an_osd_stays_away_and_goes_on_later(fragile: CephCluster) -> None:
    storage = open_storage(fragile, "images", timeout_s=2)
    landing = storage.landing("later")
    landing.begin(source(content()))
    write_all(landing, content()[: 3 * OBJECT])
    time.sleep(0.5)
    with fragile.paused("osd.0"):
        with pytest.raises(StorageUnavailable) as failed:
            _write_rest(landing, content()[3 * OBJECT :])
        assert failed.value.retryable
        landing.close()
    made_to_answer(fragile)
    again = open_storage(fragile, "images").landing("later")
    assert again.begun_with() == source(content())
    kept = kept_by(again)
    assert content().startswith(kept)
    assert len(kept) >= 3 * OBJECT
    _write_rest(again, content()[len(kept) :])
    assert read_landing(again) == content()
    again.discard()


def test_an_add_outlives_the_restart_of_an_osd(fragile: CephCluster) -> None:
    landing = open_storage(fragile, "images").landing("restart")
    landing.begin(source(content()))
    write_all(landing, content()[: 3 * OBJECT])
    fragile.stop("osd.0")
    writer = threading.Thread(target=_write_rest, args=(landing, content()[3 * OBJECT :]))
    writer.start()
    fragile.start("osd.0")
    writer.join()
    assert read_landing(landing) == content()
    landing.discard()


def test_an_add_outlives_the_restart_of_the_monitor(fragile: CephCluster) -> None:
    storage = open_storage(fragile, "images")
    landing = storage.landing("monitor")
    landing.begin(source(content()))
    write_all(landing, content()[: 3 * OBJECT])
    fragile.stop("mon.a")
    with pytest.raises(StorageUnavailable, match="no monitor answered"):
        storage.check()
    _write_rest(landing, content()[3 * OBJECT :])
    fragile.start("mon.a")
    fragile.wait_for_osd()
    assert read_landing(landing) == content()
    landing.discard()


def test_one_of_three_monitors_may_die() -> None:
    with ceph_cluster(monitors=3) as three:
        storage = open_storage(three, "images")
        add(storage, "image", content())
        for name in ("mon.a", "mon.b"):
            three.stop(name)
            _wait_for(storage)
            assert read_all(storage, "image") == content()
            three.start(name)
            _wait_for(storage)


def test_a_full_pool_is_one_sentence_and_nothing_is_left(fragile: CephCluster) -> None:
    storage = open_storage(fragile, "images")
    add(storage, "kept", content())
    before = fragile.leftovers("images")
    landing = storage.landing("too-large")
    landing.begin(source(content()))
    write_all(landing, content()[: 3 * OBJECT])
    fragile.fill()
    with pytest.raises(CapacityExceeded, match="image storage 'ceph'"):
        _write_until_full(landing)
    landing.close()
    assert fragile.leftovers("images") == before
    with pytest.raises(CapacityExceeded):
        storage.landing("next").begin(source(content()))
    assert read_all(storage, "kept") == content()
    storage.check()
    storage.delete("kept")
    assert fragile.leftovers("images") == []
    fragile.relieve()
    add(storage, "kept", content())
    storage.delete("kept")


def test_two_clusters_side_by_side_are_two_storages(
    cluster: CephCluster, pool: str, second_cluster: CephCluster
) -> None:
    one, two = open_storage(cluster, pool), open_storage(second_cluster, "images")
    with pytest.raises(StorageRefused, match=r"key of client\.images is wrong"):
        open_storage(second_cluster, "images", credentials=cluster.key("client.images")).check()
    add(one, "image", content())
    assert not two.contains("image")
    reader, landing = one.open("image"), two.landing("move")
    landing.begin(source(content()))
    for start in range(0, reader.size_bytes, OBJECT):
        landing.write(memoryview(reader.read_at(start, OBJECT)))
    landing.finish()
    two.publish("move", image_record("image"), digests_of(content()))
    one.delete("image")
    assert read_all(two, "image") == content()
    two.delete("image")


def test_capacity_is_the_pools_with_its_quota_and_the_reserve() -> None:
    with ceph_cluster(manager=True, size_bytes=2 << 30) as measured:
        measured.wait_for_statistics()
        storage = open_storage(measured, "images")
        room = storage.capacity()
        assert 1 << 29 < room.available_bytes < 1 << 30
        assert room.total_bytes > room.available_bytes
        limited = open_storage(measured, "images", capacity_bytes=(1 << 30) + 5 * MIB)
        assert limited.capacity().available_bytes == 5 * MIB
        add(limited, "image", random_bytes(MIB))
        assert limited.capacity().available_bytes == 4 * MIB
        measured.command(prefix="osd pool set-quota", pool="images", field="max_bytes", val=str((1 << 30) + 100 * MIB))
        _until(lambda: 90 * MIB <= storage.capacity().available_bytes <= 100 * MIB)


def test_without_statistics_capacity_is_what_was_configured(cluster: CephCluster, pool: str) -> None:
    with pytest.raises(StorageUnavailable, match="set capacity_bytes"):
        open_storage(cluster, pool).capacity()
    storage = open_storage(cluster, pool, capacity_bytes=2 << 30)
    add(storage, "image", random_bytes(3 * MIB))
    room = storage.capacity()
    assert (room.total_bytes, room.used_bytes) == (2 << 30, 3 * MIB)
    assert room.available_bytes == (1 << 30) - 3 * MIB


def _at(url: str) -> CephStorage:
    return CephStorage(ImageStorage(name="ceph", kind="ceph", url=url, created_at=NOW), Settings())


def _write_rest(landing: Landing, data: bytes) -> None:
    write_all(landing, data)
    landing.finish()


def _write_until_full(landing: Landing) -> None:
    for _ in range(10):
        write_all(landing, content())
    landing.finish()


def _wait_for(storage: CephStorage) -> None:
    """Wait until the cluster has elected a leader."""
    _until(lambda: _answers(storage))


def _answers(storage: CephStorage) -> bool:
    try:
        storage.check()
    except StorageUnavailable:
        return False
    return True


def _until(happened: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
