"""Every file of a guest's system is listed as the folder says that the disk was made from; knots and damage end."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.boot.file_tree import file_tree
from storage.boot.probe import walking
from storage.boot.probe.walking import Cut, Listed, walk
from storage.boot.probing import Bounds
from storage.local_files import LocalReader
from tests.services.guest_images import _filled, linux_tree
from tests.services.images import hybrid_iso, need
from tests.storage.formats.readers import Memory

MANY = 700


def disk(folder: Path, filesystem: str) -> tuple[Path, Path]:
    """Return a disk and the folder with what is on it: names of many kinds, one file by two names, a folder with many."""
    need(f"mkfs.{filesystem}")
    root = linux_tree(folder / "tree")
    for number in range(MANY):
        place = root / f"srv/many/{number}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(bytes(number))
    if filesystem != "xfs":  # its prototype has no second names, and no spaces in names
        (root / "srv/Ä ö.txt").write_text("x" * 11)
        (root / "srv/second name").hardlink_to(root / "srv/many/699")
    return _filled(folder / "disk.raw", root, filesystem, 320 if filesystem == "xfs" else 64), root


def on_disk(root: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for place in root.rglob("*"):
        if place.is_file() and not place.is_symlink():
            about = place.lstat()
            found[f"/{place.relative_to(root)}"] = (about.st_size, int(about.st_mtime))
    return found


@pytest.mark.parametrize("filesystem", ["ext4", "ext2"])
def test_files_have_the_sizes_and_times_of_the_folder(tmp_path: Path, filesystem: str) -> None:
    made, root = disk(tmp_path, filesystem)
    with LocalReader(made) as reader:
        found = file_tree(reader, "raw")
    expected = on_disk(root)
    twice = {"/srv/second name", "/srv/many/699"}
    assert len(found.files.keys() & twice) == 1, "a file with two names is one"
    assert {**dict.fromkeys(twice, expected["/srv/many/699"]), **found.files} == expected
    assert found.unread == ()


def test_files_of_xfs(tmp_path: Path) -> None:
    made, root = disk(tmp_path, "xfs")
    with LocalReader(made) as reader:
        found = file_tree(reader, "raw")
    sizes = {path: size for path, (size, _) in found.files.items()}
    assert sizes == {path: size for path, (size, _) in on_disk(root).items()}
    assert found.unread == ()


def test_files_of_a_medium() -> None:
    with LocalReader(hybrid_iso()) as reader:
        found = file_tree(reader, "iso")
    assert found.unread == ()
    assert any(path.lower().endswith(".efi") or "efi" in path.lower() for path in found.files), found.files


def test_a_disk_without_a_system_has_none_and_one_that_is_cut_says_so(tmp_path: Path) -> None:
    assert file_tree(Memory(bytes(1 << 20)), "raw").files == {}
    made, _ = disk(tmp_path, "ext4")
    with LocalReader(made) as reader:
        found = file_tree(reader, "raw", Bounds(timeout_s=60, most_read=300 << 10))
    assert len(found.unread) == 1
    assert len(found.files) < MANY


def test_damaged_disks_are_listed_as_far_as_they_go(tmp_path: Path) -> None:
    made, _ = disk(tmp_path, "ext4")
    whole, chance = made.read_bytes(), random.Random(7)
    for _ in range(4):
        data = bytearray(whole)
        for _ in range(2000):
            data[chance.randrange(2048, 3 << 20)] = chance.randrange(256)
        found = file_tree(Memory(bytes(data)), "raw")
        assert all(path.startswith("/") and size >= 0 for path, (size, _) in found.files.items())


class Knotted:
    """A folder that holds itself by many names, and files without end."""

    def __init__(self, *, files: bool) -> None:
        self.files = files

    def listed(self, at: object) -> Iterator[Listed]:
        depth = at if isinstance(at, int) else 0
        yield Listed("..", is_folder=True, is_file=False, size_bytes=0, changed=0, number=0, at=0)
        yield Listed("a/b", is_folder=False, is_file=True, size_bytes=1, changed=0, number=-1, at=None)
        yield Listed("self", is_folder=True, is_file=False, size_bytes=0, changed=0, number=1, at=1)
        if not self.files:
            yield Listed(
                "deeper", is_folder=True, is_file=False, size_bytes=0, changed=0, number=depth + 2, at=depth + 1
            )
        for number in range(10**9 if self.files else 0):
            yield Listed(f"{number}", is_folder=False, is_file=True, size_bytes=1, changed=0, number=number, at=None)


def test_knots_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MOST_FILES", 500)
    with pytest.raises(Cut):
        list(walk(Knotted(files=True)))
    with pytest.raises(Cut):
        list(walk(Knotted(files=False)))


def test_a_folder_that_can_not_be_read_hides_no_other() -> None:
    class Damaged:
        def listed(self, at: object) -> Iterator[Listed]:
            if at == "damaged":
                raise OSError("damaged")
            if at == "sound":
                yield Listed("file", is_folder=False, is_file=True, size_bytes=5, changed=6, number=3, at=None)
            for number, name in enumerate(("damaged", "sound") if at is None else ()):
                yield Listed(name, is_folder=True, is_file=False, size_bytes=0, changed=0, number=number, at=name)

    assert list(walk(Damaged())) == [("/sound/file", 5, 6)]
