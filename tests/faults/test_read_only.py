"""A store that can only be read is read in full; what would change it says so in one sentence and changes nothing."""

import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.errors import StorageRefused
from catalog.settings import Settings
from storage.imagestore.format.pack import object_name
from storage.imagestore.storage import ImageStore
from storage.protocols import Digests
from storage.registry import open_image_storage
from storage.transfer.digests import Digester
from tests.services.small_disk import small_disk
from tests.storage.stores import add, image, land, record

DATA = random.Random(1).randbytes(400_000)
OTHER = random.Random(2).randbytes(300_000)


def opened(root: Path) -> ImageStore:
    storage = open_image_storage(record(f"file://{root}/store"), settings=Settings())
    assert isinstance(storage, ImageStore)
    return storage


def remount(root: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(root)], check=True)


def digests_of(data: bytes) -> Digests:
    digester = Digester()
    digester.feed(memoryview(data))
    return digester.result()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A mounted file system, read-only, with a store in which there is something to do for everybody."""
    with small_disk(tmp_path / "disk", 48 << 20) as disk:
        storage = opened(disk.root)
        add(storage, DATA, "image")
        add(storage, OTHER, "gone")
        storage.delete("gone")
        land(storage, "landing", OTHER[7:])
        (disk.root / "store" / "aside").mkdir(exist_ok=True)
        (disk.root / "store" / "aside" / "dead").write_bytes(b"junk")
        remount(disk.root, "ro")
        yield disk.root


def ignore(_done: int, _total: int | None) -> None:
    pass


def test_it_is_read_in_full(root: Path, tmp_path: Path) -> None:
    storage = opened(root)
    assert [stored.image.id for stored in storage.images()] == ["image"]
    assert storage.open("image").read_at(0, len(DATA)) == DATA
    storage.export("image", tmp_path / "out.raw", ignore)
    assert (tmp_path / "out.raw").read_bytes() == DATA
    assert storage.verify("image")[0].items == ()
    assert storage.reclaim(frozenset(), plan_only=True).bytes_freed > 0


CHANGES: dict[str, Callable[[ImageStore], object]] = {
    "check": lambda storage: storage.check(),
    "add": lambda storage: add(storage, OTHER[9:], "more"),
    "publish": lambda storage: storage.publish("landing", image("more"), digests_of(OTHER[7:])),
    "delete": lambda storage: storage.delete("image"),
    "reclaim": lambda storage: storage.reclaim(frozenset()),
    "repair": lambda storage: storage.repair_object("image", 0, DATA[: int(storage.pieces("image").lengths[0])]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_would_change_it_says_so_and_changes_nothing(root: Path, change: Callable[[ImageStore], object]) -> None:
    before = {path: path.stat().st_size for path in root.rglob("*")}
    storage = opened(root)
    with pytest.raises(StorageRefused, match=r"^image storage 'file://.*/store' refuses: Read-only file system"):
        change(storage)
    assert {path: path.stat().st_size for path in root.rglob("*")} == before


def test_damage_is_named_though_it_can_not_be_noted(root: Path) -> None:
    storage = opened(root)
    place = storage.chips.load_view().locate(storage.pieces("image").digests[:1])
    remount(root, "rw")
    with (root / "store" / object_name(place.packs[place.pack[0]].tobytes())).open("r+b") as file:
        file.seek(int(place.offset[0]) + 100)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    remount(root, "ro")
    assert [item.subject for item in opened(root).verify("image")[0].items] == ["image@0"]


def test_an_export_into_a_folder_that_can_not_be_written_names_the_folder(root: Path) -> None:
    with pytest.raises(StorageRefused, match=rf"^folder {root} refuses: Read-only file system$"):
        opened(root).export("image", root / "out.raw", ignore)
