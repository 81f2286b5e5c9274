"""Compressed files kept as contents and recipe: their very bytes come back, or they are left as they are."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from catalog.errors import DigestMismatch, ImageBusy, ImageNotFound, InvalidRequest, StorageRefused
from catalog.units import utc_now
from storage.imagestore.format import manifest, parameters, recipe
from storage.imagestore.reading import manifests
from storage.imagestore.storage import ImageStore
from storage.imagestore.upkeep import recipes
from storage.protocols import ObjectStore
from storage.replicas.sync import ship
from tests.storage.imagestore.compacting import (
    LANDING,
    PARAMETERS,
    add_qcow2,
    compact,
    compressed,
    disk,
    header_of,
    opened,
    prove,
)
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import add, image, image_store, opener


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("files")
    made = {f"packed-{number}": compressed(disk(number), folder) for number in (1, 2)}
    return made | {"zstd": compressed(disk(1), folder, "-o", "compression_type=zstd"), "raw-2": disk(2)}


def filled(files: dict[str, bytes], objects: ObjectStore | None = None, *, wanted: bool = True) -> ImageStore:
    storage = image_store(objects or MemoryObjects(), PARAMETERS, recipes=wanted)
    for image_id, data in files.items():
        (add if image_id.startswith("raw") else add_qcow2)(storage, data, image_id)
    return storage


def test_a_compressed_file_beside_its_disk_takes_next_to_nothing(files: dict[str, bytes], tmp_path: Path) -> None:
    alone = filled({"raw-2": files["raw-2"]})
    compact(alone)
    some = {name: data for name, data in files.items() if name.endswith("2")}
    storage = filled(some)
    report = compact(storage)
    assert header_of(storage, "packed-2").recipe is not None
    assert report.items == ()
    assert stored(storage) < stored(alone) + 12_000 < len(files["packed-2"])
    prove(opened(storage.objects), some)
    storage.export("packed-2", tmp_path / "out", lambda _done, _all: None)
    assert (tmp_path / "out").read_bytes() == files["packed-2"]
    again = compact(storage)
    assert (again.images, again.bytes_read) == (0, 0)
    assert storage.landings is not None
    assert list(storage.landings()) == []


def test_what_qemu_left_uncompressed_is_shared_with_the_disk_as_well(tmp_path: Path) -> None:
    noise = random.Random(5).randbytes(3 * 65_536)
    whole = disk(1) + noise + disk(2)
    files = {"raw": whole, "packed": compressed(whole, tmp_path)}
    assert noise[65_536:131_072] in files["packed"]
    storage = filled(files)
    compact(storage)
    made = header_of(storage, "packed").recipe
    assert made is not None
    assert made.rest_bytes < 8 * 65_536  # header, tables and reference counts
    raw, packed = (storage.pieces(image_id).data_digests for image_id in ("raw", "packed"))
    assert len({*map(bytes, packed)} - {*map(bytes, raw)}) < 30
    prove(storage, files)


def stored(storage: ImageStore) -> int:
    return sum(info.size_bytes for info in storage.objects.list("packs/"))


def test_what_is_not_wanted_stays_as_it_is(files: dict[str, bytes]) -> None:
    storage = filled(files, wanted=False)
    compact(storage)
    assert all(header_of(storage, image_id).recipe is None for image_id in files)
    assert json.loads(storage.objects.get("store.json"))["version"] == 2


@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_any_part_of_a_file_is_read_on_every_object_store(kind: str, files: dict[str, bytes], tmp_path: Path) -> None:
    reopen = opener(kind, tmp_path)
    compact(filled({name: files[name] for name in ("packed-1", "packed-2")}, reopen()))
    data, reader = files["packed-1"], opened(reopen()).open("packed-1")
    chosen = random.Random(4)
    for size in (1, 512, 4096, 70_000):
        for at in [chosen.randrange(len(data)) for _ in range(20)]:
            assert reader.read_at(at, size) == data[at : at + size]
    assert list(reader.extents()) == [(0, len(data), False)]
    assert reader.read_at(len(data), 10) == b""


def test_zstd_comes_back_where_the_library_gives_the_same_bytes(files: dict[str, bytes]) -> None:
    storage = filled({"zstd": files["zstd"]})
    compact(storage)
    made = header_of(storage, "zstd").recipe
    tried = json.loads(storage.objects.get("compacted")[:-32]).get("tried", {})
    assert (made is None) == ("zstd" in tried)  # which it is depends on the version that qemu was built with
    assert made is None or made.codec == "zstd"
    prove(storage, {"zstd": files["zstd"]})


def test_bytes_that_do_not_come_back_are_left_and_not_tried_again(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a file that another program compressed."""
    monkeypatch.setitem(recipe.COMPRESS, "zlib", lambda cluster: b"other" + cluster)
    recipe.gives.cache_clear()
    storage = filled({"packed-1": files["packed-1"]})
    compact(storage)
    assert header_of(storage, "packed-1").recipe is None
    assert compact(storage).bytes_read == 0
    monkeypatch.undo()
    recipe.gives.cache_clear()
    monkeypatch.setattr(recipes, "here", lambda: "another version")
    compact(storage)
    assert header_of(storage, "packed-1").recipe is not None
    prove(storage, {"packed-1": files["packed-1"]})


