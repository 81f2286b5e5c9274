"""What deaths leave in a pool is named, and given back; what anybody works on or may still want is not touched."""

from collections.abc import Callable
from contextlib import closing, suppress

import pytest

from catalog.errors import ImageBusy, StorageUnavailable
from catalog.records import ReclaimReport
from catalog.settings import Settings
from storage.ceph import CephStorage
from storage.ceph.client.address import parse_address
from storage.ceph.client.connection import connect
from storage.ceph.layout import landing_name, published_name
from tests.services.ceph import CephCluster
from tests.services.payload import payload
from tests.storage.ceph.conftest import image_record
from tests.storage.ceph.content import (
    OBJECT,
    add,
    digests_of,
    land,
    read_all,
    read_landing,
    source,
    sparse_file,
    write_all,
)
from tests.storage.ceph.dying import Died, dying


@payload
def content() -> bytes:
    return sparse_file((OBJECT + 10, OBJECT), (99, 0))


NOBODYS: frozenset[str] = frozenset()
LAST_OF_PUBLISHING, LAST_OF_DELETING = 6, 3
Leave = Callable[[CephStorage, CephCluster, str, pytest.MonkeyPatch], None]


def half_a_landing(ceph: CephStorage, _cluster: CephCluster, _pool: str, _patch: pytest.MonkeyPatch) -> None:
    landing = ceph.landing("a")
    landing.begin(source(content()))
    write_all(landing, content()[: OBJECT + 5])
    landing.close()


def a_publication(ceph: CephStorage, _cluster: CephCluster, _pool: str, patch: pytest.MonkeyPatch) -> None:
    land(ceph, "a", content())
    with dying(LAST_OF_PUBLISHING, after=False, monkeypatch=patch), suppress(Died):
        ceph.publish("a", image_record("image"), digests_of(content()))


def a_deletion(ceph: CephStorage, _cluster: CephCluster, _pool: str, patch: pytest.MonkeyPatch) -> None:
    add(ceph, "image", content())
    with dying(LAST_OF_DELETING, after=False, monkeypatch=patch), suppress(Died):
        ceph.delete("image")


def a_deletion_inside_rbd(ceph: CephStorage, cluster: CephCluster, pool: str, _patch: pytest.MonkeyPatch) -> None:
    land(ceph, "a", content())
    cluster.rbd("trash", "mv", f"{pool}/{landing_name('a')}")


LEFT: list[tuple[Leave, str]] = [
    (half_a_landing, "landing a"),
    (a_publication, "landing a"),
    (a_deletion, "image image"),
    (a_deletion_inside_rbd, f"trash {landing_name('a')}"),
]


@pytest.mark.parametrize(("leave", "subject"), LEFT, ids=[leave.__name__ for leave, _ in LEFT])
def test_what_a_death_left_is_named_then_given_back(
    ceph: CephStorage,
    cluster: CephCluster,
    pool: str,
    leave: Leave,
    subject: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add(ceph, "whole", content())
    before = cluster.leftovers(pool)
    leave(ceph, cluster, pool, monkeypatch)
    left = cluster.leftovers(pool)
    assert outcomes(ceph.reclaim(NOBODYS, plan_only=True)) == {subject: "done"}
    assert cluster.leftovers(pool) == left != before
    assert outcomes(ceph.reclaim(NOBODYS)) == {subject: "done"}
    assert cluster.leftovers(pool) == before
    assert read_all(ceph, "whole") == content()
    assert ceph.reclaim(NOBODYS).items == ()


def test_the_space_of_a_landing_is_counted(ceph: CephStorage) -> None:
    land(ceph, "a", content())
    planned, done = ceph.reclaim(NOBODYS, plan_only=True), ceph.reclaim(NOBODYS)
    assert planned.bytes_freed == done.bytes_freed == len(content())


def test_what_a_writer_has_open_is_left_to_it(ceph: CephStorage) -> None:
    landing = ceph.landing("a")
    landing.begin(source(content()))
    write_all(landing, content()[: OBJECT + 5])
    for plan_only in (True, False):
        assert outcomes(ceph.reclaim(NOBODYS, plan_only=plan_only)) == {"landing a": "pending"}
    write_all(landing, content()[OBJECT + 5 :])
    landing.finish()
    assert read_landing(landing) == content()


def test_what_an_admin_put_into_the_trash_for_a_while_stays_there(
    ceph: CephStorage, cluster: CephCluster, pool: str
) -> None:
    add(ceph, "image", content())
    cluster.rbd("trash", "mv", f"{pool}/{published_name('image')}", "--expires-at", "tomorrow")
    assert ceph.reclaim(NOBODYS).items == ()
    assert published_name("image") in cluster.rbd("trash", "ls", pool)


def test_what_has_clones_stays_in_the_trash_with_the_reason(ceph: CephStorage, cluster: CephCluster, pool: str) -> None:
    add(ceph, "image", content())
    parent = f"{pool}/{published_name('image')}"
    cluster.rbd("clone", f"{parent}@published", f"{pool}/vm", "--rbd-default-clone-format=2")
    cluster.rbd("trash", "mv", parent)
    (item,) = ceph.reclaim(NOBODYS).items
    assert (item.outcome, "clones" in item.reason) == ("kept", True)
    exported = cluster.folder / "vm.raw"
    exported.unlink(missing_ok=True)
    cluster.rbd("export", f"{pool}/vm", str(exported), "--no-progress")
    assert exported.read_bytes() == content()


@pytest.mark.parametrize("broken_off", ["making", "renaming"])
def test_a_name_that_a_death_inside_rbd_left_is_in_nobodys_way(
    ceph: CephStorage, cluster: CephCluster, pool: str, broken_off: str
) -> None:
    land(ceph, "a", content())
    name = f"rbd_id.{landing_name('a')}"
    identity = cluster.read_object(pool, name)
    if broken_off == "making":  # the name and its entry were written, the image was not
        for part in ("rbd_header", "rbd_object_map"):
            cluster.remove_object(pool, f"{part}.{identity[4:].decode()}")
    else:  # published under the new name, the old one not removed
        ceph.publish("a", image_record("image"), digests_of(content()))
        cluster.write_object(pool, name, identity)
    land(ceph, "a", content())
    assert read_landing(ceph.landing("a")) == content()
    if broken_off == "renaming":
        assert read_all(ceph, "image") == content()


def test_a_writer_that_died_before_it_had_the_lock_keeps_nobody_waiting(
    ceph: CephStorage, cluster: CephCluster, pool: str
) -> None:
    half_a_landing(ceph, cluster, pool, pytest.MonkeyPatch())
    address = parse_address(cluster.url(pool))
    with closing(connect("ceph", address, cluster.keyring, timeout_s=Settings().read_timeout_s)) as dead:
        image = dead.image(landing_name("a"), read_only=False)
        assert image is not None
        land(ceph, "a", content())
        with suppress(ImageBusy, StorageUnavailable):  # it is on the blocklist
            dead.close_image(image)
    assert read_landing(ceph.landing("a")) == content()


def outcomes(report: ReclaimReport) -> dict[str, str]:
    return {item.subject: item.outcome for item in report.items}
