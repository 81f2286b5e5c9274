"""The bandwidth of an image storage is given out slice by slice, to all who share the catalog."""

import time
from datetime import timedelta
from itertools import pairwise

import pytest

from catalog.records import Pacing
from catalog.repository.bandwidth import LONGEST
from catalog.repository.catalog import Catalog
from catalog.store import record_kinds
from catalog.store.protocol import Store

SLICE_S = 0.25
CAP = 1 << 20


@pytest.fixture
def capped(catalog: Catalog) -> Catalog:
    give_cap(catalog, CAP)
    return catalog


def give_cap(catalog: Catalog, cap: int | None) -> None:
    with catalog.changing(actor="admin") as change:
        known = change.image_storage("default")
        change.save_image_storage(known.model_copy(update={"bandwidth_bytes_s": cap}))


def test_each_slice_begins_where_the_one_before_ends(capped: Catalog) -> None:
    began, waits = time.monotonic(), []
    for _ in range(8):
        asked = time.monotonic() - began
        taken = capped.next_slice("default", SLICE_S)
        assert taken is not None
        assert taken.size_bytes == CAP // 4
        waits.append((asked + taken.wait_s, time.monotonic() - began + taken.wait_s))  # it begins between these
    assert waits[0][0] < SLICE_S
    assert all(later - earlier >= SLICE_S - 0.05 for (earlier, _), (_, later) in pairwise(waits))
    assert waits[-1][1] < 8 * SLICE_S + time.monotonic() - began


def test_what_nobody_took_is_not_saved_up(capped: Catalog) -> None:
    capped.next_slice("default", 0.01)
    time.sleep(0.05)
    first, second = capped.next_slice("default", SLICE_S), capped.next_slice("default", SLICE_S)
    assert first is not None
    assert second is not None
    assert first.wait_s == 0
    assert second.wait_s > 0


def test_a_change_of_the_cap_holds_from_the_next_slice_on(capped: Catalog) -> None:
    give_cap(capped, 2 * CAP)
    taken = capped.next_slice("default", SLICE_S)
    assert taken is not None
    assert taken.size_bytes == CAP // 2
    give_cap(capped, None)
    assert capped.next_slice("default", SLICE_S) is None
    assert capped.next_slice("absent", SLICE_S) is None


def test_a_clock_that_was_put_back_stops_nobody(capped: Catalog) -> None:
    capped.next_slice("default", SLICE_S)
    store: Store = capped._store
    with store.writing() as transaction:
        far = transaction.now() + LONGEST + timedelta(hours=1)
        transaction.update(record_kinds.PACING, Pacing(image_storage="default", free_at=far))
    taken = capped.next_slice("default", SLICE_S)
    assert taken is not None
    assert taken.wait_s == 0


def test_it_is_no_knowledge_and_leaves_no_entry_in_the_log(capped: Catalog) -> None:
    before = len(list(capped.events()))
    capped.next_slice("default", SLICE_S)
    assert len(list(capped.events())) == before
    capped.verify_tables()
