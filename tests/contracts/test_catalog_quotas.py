"""Quotas, capacity, locks and deferred work: exact, also when many ask at once or die on the way."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from catalog import errors, open_catalog
from catalog.records import Account, Image, ImageStatus
from catalog.repository.catalog import Catalog
from catalog.store import record_kinds
from catalog.store.protocol import EVERYTHING
from tests.catalog.samples import START, a_replica, an_image, saved
from tests.services.postgresql import url_of

MIB = 1 << 20


@pytest.fixture
def limited(catalog: Catalog) -> Catalog:
    with catalog.changing(actor="admin") as change:
        change.save_account(Account(name="bob", quota_images=10, quota_bytes=100 * MIB, created_at=START))
    return catalog


def reserve(catalog: Catalog, number: int, size_bytes: int = MIB) -> None:
    with catalog.changing(actor="bob") as change:
        change.reserve(subject=f"image:{number}", account="bob", storages=("default",), size_bytes=size_bytes)


def test_of_fifty_at_once_exactly_the_quota_is_accepted(limited: Catalog) -> None:
    def accepted(number: int) -> bool:
        try:
            reserve(limited, number)
        except errors.QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(accepted, range(50))) == 10
    usage = limited.usage("bob")
    assert (usage.images, usage.reserved_images, usage.reserved_bytes) == (0, 10, 10 * MIB)
    with pytest.raises(errors.QuotaExceeded, match="has used 10 of 10 "):
        reserve(limited, 99)


def test_an_add_that_was_killed_and_repeated_reserves_once(limited: Catalog) -> None:
    for _ in range(25):
        reserve(limited, 1, 60 * MIB)
    usage = limited.usage("bob")
    assert (usage.reserved_images, usage.reserved_bytes) == (1, 60 * MIB)
    with pytest.raises(errors.QuotaExceeded, match="logical bytes"):
        reserve(limited, 2, 60 * MIB)
    assert limited.usage("bob") == usage


def test_a_reservation_becomes_the_image_without_counting_twice(limited: Catalog) -> None:
    image = an_image(owner="bob", status="Downloading")
    with limited.changing(actor="bob") as change:
        registered = change.save_image(image)
        change.reserve(subject=f"image:{image.id}", account="bob", size_bytes=40 * MIB)
    assert limited.usage("bob").reserved_bytes == 40 * MIB
    ready = registered.model_copy(update={"status": ImageStatus.READY, "size_bytes": 41 * MIB})
    with limited.changing(actor="bob") as change:
        change.save_image(ready)
    usage = limited.usage("bob")
    assert (usage.images, usage.size_bytes, usage.reserved_images, usage.reserved_bytes) == (
        1,
        41 * MIB,
        0,
        0,
    )
    with limited.changing(actor="bob") as change:
        change.release(f"image:{image.id}")
    assert limited.usage("bob") == usage


def test_the_bin_counts_and_is_shown(limited: Catalog) -> None:
    (image,) = saved(limited, an_image(owner="bob", status="Ready", size_bytes=7))
    saved(limited, Image.model_validate(image.model_dump() | {"status": "Deleted"}))
    usage = limited.usage("bob")
    assert (usage.images, usage.size_bytes, usage.binned_images, usage.binned_bytes) == (1, 7, 1, 7)
    with limited.changing(actor="admin") as change:
        change.remove_image(image.id)
    assert limited.usage("bob").model_dump(exclude={"account"}) == dict.fromkeys(
        set(type(usage).model_fields) - {"account"}, 0
    )


def test_adds_that_failed_do_not_fill_a_quota(limited: Catalog) -> None:
    saved(limited, *(an_image(owner="bob", status="Error") for _ in range(30)))
    assert limited.usage("bob").images == 0
    reserve(limited, 1)


def test_an_unknown_size_grows_as_far_as_the_quota(limited: Catalog) -> None:
    reserve(limited, 1, 0)
    for size in (10, 60, 100, 50):
        with limited.changing(actor="bob") as change:
            change.grow_reservation("image:1", size_bytes=size * MIB, landed_bytes=size * MIB)
    with pytest.raises(errors.QuotaExceeded), limited.changing(actor="bob") as change:
        change.grow_reservation("image:1", size_bytes=100 * MIB + 1)
    (kept,) = limited.reservations("bob")
    assert (kept.size_bytes, kept.landed_bytes) == (100 * MIB, 100 * MIB)
    with pytest.raises(errors.ReservationNotFound), limited.changing(actor="bob") as change:
        change.grow_reservation("image:2", size_bytes=1)


def test_room_on_a_storage_is_promised_once(catalog: Catalog) -> None:
    def ask(number: int, size: int, available: int) -> None:
        with catalog.changing(actor="a") as change:
            change.reserve(
                subject=f"image:{number}", account="a", storages=("default",), size_bytes=size,
                available={"default": available},
            )  # fmt: skip

    ask(1, 60, 100)
    with pytest.raises(errors.CapacityExceeded) as caught:
        ask(2, 60, 100)
    assert (caught.value.storage, caught.value.needed, caught.value.available) == ("default", 60, 40)
    ask(2, 40, 100)
    with catalog.changing(actor="a") as change:
        change.grow_reservation("image:1", landed_bytes=50)  # now missing from what is measured
    ask(3, 0, 50)
    with pytest.raises(errors.CapacityExceeded):
        ask(3, 1, 50)
    with catalog.changing(actor="a") as change:
        change.release("image:2")
    ask(3, 40, 50)


def test_stored_bytes_follow_the_owner(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image(owner="bob", status="Ready", size_bytes=100))
    with catalog.changing(actor="admin") as change:
        change.save_replica(a_replica(image, stored_bytes=30))
        change.save_replica(a_replica(image, stored_bytes=40))
    assert catalog.usage("bob").stored_bytes == 40
    with catalog.changing(actor="admin") as change:
        change.save_image(image.model_copy(update={"owner": "alice"}))
    assert catalog.usage("bob").stored_bytes == catalog.usage("bob").images == 0
    assert (catalog.usage("alice").stored_bytes, catalog.usage("alice").size_bytes) == (40, 100)
    with catalog.changing(actor="admin") as change:
        change.remove_replica(image.id, "default")
    assert catalog.usage("alice").stored_bytes == 0


def test_a_quota_of_stored_bytes_refuses_once_it_is_full(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image(owner="bob", status="Ready", size_bytes=100))
    with catalog.changing(actor="admin") as change:
        change.save_account(Account(name="bob", quota_stored_bytes=40, created_at=START))
        change.save_replica(a_replica(image, stored_bytes=40))
    with pytest.raises(errors.QuotaExceeded, match="stored bytes"):
        reserve(catalog, 1, 1)


def test_the_settings_hold_for_accounts_without_their_own(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_QUOTA_IMAGES", "1")
    reserve(catalog, 1)
    with pytest.raises(errors.QuotaExceeded):
        reserve(catalog, 2)
    with catalog.changing(actor="admin") as change:
        change.save_account(Account(name="bob", quota_images=0, created_at=START))
    reserve(catalog, 2)


def test_one_holder_at_a_time(catalog: Catalog) -> None:
    with catalog.locked("x", holder="run-1") as first:
        with pytest.raises(errors.ImageBusy, match="run-1") as busy, catalog.locked("x", holder="run-2"):
            pytest.fail("two hold the lock")
        assert busy.value.retryable
        with pytest.raises(errors.ImageBusy), catalog.locked("x", holder="run-2", is_dead=lambda _: False):
            pytest.fail("two hold the lock")
        assert str(busy.value) == "image x is being worked on by run-1; wait for it or cancel it"
        with catalog.locked("y", holder="run-2"):
            pass
    with catalog.locked("x", holder="run-2") as second:
        assert second.token == first.token + 1
    assert catalog.lease("x").holder is None


def test_a_lock_is_free_after_an_error(catalog: Catalog) -> None:
    with pytest.raises(ZeroDivisionError), catalog.locked("x", holder="run-1"):
        raise ZeroDivisionError
    with catalog.locked("x", holder="run-2"):
        pass


def test_a_dead_holders_lock_is_taken_over_and_the_dead_is_fenced_off(catalog: Catalog) -> None:
    def alive_after_all() -> None:
        with catalog.locked("x", holder="run-1") as old:
            with catalog.locked("x", holder="run-2", is_dead=lambda holder: holder == "run-1") as new:
                with pytest.raises(errors.ImageBusy, match="run-2"), catalog.changing("a", lease=old):
                    pytest.fail("a fenced holder changed something")
                with catalog.changing("a", lease=new) as change:
                    change.record("test.event", "image:x")
            with pytest.raises(errors.ImageBusy), catalog.changing("a", lease=old):
                pytest.fail("a fenced holder changed something")

    alive_after_all()
    assert catalog.lease("x").holder is None


def test_the_same_run_tried_again_takes_its_lock_again(catalog: Catalog) -> None:
    killed = catalog.locked("x", holder="run-1")
    killed.__enter__()
    with catalog.locked("x", holder="run-1") as again:
        assert again.token == 2


def test_who_was_faster_is_named(catalog: Catalog) -> None:
    held = [catalog.locked("x", holder="run-0"), catalog.locked("x", holder="run-2", is_dead=lambda _: True)]
    held[0].__enter__()

    def ask(holder: str) -> bool:
        if holder == "run-0":
            held[1].__enter__()
        return holder == "run-0"

    with catalog.locked_together(["x", "y"], "run-1", is_dead=ask) as together:
        assert together.busy == {"x": "run-2"}
        assert set(together.leases) == {"y"}


def leases(catalog: Catalog) -> set[str]:
    with catalog._store.reading() as transaction:
        return {lease.image_id for lease in transaction.page(record_kinds.LEASE, EVERYTHING, None, 100).records}


@pytest.mark.parametrize("name", ["sync-1", "cache:x@primary"])
def test_a_lock_of_work_leaves_no_row_and_its_old_holder_stays_fenced_off(catalog: Catalog, name: str) -> None:
    with catalog.locked(name, holder="run-1") as old:
        with catalog.locked(name, holder="run-2", is_dead=lambda _: True):
            pass
        assert not leases(catalog)
        with catalog.locked(name, holder="run-1") as again:
            assert again != old
            with pytest.raises(errors.ImageBusy), catalog.changing("a", lease=old):
                pytest.fail("a fenced holder changed something")
        with catalog.locked_together([name], "run-3") as together:
            assert set(together.leases) == {name}
    assert not leases(catalog)


def test_leases_that_the_dead_hold_and_that_no_image_has_are_forgotten(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image())
    names = ("sync-1", "sync-2", "cache:x@primary", image.id, f"export:{image.id}", "gone")
    killed = [catalog.locked(name, holder="living" if name == "sync-2" else "dead") for name in names]
    for one in killed:
        one.__enter__()
    assert catalog.forget_leases(lambda holder: holder == "dead") == 3
    assert leases(catalog) == {"sync-2", image.id, f"export:{image.id}"}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_of_many_that_take_over_a_lock_one_gets_it(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    url, inside, most = url_of(kind, tmp_path), [], []
    guard = threading.Lock()

    def work(number: int) -> bool:
        with open_catalog(url) as catalog:
            try:
                with catalog.locked("x", holder=f"run-{number}", is_dead=lambda holder: holder == "dead"):
                    with guard:
                        inside.append(number)
                        most.append(len(inside))
                    with guard:
                        inside.remove(number)
            except errors.ImageBusy:
                return False
            return True

    with open_catalog(url) as catalog:
        catalog.locked("x", holder="dead").__enter__()
    with ThreadPoolExecutor(8) as pool:
        assert any(pool.map(work, range(32)))
    assert max(most) == 1


def test_work_put_off_twice_is_one_entry_with_its_newest_reason(catalog: Catalog) -> None:
    def put_off(reason: str) -> None:
        with catalog.changing(actor="admin") as change:
            change.defer("delete replica", "replica:i@old", reason, storage="old", location="x", size_bytes=9)

    put_off("disconnected")
    put_off("still disconnected")
    (work,) = catalog.pending(storage="old")
    assert (work.image_id, work.bytes, work.reason, work.attempts) == ("i", 9, "still disconnected", 0)
    with catalog.changing(actor="admin") as change:
        tried = change.tried(work, "no answer")
    assert list(catalog.pending(image_id="i")) == [tried]
    assert (tried.attempts, tried.reason) == (1, "no answer")
    with catalog.changing(actor="admin") as change:
        change.remove_deferred(work.id)
        change.remove_deferred(work.id)
    assert list(catalog.pending()) == []
    assert [e.kind.rpartition(".")[2] for e in catalog.events("i")] == [
        "deferred",
        "deferred",
        "tried",
        "done",
    ]
