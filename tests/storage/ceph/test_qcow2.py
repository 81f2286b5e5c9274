"""qcow2 files taken apart while they land: still the same file, resumable, and raw by one step."""

import struct
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import ConversionFailed, IllegalTransition
from storage.ceph import CephStorage
from storage.ceph.layout import data_runs, object_count
from storage.ceph.qcow2.guest_disk import GuestDisk
from storage.ceph.qcow2.placement import Placement, unfoldable
from storage.protocols import Progress
from tests.services.ceph import CephCluster
from tests.services.payload import payload, random_bytes
from tests.storage.ceph.conftest import image_record
from tests.storage.ceph.content import (
    MIB,
    OBJECT,
    digests_of,
    kept_by,
    kept_of,
    land,
    read_all,
    read_landing,
    reads_as,
    source,
    sparse_file,
    write_all,
)
from tests.storage.ceph.dying import Died, dying
from tests.storage.ceph.killed import write_until_killed
from tests.storage.ceph.test_conversion import made, qemu_img

SILENT: Progress = lambda _done, _total: None  # noqa: E731
CLUSTER = 64 << 10


@payload
def guest_bytes() -> bytes:
    return sparse_file((5 * MIB, 9 * MIB), (6 * MIB, 3 * MIB), (3 * MIB, 6 * MIB))


@payload
def noise() -> bytes:
    return random_bytes(81 * CLUSTER)


@pytest.fixture
def file(tmp_path: Path) -> bytes:
    return made(tmp_path, guest_bytes(), "qcow2", []).read_bytes()


def test_the_file_reads_as_it_came(ceph: CephStorage, file: bytes) -> None:
    land(ceph, "a", file, block=777_777)
    landing = ceph.landing("a")
    assert landing.is_unfolded()
    assert read_landing(landing) == file
    reader = landing.open()
    for offset, size in ((0, 100), (5 * CLUSTER - 3, 2 * CLUSTER), (OBJECT - 1, 2), (len(file) - 9, 100)):
        assert reader.read_at(offset, size) == file[offset : offset + size]
    assert landing.finish().size_bytes == len(file)


def test_its_bytes_are_stored_once(ceph: CephStorage, cluster: CephCluster, pool: str, file: bytes) -> None:
    landing = ceph.landing("a")
    landing.begin(source(file))
    write_all(landing, file)
    assert landing.finish().stored_bytes <= len(file)
    assert len(cluster.data_objects(pool)) <= 2 + _objects_with_data(guest_bytes())


def test_a_killed_writer_is_followed_by_another(
    ceph: CephStorage, cluster: CephCluster, pool: str, tmp_path: Path
) -> None:
    guest = random_bytes(96 * MIB)
    file = made(tmp_path, guest, "qcow2", []).read_bytes()
    written = write_until_killed(cluster, pool, file, stop_at=90 * MIB)
    landing = ceph.landing("a")
    kept = kept_of(landing, file)
    assert kept >= written - 64 * MIB - 5 * OBJECT
    write_all(landing, file[kept:])
    landing.finish()
    landing.close()
    assert reads_as(ceph.landing("a").open(), file)
    del file  # as large as the guest: both and what is read would be too much
    _convert_and_check(ceph, guest)


@pytest.mark.parametrize("cut", [MIB, OBJECT, 2 * OBJECT + 4321, 3 * OBJECT])
def test_a_clean_close_keeps_what_came(ceph: CephStorage, file: bytes, cut: int) -> None:
    landing = ceph.landing("a")
    landing.begin(source(file))
    write_all(landing, file[:cut])
    landing.close()
    again = ceph.landing("a")
    kept = kept_by(again)
    assert kept == (file[:cut] if cut >= OBJECT else b"")
    write_all(again, file[len(kept) :])
    again.finish()
    again.close()
    assert read_landing(ceph.landing("a")) == file
    _convert_and_check(ceph, guest_bytes())


def test_a_finished_file_can_be_read_again_and_finished_again(ceph: CephStorage, file: bytes) -> None:
    file = file + b"some bytes more"
    land(ceph, "a", file)
    again = ceph.landing("a")
    assert kept_by(again) == file
    again.finish()
    again.close()
    assert read_landing(ceph.landing("a")) == file


