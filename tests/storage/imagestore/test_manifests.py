"""Many manifests are read at once, in order; one that can't be read hides no other."""

from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from catalog.errors import DigestMismatch, ImageNotFound, StorageRefused
from catalog.records import Replica
from storage.imagestore.format import finished, manifest
from storage.imagestore.format.manifest import ENTRY, ManifestHeader, Pieces
from storage.imagestore.format.seal import sealed
from storage.imagestore.reading import manifests
from storage.imagestore.reading.pins import read_pins
from storage.protocols import Digests, ObjectStore
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import NOW, add, image, image_store, land, opener

COUNT = 100
IDS = [f"image-{number:03d}" for number in range(COUNT)]
NOTHING = Digests(size_bytes=0, md5="0" * 32, sha256="0" * 64)
DATA = bytes(range(256)) * 400


def described(objects: ObjectStore, image_id: str, name: str | None = None) -> None:
    """Put a manifest of one chip, whose digest is the image's number."""
    entries = np.zeros(1, dtype=ENTRY)
    entries["length"], entries["digest"] = 4096, int(image_id[-3:]) + 1
    replica = Replica(
        image_id=image_id, image_storage="images", status="Ready", format="raw", location="x", created_at=NOW
    )
    header = ManifestHeader(image=image(image_id), replica=replica, digests=NOTHING, chips=1)
    objects.put(manifests.name_of(name or image_id), manifest.encode(header, entries))


@pytest.fixture(params=["memory", "directory", "faulty", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    found = opener(request.param, tmp_path)()
    for image_id in IDS:
        described(found, image_id)
    return found


def test_all_are_listed_in_order(objects: ObjectStore) -> None:
    assert [stored.image.id for stored in image_store(objects).images()] == IDS
    assert len(read_pins(objects).keys) == COUNT


def test_a_damaged_one_ends_a_listing_in_its_place_and_is_named_by_a_reclaim(objects: ObjectStore) -> None:
    objects.put(manifests.name_of(IDS[50]), b"IWMF and junk")
    storage = image_store(objects)
    listed: list[str] = []
    with pytest.raises(DigestMismatch, match=IDS[50]):
        listed.extend(stored.image.id for stored in storage.images())
    assert IDS[50] in storage.reclaim(plan_only=True).items[0].reason
    found = dict(storage.described_images())
    assert list(found) == IDS
    assert [image_id for image_id in IDS if isinstance(found[image_id], DigestMismatch)] == [IDS[50]]


def test_one_that_is_withdrawn_while_they_are_listed_is_left_out() -> None:
    class Withdrawing(MemoryObjects):
        def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
            if name == manifests.name_of(IDS[10]):
                self.delete(name)
            return super().get(name, start, end)

    objects = Withdrawing()
    for image_id in IDS:
        described(objects, image_id)
    assert [stored.image.id for stored in image_store(objects).images()] == [*IDS[:10], *IDS[11:]]


def test_a_remote_store_is_asked_for_several_at_once() -> None:
    together = Barrier(manifests.WORKERS, timeout=10)

    class Remote(MemoryObjects):
        def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
            if name.startswith(manifests.FOLDER):
                together.wait()
            return super().get(name, start, end)

    objects = Remote()
    for image_id in IDS[: 2 * manifests.WORKERS]:
        described(objects, image_id)
    assert len(list(image_store(objects).images())) == 2 * manifests.WORKERS


@pytest.mark.parametrize("written", ["{}", None], ids=["words that are not known", "cut short"])
def test_one_that_only_another_program_can_read_hides_no_other(written: str | None) -> None:
    objects = MemoryObjects()
    for image_id in IDS[:3]:
        described(objects, image_id)
    name = manifests.name_of(IDS[1])
    text = (written or "").encode()
    whole = manifest.HEAD.pack(manifest.MAGIC, manifest.VERSION, len(text)) + text + manifest.COUNT.pack(0)
    cut = objects.get(name)[: -32 - ENTRY.itemsize - manifest.COUNT.size]
    objects.put(name, sealed(whole if written else cut))
    storage = image_store(objects)
    with pytest.raises(StorageRefused, match=rf"{name}' refuses: a manifest that this program can't read"):
        storage.open(IDS[1])
    found = dict(storage.described_images())
    assert [isinstance(found[image_id], StorageRefused) for image_id in IDS[:3]] == [False, True, False]


def test_some_are_read_in_the_order_asked_for(objects: ObjectStore) -> None:
    def chips(_: ManifestHeader, pieces: Pieces) -> int:
        return int(pieces.digests[0, 0])

    found = list(manifests.read_some(objects, [IDS[7], "nowhere", IDS[3]], chips))
    assert (found[0], found[2]) == (8, 4)
    assert isinstance(found[1], ImageNotFound)


def test_a_copy_under_another_name_is_named_refused_and_listed_once(objects: ObjectStore) -> None:
    described(objects, IDS[0], name="copy")
    storage = image_store(objects)
    assert [stored.image.id for stored in storage.images()] == IDS
    with pytest.raises(
        DigestMismatch, match=rf"manifests/copy is not what was stored: .*image copy, read that of image {IDS[0]}"
    ):
        storage.open("copy")
    unreadable = [i for i, found in storage.described_images() if isinstance(found, DigestMismatch)]
    assert unreadable == ["copy"]


def test_the_chips_of_a_manifest_that_was_renamed_stay_until_it_is_named_again(tmp_path: Path) -> None:
    objects = opener("directory", tmp_path)()
    storage = image_store(objects)
    add(storage, DATA, "image")
    (tmp_path / "store/manifests/image").rename(tmp_path / "store/manifests/image-old")
    storage.reclaim(frozenset())
    with pytest.raises(ImageNotFound):
        storage.open("image")
    (tmp_path / "store/manifests/image-old").rename(tmp_path / "store/manifests/image")
    assert storage.open("image").read_at(0, len(DATA)) == DATA


def test_a_finished_landing_of_another_version_is_refused_in_one_sentence() -> None:
    objects = MemoryObjects()
    storage = image_store(objects)
    land(storage, "landing", DATA)
    name = finished.name_of("landing")
    body = bytearray(objects.get(name)[:-32])
    body[4] = 9
    objects.put(name, sealed(bytes(body)))
    for use in (lambda: storage.publish("landing", image(), NOTHING), storage.reclaim):
        with pytest.raises(StorageRefused, match=r"landings/landing/finished.*version 9; this program reads 1"):
            use()
