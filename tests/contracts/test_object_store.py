"""What every ObjectStore and every wrapper of one promises."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from catalog.errors import ObjectMissing
from storage.protocols import ObjectStore


def names(store: ObjectStore, prefix: str) -> list[str]:
    return [info.name for info in store.list(prefix)]


def test_what_was_put_is_read_back_whole_and_in_ranges(objects: ObjectStore) -> None:
    objects.put("a/b", b"0123456789")
    assert objects.get("a/b") == b"0123456789"
    assert objects.get("a/b", 2, 5) == b"234"
    assert objects.get("a/b", 7) == b"789"
    assert objects.size("a/b") == 10


def test_a_range_past_the_end_gives_what_there_is(objects: ObjectStore) -> None:
    objects.put("a", b"0123")
    objects.put("empty", b"")
    assert objects.get("a", 2, 99) == b"23"
    for start, end in ((4, 9), (7, 9), (9, None), (2, 2)):
        assert objects.get("a", start, end) == b""
    assert objects.get("empty", 0, 5) == b""


def test_put_replaces(objects: ObjectStore) -> None:
    objects.put("a", b"long old content")
    objects.put("a", b"new")
    assert objects.get("a") == b"new"


def test_an_empty_object_is_an_object(objects: ObjectStore) -> None:
    objects.put("empty", b"")
    assert objects.get("empty") == b""
    assert objects.size("empty") == 0


def test_what_is_absent_is_missing_by_name(objects: ObjectStore) -> None:
    with pytest.raises(ObjectMissing, match="no/such"):
        objects.get("no/such")
    with pytest.raises(ObjectMissing, match="no/such"):
        objects.get("no/such", 5, 9)
    assert objects.size("no/such") is None
    assert list(objects.pieces("no/such")) == []


def test_create_keeps_the_first(objects: ObjectStore) -> None:
    assert objects.create("once", b"first")
    assert not objects.create("once", b"second")
    assert objects.get("once") == b"first"


def test_of_several_creators_at_once_exactly_one_wins(objects: ObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: objects.create("race", f"{n}".encode()), range(8)))
    assert sum(won) == 1
    assert objects.get("race") == str(won.index(True)).encode()


def test_a_log_gives_its_pieces_whole_and_in_order(objects: ObjectStore) -> None:
    wanted = [b"one", b"", b"three" * 1000]
    for piece in wanted:
        objects.append("logs/l", piece)
    assert list(objects.pieces("logs/l")) == wanted


def test_many_pieces_keep_their_order(objects: ObjectStore) -> None:
    wanted = [str(n).encode() for n in range(25)]
    for piece in wanted:
        objects.append("l", piece)
    assert list(objects.pieces("l")) == wanted


def test_what_is_written_aside_is_seen_only_when_published(objects: ObjectStore) -> None:
    writer = objects.writer("landings/x/1.part")
    writer.write(b"abc")
    assert objects.size("packs/p") is None
    writer.write(memoryview(b"def"))
    writer.publish("packs/p")
    assert objects.get("packs/p") == b"abcdef"
    assert names(objects, "landings/") == []


def test_abandoning_leaves_nothing(objects: ObjectStore) -> None:
    writer = objects.writer("landings/x/1.part")
    writer.write(b"abc")
    writer.abandon()
    assert names(objects, "") == []


def test_what_is_left_stays_aside_and_can_be_deleted(objects: ObjectStore) -> None:
    writer = objects.writer("landings/x/1.part")
    writer.write(b"abc")
    writer.leave()
    writer.leave()
    if objects.size("landings/x/1.part") is not None:  # a store that keeps nothing aside has nothing
        assert objects.get("landings/x/1.part") == b"abc"
    objects.delete("landings/x/1.part")
    assert names(objects, "") == []


@pytest.mark.parametrize("end", ["abandon", "leave"])
def test_ending_a_writer_is_harmless_after_publishing(objects: ObjectStore, end: str) -> None:
    writer = objects.writer("landings/x/1.part")
    writer.write(b"abc")
    writer.publish("p")
    getattr(writer, end)()
    assert objects.get("p") == b"abc"


def test_a_large_object_survives_the_trip(objects: ObjectStore) -> None:
    block = bytes(range(256)) * 4096
    writer = objects.writer("w")
    for _ in range(12):
        writer.write(block)
    writer.publish("packs/large")
    assert objects.size("packs/large") == 12 << 20
    assert objects.get("packs/large", (12 << 20) - 300) == (block * 2)[-300:]
    assert objects.get("packs/large", (5 << 20) - 2, (5 << 20) + 2) == block[-2:] + block[:2]


def test_listing_is_sorted_and_bounded_by_the_prefix(objects: ObjectStore) -> None:
    for name in ("b/2", "b/10", "a", "b/1", "bb", "c/d/e"):
        objects.put(name, b"x" * len(name))
    assert names(objects, "b/") == ["b/1", "b/10", "b/2"]
    assert names(objects, "b") == ["b/1", "b/10", "b/2", "bb"]
    assert names(objects, "c/") == ["c/d/e"]
    assert [info.size_bytes for info in objects.list("c/")] == [5]
    assert sorted(names(objects, "")) == ["a", "b/1", "b/10", "b/2", "bb", "c/d/e"]


def test_a_log_is_listed_below_its_name_and_deleted_by_it(objects: ObjectStore) -> None:
    objects.append("landings/1/journal", b"x")
    assert [name.split("/")[1] for name in names(objects, "landings/")] == ["1"]
    for name in names(objects, "landings/"):
        objects.delete(name)
    objects.delete("landings/1/journal")
    assert list(objects.pieces("landings/1/journal")) == []
    assert names(objects, "landings/") == []


@pytest.mark.parametrize("name", ["a range of ünicode", "%2e%2e", "a+b&c=d?e#f", "q'\"<>", "x" * 200])
def test_names_are_kept_as_they_are(objects: ObjectStore, name: str) -> None:
    objects.put(f"odd/{name}", b"0123")
    assert objects.get(f"odd/{name}", 1, 3) == b"12"
    assert names(objects, "odd/") == [f"odd/{name}"]
    objects.delete(f"odd/{name}")
    assert names(objects, "") == []


def test_deleting_what_is_absent_is_a_no_op(objects: ObjectStore) -> None:
    objects.put("a", b"x")
    objects.delete("a")
    objects.delete("a")
    assert objects.size("a") is None


def test_a_deleted_log_starts_again(objects: ObjectStore) -> None:
    objects.append("l", b"old")
    objects.delete("l")
    objects.append("l", b"new")
    assert list(objects.pieces("l")) == [b"new"]


def test_a_second_opening_sees_everything(objects: ObjectStore, reopen: Callable[[], ObjectStore]) -> None:
    objects.put("a", b"x")
    objects.append("l", b"1")
    again = reopen()
    again.append("l", b"2")
    assert again.get("a") == b"x"
    assert list(again.pieces("l")) == [b"1", b"2"]
