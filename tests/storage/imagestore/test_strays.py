"""What others leave in a store, e.g. file managers, editors, backup programs and S3 browsers, harms nothing and stays."""

import os
import random
from pathlib import Path

import pytest

from catalog.errors import InvalidRequest
from storage.imagestore.objects.directory import DirectoryObjects
from storage.imagestore.storage import ImageStore
from storage.protocols import ObjectStore
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import add, image_store

DATA, GONE = random.Random(1).randbytes(120_000), random.Random(2).randbytes(90_000)
FOLDERS = ("packs/", "index/", "manifests/", "landings/", "epochs/", "verdicts/", "damaged/")
STRAYS = (
    "README", "packs/README", "packs/ab/.DS_Store", f"packs/ab/{'0' * 64}.tmp", f"packs/zz/{'zz' * 32}", "packs/ababab",
    "index/.nfs0001", "index/000000000001 (copy)", "index/-", "index/1", "epochs/x", "epochs/000000000009~",
    "manifests/.DS_Store", "manifests/x/y", "manifests/image.bak", "landings/file", "damaged/foo", "verdicts/foo",
)  # fmt: skip


def filled(objects: ObjectStore) -> ImageStore:
    storage = image_store(objects)
    add(storage, DATA, "image")
    add(storage, GONE, "gone")
    storage.delete("gone")
    return storage


@pytest.fixture
def directory(tmp_path: Path) -> DirectoryObjects:
    objects = DirectoryObjects(tmp_path / "store")
    objects.prepare()
    return objects


def use(objects: ObjectStore) -> None:
    """Do everything that can be done with a store."""
    storage = image_store(objects)
    assert [stored.image.id for stored in storage.images()] == ["image"]
    assert [landing.landing_id for landing in storage.landings()] == []
    planned = storage.reclaim(frozenset(), plan_only=True)
    done = storage.reclaim(frozenset())
    assert planned.bytes_freed == done.bytes_freed > 0
    assert storage.verify("image")[0].items == ()
    add(storage, DATA[:50_000] + GONE, "more")
    assert image_store(objects).open("image").read_at(0, len(DATA)) == DATA
    assert storage.why(storage.pieces("image").digests[0].tobytes())


@pytest.mark.parametrize("name", STRAYS)
def test_a_stray_file_is_passed_over(directory: DirectoryObjects, name: str) -> None:
    filled(directory)
    path = directory.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"junk")
    use(directory)
    assert path.read_bytes() == b"junk"


def test_the_markers_of_folders_that_s3_browsers_make_are_passed_over() -> None:
    objects = MemoryObjects()
    filled(objects)
    for folder in FOLDERS:
        objects.put(folder, b"")
    use(objects)
    assert all(objects.size(folder) == 0 for folder in FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_pipes_and_links_that_lead_nowhere_are_passed_over(
    directory: DirectoryObjects, folder: str, tmp_path: Path
) -> None:
    filled(directory)
    place = directory.root / folder / "other"
    place.mkdir(parents=True)
    os.mkfifo(place.parent / "pipe")
    (place.parent / "loop").symlink_to("loop")
    (place.parent / "dangling").symlink_to(tmp_path / "nowhere")
    (place.parent / "folder").symlink_to("/etc")
    use(directory)


def test_a_folder_that_was_moved_to_another_disk_is_reached_by_a_link(
    directory: DirectoryObjects, tmp_path: Path
) -> None:
    filled(directory)
    for name in ("packs", "manifests"):
        (directory.root / name).rename(tmp_path / name)
        (directory.root / name).symlink_to(tmp_path / name)
    use(directory)


def test_a_store_whose_directory_was_moved_is_the_same_store(directory: DirectoryObjects, tmp_path: Path) -> None:
    filled(directory)
    use(DirectoryObjects(directory.root.rename(tmp_path / "elsewhere")))


def test_a_plan_does_not_count_packs_whose_index_was_lost_as_garbage(directory: DirectoryObjects) -> None:
    storage = filled(directory)
    storage.reclaim()
    for info in list(directory.list("index/")):
        directory.delete(info.name)
    fresh = image_store(directory)
    assert fresh.reclaim(plan_only=True).bytes_freed == 0
    assert fresh.restore_index() > 0
    assert len(list(directory.list("index/"))) == 1
    assert fresh.verify("image")[0].items == ()


def test_an_image_that_listings_would_pass_over_is_never_published() -> None:
    storage = image_store(MemoryObjects())
    with pytest.raises(InvalidRequest, match=r"image\.bak"):
        add(storage, DATA, "image.bak")
    assert list(storage.objects.list("manifests/")) == []