def test_what_a_broken_off_attempt_wrote_never_shines_through(
    ceph: CephStorage, cluster: CephCluster, pool: str, tmp_path: Path
) -> None:
    guest = random_bytes(40 * MIB)
    file = made(tmp_path, guest, "qcow2", []).read_bytes()
    landing = ceph.landing("a")
    landing.begin(source(file))
    write_all(landing, file[: 8 * OBJECT])
    landing.close()
    cluster.remove_object(pool, cluster.data_objects(pool)[3])
    again = ceph.landing("a")
    kept = kept_by(again)
    assert len(kept) < 6 * OBJECT
    written = [name for name in cluster.data_objects(pool) if int(name.rpartition(".")[2], 16) < 10]
    assert len(written) <= 5
    write_all(again, file[len(kept) :])
    again.finish()
    again.close()
    _convert_and_check(ceph, guest)


def test_a_file_that_was_not_converted_is_not_published(ceph: CephStorage, file: bytes) -> None:
    land(ceph, "a", file)
    with pytest.raises(IllegalTransition, match="converted to raw"):
        ceph.publish("a", image_record("image", "qcow2"), digests_of(file))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_while_converting_is_made_good_by_converting_again(
    ceph: CephStorage, file: bytes, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(ceph, "a", file)
    with dying(1, after=after, monkeypatch=monkeypatch) as death, suppress(Died):
        ceph.convert_landing("a", "qcow2", "a.raw", SILENT)
    assert death.dead
    _convert_and_check(ceph, guest_bytes())


@pytest.mark.parametrize("step", range(1, 8))
def test_a_death_after_the_file_came_lets_nobody_send_it_again(
    ceph: CephStorage, file: bytes, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(ceph, "a", file)
    with dying(step, after=False, monkeypatch=monkeypatch) as death, suppress(Died):
        ceph.convert_landing("a", "qcow2", "a.raw", SILENT)
        ceph.publish("a", image_record("a", "qcow2"), None)
    assert death.dead
    ceph.complete_publication("a")
    if not ceph.contains("a"):
        with closing(ceph.landing("a")) as landing:
            assert kept_by(landing) == file
            landing.finish()
            assert read_landing(landing) == file
        assert ceph.convert_landing("a", "qcow2", "a.raw", SILENT).landing_id == "a"
        ceph.publish("a", image_record("a", "qcow2"), None)
    assert read_all(ceph, "a") == guest_bytes()
    assert ceph.verify("a")[0].items == ()
    assert list(ceph.landings()) == []


@pytest.mark.parametrize("step", range(1, 8))
def test_a_death_while_landing_is_made_good_however_often_one_follows(
    ceph: CephStorage, file: bytes, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dying(step, after=False, monkeypatch=monkeypatch) as death, suppress(Died):
        land(ceph, "a", file)
    assert death.dead
    for again in (2, 3, 4):
        with (
            dying(again, after=False, monkeypatch=monkeypatch),
            suppress(Died),
            closing(ceph.landing("a")) as landing,
        ):
            kept_by(landing)
    _land_the_rest(ceph, file)
    _convert_and_check(ceph, guest_bytes())


def test_tables_behind_their_clusters_are_copied_and_not_moved(
    ceph: CephStorage, cluster: CephCluster, pool: str, tmp_path: Path
) -> None:
    path = made(tmp_path, guest_bytes(), "qcow2", [])
    qemu_img("resize", "-f", "qcow2", path, "100G")
    land(ceph, "a", path.read_bytes())
    assert ceph.landing("a").is_unfolded()
    assert read_landing(ceph.landing("a")) == path.read_bytes()
    assert ceph.convert_landing("a", "qcow2", "a.raw", SILENT).size_bytes == 100 << 30
    assert ceph.landing("a").open().read_at(0, len(guest_bytes())) == guest_bytes()
    ceph.landing("a").discard()
    assert cluster.leftovers(pool) == []


def test_a_disk_that_ends_within_a_cluster_is_whole(ceph: CephStorage, tmp_path: Path) -> None:
    guest = random_bytes(OBJECT + 3 * CLUSTER + 512)
    land(ceph, "a", made(tmp_path, guest, "qcow2", []).read_bytes())
    _convert_and_check(ceph, guest)


def test_a_table_that_lies_is_not_proven(ceph: CephStorage, file: bytes) -> None:
    (table,) = _l2_tables(file)
    entries = list(struct.unpack_from(">8192Q", file, table))
    entries[1] = entries[0]  # two clusters of the guest in one place: qemu would read the same twice
    lying = file[:table] + struct.pack(">8192Q", *entries) + file[table + CLUSTER :]
    land(ceph, "a", lying)
    assert read_landing(ceph.landing("a")) == lying
    with suppress(ConversionFailed):
        made = ceph.convert_landing("a", "qcow2", "a.raw", SILENT)
        assert ceph.landing(made.landing_id).open().read_at(CLUSTER, CLUSTER) == guest_bytes()[:CLUSTER]


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_whatever_tables_say_the_file_is_what_came(data: st.DataObject) -> None:
    clusters = data.draw(st.integers(6, 80))
    file = bytearray(noise()[: clusters * CLUSTER + data.draw(st.sampled_from([0, 1, 513]))])
    guest_clusters = data.draw(st.sampled_from([16, 70, 100]))
    l1_at = data.draw(st.integers(1, clusters - 1))
    l1_entries = data.draw(st.integers(1, 4))
    struct.pack_into(
        ">4sIQIIQIIQ",
        file,
        0,
        b"QFI\xfb",
        2,
        0,
        0,
        16,
        guest_clusters * CLUSTER,
        0,
        l1_entries,
        l1_at * CLUSTER,
    )
    struct.pack_into(">QIIQ", file, 48, 0, 0, 0, 0)
    anywhere = st.integers(0, clusters + 2)
    tables = data.draw(st.lists(anywhere, min_size=l1_entries, max_size=l1_entries))
    struct.pack_into(f">{l1_entries}Q", file, l1_at * CLUSTER, *(t * CLUSTER for t in tables))
    for table in set(tables):
        if 0 < table < clusters and table != l1_at:
            entries = data.draw(st.lists(anywhere, max_size=40))
            flags = data.draw(st.sampled_from([0, 1 << 63, 1, 1 << 62]))
            body = [flags | entry * CLUSTER for entry in entries] + [0] * (8192 - len(entries))
            struct.pack_into(">8192Q", file, table * CLUSTER, *body)
    assert _through_memory(bytes(file)) == file


def _through_memory(file: bytes) -> bytes:
    """Take a file apart into bytes in memory and read it back from its tables alone."""
    header = unfoldable(file)
    assert header is not None
    base = object_count(header.size_bytes) * OBJECT
    image = bytearray(base + len(file))

    def write(offset: int, data: bytes) -> None:
        image[offset : offset + len(data)] = data

    disk = GuestDisk(Placement(header), base)
    for index in range(object_count(len(file))):
        block = memoryview(file)[index * OBJECT : (index + 1) * OBJECT]
        for first, last in disk.take(index, block, data_runs(block), write):
            write(base + index * OBJECT + first, bytes(block[first:last]))
    disk.flush(write)
    return _folded(image, base, len(file))


def _folded(image: bytearray, base: int, size: int) -> bytes:
    from storage.ceph.qcow2.view import learn

    def read(index: int) -> memoryview:
        start = base + index * OBJECT
        return memoryview(bytes(image[start : min(start + OBJECT, base + size)]))

    placement = learn(read, object_count(size))
    assert placement is not None
    file = bytearray()
    for index in range(object_count(size)):
        block = bytearray(read(index))
        for start, end, guest in placement.moved(index, len(block)):
            block[start:end] = image[guest : guest + end - start]
        file += block
    return bytes(file)


def _l2_tables(file: bytes) -> list[int]:
    (l1_at,) = struct.unpack_from(">Q", file, 40)
    (entries,) = struct.unpack_from(">I", file, 36)
    found = struct.unpack_from(f">{entries}Q", file, l1_at)
    return [entry & 0x00FFFFFFFFFFFE00 for entry in found if entry]


def _objects_with_data(guest: bytes) -> int:
    return sum(any(guest[start : start + OBJECT]) for start in range(0, len(guest), OBJECT))


def _land_the_rest(ceph: CephStorage, file: bytes) -> None:
    with closing(ceph.landing("a")) as landing:
        kept = kept_by(landing)
        assert file.startswith(kept)
        write_all(landing, file[len(kept) :])
        landing.finish()
        assert read_landing(landing) == file


def _convert_and_check(ceph: CephStorage, guest: bytes) -> None:
    ceph.convert_landing("a", "qcow2", "a.raw", SILENT)
    assert [found.landing_id for found in ceph.landings()] == ["a"]
    ceph.publish("a", image_record("image", "qcow2"), None)
    with closing(ceph.open("image")) as reader:
        assert reads_as(reader, guest)
    assert ceph.verify("image")[0].items == ()