def test_a_host_whose_library_gives_other_bytes_says_so_and_rewrites_nothing(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    storage = filled(files)
    compact(storage)
    before = {info.name: info.size_bytes for info in storage.objects.list("")}
    monkeypatch.setattr("storage.imagestore.format.recipe.gives", lambda _codec: "else")
    sentence = "its compressed parts were made by zlib .* makes other bytes of them"
    with pytest.raises(StorageRefused, match=sentence):
        storage.open("packed-1")
    with pytest.raises(StorageRefused, match=sentence):
        storage.export("packed-1", tmp_path / "out", lambda _done, _all: None)
    (told,) = [one for one in storage.ailments() if one.subject == "recipes"]
    assert "zlib" in told.damage
    report = opened(storage.objects, recipes=False).compact(utc_now(), LANDING)
    assert {item.outcome for item in report.items} == {"kept"}
    assert "makes other bytes" in report.items[0].reason
    assert {info.name: info.size_bytes for info in storage.objects.list("")} == before
    assert storage.verify("packed-1")[0].items == ()  # its pieces are proven all the same


def test_a_storage_that_wants_them_no_longer_puts_images_back(files: dict[str, bytes]) -> None:
    storage = filled(files)
    compact(storage)
    back = opened(storage.objects, recipes=False)
    compact(back)
    assert header_of(back, "packed-1").recipe is None
    prove(back, files)
    assert back.objects.get(manifests.name_of("packed-1"), 4, 8) == b"\1\0\0\0"


def test_older_programs_refuse_with_a_sentence(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    storage = filled({"packed-1": files["packed-1"]})
    compact(storage)
    data = storage.objects.get(manifests.name_of("packed-1"))
    monkeypatch.setattr(parameters, "VERSION", 2)
    monkeypatch.setattr(manifest, "VERSION", 1)
    with pytest.raises(StorageRefused, match="format version 3; this program reads 1 to 2"):
        opened(storage.objects)
    with pytest.raises(StorageRefused, match="manifest version 2; this program reads 1"):
        manifest.decode("there", data)


def test_readers_and_exports_go_on_while_an_image_is_turned(files: dict[str, bytes], tmp_path: Path) -> None:
    storage = filled({"packed-1": files["packed-1"]})
    before = opened(storage.objects).open("packed-1")
    compact(storage)
    storage.reclaim()
    assert before.read_at(1000, 100_000) == files["packed-1"][1000:101_000]
    turned = opened(storage.objects).open("packed-1")
    compact(opened(storage.objects, recipes=False))
    storage.reclaim()
    assert turned.read_at(0, 1 << 30) == files["packed-1"]


def test_an_image_that_is_deleted_or_busy_meanwhile_is_left_alone(files: dict[str, bytes]) -> None:
    storage = filled({"packed-1": files["packed-1"], "packed-2": files["packed-2"]})

    @contextmanager
    def busy(image_id: str) -> Iterator[None]:
        if image_id == "packed-2":
            raise ImageBusy(image_id, "somebody")
        storage.delete(image_id)
        yield

    report = storage.compact(utc_now(), LANDING, holding=busy)
    assert {item.subject for item in report.items} == {"packed-1", "packed-2"}
    assert not storage.contains("packed-1")
    assert header_of(storage, "packed-2").recipe is None
    prove(storage, {"packed-2": files["packed-2"]})
    assert list(storage.landings()) == []


def test_damage_of_a_piece_is_damage_of_the_replica(files: dict[str, bytes]) -> None:
    storage = filled({"packed-1": files["packed-1"]})
    compact(storage)
    name = max(storage.objects.list("packs/"), key=lambda info: info.size_bytes).name
    data = storage.objects.get(name)
    storage.objects.put(name, data[:5000] + bytes(byte ^ 255 for byte in data[5000:5100]) + data[5100:])
    with pytest.raises(DigestMismatch, match="packed-1"):
        opened(storage.objects).verify("packed-1")


@pytest.mark.parametrize("wanted", [True, False])
def test_images_travel_in_the_form_that_the_target_wants(files: dict[str, bytes], wanted: bool) -> None:
    source = filled({"packed-1": files["packed-1"]})
    compact(source)
    target = image_store(MemoryObjects(), PARAMETERS, recipes=wanted)
    asked = image("packed-1").model_copy(update={"format": "qcow2", "format_stored": "qcow2"})
    (shipped,) = ship(source, target, [asked], "delivery")
    assert shipped.error is None
    assert shipped.replica is not None
    assert (header_of(target, "packed-1").recipe is not None) == wanted
    assert json.loads(target.objects.get("store.json"))["version"] == (3 if wanted else 1)
    prove(target, {"packed-1": files["packed-1"]})
    assert list(target.landings()) == []
    with pytest.raises(ImageNotFound):
        target.open("elsewhere")


def test_the_byte_of_a_file_is_found_in_its_pieces(files: dict[str, bytes]) -> None:
    storage = filled({"packed-1": files["packed-1"]})
    compact(storage)
    chips = set[bytes]()
    for at in range(0, len(files["packed-1"]), 20_000):
        with suppress(InvalidRequest):  # the tables of the file end in zeros
            chips.add(storage.chip_holding("packed-1", at))
    assert len(chips) > 3
    assert chips <= {digest.tobytes() for digest in storage.pieces("packed-1").digests}
