from pathlib import Path

from storage.imagestore.format.parameters import load_parameters
from storage.imagestore.objects.cached import CachedObjects
from tests.storage.imagestore.counted import CountingObjects
from tests.storage.memory_objects import MemoryObjects


def cached(inner: MemoryObjects, folder: Path, limit: int = 1 << 20) -> tuple[CachedObjects, CountingObjects]:
    load_parameters(inner)
    counting = CountingObjects(inner)
    return CachedObjects(counting, folder, limit), counting


def test_what_was_read_once_is_read_from_the_cache(tmp_path: Path) -> None:
    inner = MemoryObjects()
    inner.put("packs/p", b"0123456789")
    store, counting = cached(inner, tmp_path)
    assert [store.get("packs/p", 2, 5) for _ in range(3)] == [b"234"] * 3
    again, recounted = cached(inner, tmp_path)
    assert again.get("packs/p", 2, 5) == b"234"
    assert (counting.read_bytes - recounted.read_bytes, recounted.calls["get"]) == (3, 1)


def test_a_damaged_cache_never_condemns_the_store(tmp_path: Path) -> None:
    inner = MemoryObjects()
    inner.put("index/1", b"right")
    store, _ = cached(inner, tmp_path)
    store.get("index/1")
    (piece,) = tmp_path.glob("*.piece")
    piece.write_bytes(piece.read_bytes()[:-1] + b"X")
    assert store.get("index/1") == b"right"
    assert cached(inner, tmp_path)[0].get("index/1") == b"right"


def test_without_a_folder_that_can_be_used_the_store_is_read(tmp_path: Path) -> None:
    inner = MemoryObjects()
    inner.put("index/1", b"right")
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        store, _ = cached(inner, folder)
        assert [store.get("index/1") for _ in range(2)] == [b"right"] * 2


def test_another_store_at_the_same_address_is_not_mistaken_for_the_old_one(tmp_path: Path) -> None:
    old, new = MemoryObjects(), MemoryObjects()
    old.put("index/1", b"old")
    new.put("index/1", b"new")
    assert cached(old, tmp_path)[0].get("index/1") == b"old"
    assert cached(new, tmp_path)[0].get("index/1") == b"new"


def test_the_cache_stays_within_its_bounds(tmp_path: Path) -> None:
    inner = MemoryObjects()
    for number in range(20):
        inner.put(f"packs/{number}", bytes(1000))
    store, _ = cached(inner, tmp_path, limit=5000)
    for number in range(20):
        store.get(f"packs/{number}")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5000


def test_what_changes_is_never_cached(tmp_path: Path) -> None:
    inner = MemoryObjects()
    store, _ = cached(inner, tmp_path)
    for content in (b"one", b"two"):
        inner.put("manifests/i", content)
        assert store.get("manifests/i") == content
