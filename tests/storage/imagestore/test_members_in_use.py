"""Images with packed members in use: read, exported, synced, by hosts with and without the program, and damaged."""

import json
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import (
    CapacityExceeded,
    DigestMismatch,
    ImageBusy,
    ImageNotFound,
    MissingProgram,
    ProgramFailed,
    StorageRefused,
)
from catalog.units import utc_now
from storage.imagestore.format import manifest, parameters
from storage.imagestore.format.members import deflating
from storage.imagestore.format.members import table as members
from storage.imagestore.format.members.deflating import DEFLATES, deflated
from storage.imagestore.reading import manifests
from storage.replicas.sync import ship
from tests.storage.imagestore.compacting import (
    LANDING,
    PARAMETERS,
    compact,
    compressed,
    header_of,
    opened,
    prove,
)
from tests.storage.imagestore.membered import boot_store, filled, table_of
from tests.storage.imagestore.packing import boot_disk, member, stored, text
from tests.storage.memory_objects import MemoryObjects
from tests.storage.stores import image, image_store, opener

pytestmark = pytest.mark.usefixtures("small_members")


def test_how_contents_reach_the_program_changes_nothing() -> None:
    contents = text(9, 700_000) + bytes(200_000) + random.Random(9).randbytes(300_000)

    def slowly() -> Iterator[bytes]:
        for at in range(0, len(contents), 7777):
            yield contents[at : at + 7777]
            if at % 3 == 0:
                sleep(0.001)

    for name in DEFLATES[3:]:
        assert b"".join(deflated(name, slowly())) == b"".join(deflated(name, [contents]))


def test_what_goes_wrong_with_contents_is_raised_where_the_result_is_taken() -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(1000)
        raise DigestMismatch("there", "this", "that")

    for name in DEFLATES:
        with pytest.raises(DigestMismatch):
            list(deflated(name, broken()))


def test_a_host_that_deflates_otherwise_says_so_and_rewrites_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    storage = filled({"1": boot_disk(1)})
    compact(storage)
    before = {info.name: info.size_bytes for info in storage.objects.list("")}
    monkeypatch.setattr(members, "deflate_gives", lambda _codec: "else")
    sentence = "its packed members were made by gzip .* makes other bytes of them"
    with pytest.raises(StorageRefused, match=sentence):
        storage.open("1")
    with pytest.raises(StorageRefused, match=sentence):
        storage.export("1", tmp_path / "out", lambda _done, _all: None)
    (told,) = [one for one in storage.ailments() if one.subject == "recipes"]
    assert "gzip" in told.damage
    report = opened(storage.objects, recipes=False).compact(utc_now(), LANDING)
    assert {item.outcome for item in report.items} == {"kept"}
    assert {info.name: info.size_bytes for info in storage.objects.list("")} == before
    assert storage.verify("1")[0].items == ()  # its pieces are proven all the same


def test_a_host_without_the_program_keeps_members_as_they_are_and_reads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    made = filled({"1": boot_disk(1)})
    compact(made)
    monkeypatch.setattr(deflating, "PLACES", "/nowhere")
    with pytest.raises(StorageRefused, match=r"made by gzip .*, and gzip is not installed here"):
        made.open("1")
    with pytest.raises(MissingProgram):
        list(deflated("gzip-6", [b"some"]))
    storage = filled({"1": boot_disk(1)})
    compact(storage)
    assert header_of(storage, "1").members is None
    monkeypatch.undo()
    monkeypatch.setattr("storage.imagestore.upkeep.members.search.LEAST_BYTES", 2048)
    monkeypatch.setattr("storage.imagestore.upkeep.members.taking.WORTH_BYTES", 2048)
    compact(storage)  # with another set of codecs it is tried again
    assert header_of(storage, "1").members is not None


def test_a_program_that_fails_damages_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = filled({"1": boot_disk(1)})
    compact(made)
    reader = made.open("1")
    program = tmp_path / "gzip"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(deflating, "PLACES", str(tmp_path))
    with pytest.raises(ProgramFailed, match="exit code 3"):
        reader.read_at(0, 1 << 30)
    with pytest.raises(StorageRefused, match="makes other bytes"):
        made.open("1")
    storage = filled({"1": boot_disk(1)})
    assert compact(storage).items == ()
    assert header_of(storage, "1").verbatim
    program.write_text("no program")
    with pytest.raises(ProgramFailed, match="can't be started"):
        list(deflated("gzip-6", [b"some"]))


def test_a_folder_without_room_is_named() -> None:
    storage = filled({"1": boot_disk(1)})
    compact(storage)
    reader = storage.open("1")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(CapacityExceeded, match="make room there"):
            reader.read_at(0, 1 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert reader.read_at(0, 1 << 30) == boot_disk(1)


def test_bytes_that_a_codec_gives_otherwise_all_of_a_sudden_are_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = filled({"1": boot_disk(1)})
    compact(storage)
    monkeypatch.setitem(deflating.DEFLATE, "gzip-6", lambda _level, contents: (bytes(block) for block in contents))
    with pytest.raises(DigestMismatch):
        opened(storage.objects).open("1").read_at(0, 1 << 30)


def test_a_storage_that_wants_them_no_longer_puts_images_back(tmp_path: Path) -> None:
    files = {"1": boot_disk(1), "qcow2": compressed(boot_disk(2), tmp_path)}
    storage = filled(files)
    compact(storage)
    assert None not in header_of(storage, "qcow2").form
    prove(opened(storage.objects), files)
    back = opened(storage.objects, recipes=False)
    compact(back)
    assert all(header_of(back, image_id).verbatim for image_id in files)
    prove(back, files)
    assert back.objects.get(manifests.name_of("1"), 4, 8) == b"\1\0\0\0"
    compact(storage)
    assert None not in header_of(storage, "qcow2").form
    prove(opened(storage.objects), files)


def test_the_disk_in_a_compressed_file_shares_its_members_with_the_plain_one(tmp_path: Path) -> None:
    files = {"1": boot_disk(1), "qcow2": compressed(boot_disk(1), tmp_path)}
    alone = filled({"1": files["1"]})
    compact(alone)
    storage = filled(files)
    compact(storage)
    assert stored(storage) < stored(alone) + 16_000
    prove(opened(storage.objects), files)


@pytest.mark.parametrize("codec", ["gzip-6", "zlib-9"])
def test_a_gzipped_disk_shares_the_chips_of_the_disk(codec: str) -> None:
    whole = bytes(70_000) + text(1, 300_000) + bytes(200_000) + text(2, 900_000)
    files = {"1": whole, "2": member(whole, codec)}
    alone = filled({"1": whole})
    compact(alone)
    storage = filled(files)
    compact(storage)
    assert len(files["2"]) > 200_000
    assert stored(storage) < stored(alone) + 16_000
    prove(opened(storage.objects), files)


def test_older_programs_refuse_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = filled({"1": boot_disk(1)})
    compact(storage)
    data = storage.objects.get(manifests.name_of("1"))
    monkeypatch.setattr(parameters, "VERSION", 3)
    monkeypatch.setattr(manifest, "VERSION", 2)
    with pytest.raises(StorageRefused, match="format version 4; this program reads 1 to 3"):
        opened(storage.objects)
    with pytest.raises(StorageRefused, match="manifest version 3; this program reads 1 to 2"):
        manifest.decode("there", data)


def test_readers_and_exports_go_on_while_an_image_is_turned() -> None:
    data = boot_disk(1)
    storage = filled({"1": data})
    before = opened(storage.objects).open("1")
    compact(storage)
    storage.reclaim()
    assert before.read_at(1000, 300_000) == data[1000:301_000]
    turned = opened(storage.objects).open("1")
    compact(opened(storage.objects, recipes=False))
    storage.reclaim()
    assert turned.read_at(0, 1 << 30) == data


def test_an_image_that_is_deleted_or_busy_meanwhile_is_left_alone() -> None:
    storage = filled({"1": boot_disk(1), "2": boot_disk(2)})

    @contextmanager
    def busy(image_id: str) -> Iterator[None]:
        if image_id == "2":
            raise ImageBusy(image_id, "somebody")
        storage.delete(image_id)
        yield

    report = storage.compact(utc_now(), LANDING, holding=busy)
    assert {item.subject for item in report.items} == {"1", "2"}
    assert not storage.contains("1")
    assert header_of(storage, "2").verbatim
    prove(storage, {"2": boot_disk(2)})
    assert list(storage.landings()) == []


@pytest.mark.parametrize("wanted", [True, False])
def test_images_travel_in_the_form_that_the_target_wants(wanted: bool) -> None:
    source = filled({"1": boot_disk(1)})
    compact(source)
    target = image_store(MemoryObjects(), PARAMETERS, recipes=wanted)
    (shipped,) = ship(source, target, [image("1")], "delivery")
    assert shipped.error is None
    assert (header_of(target, "1").members is not None) == wanted
    assert json.loads(target.objects.get("store.json"))["version"] == (4 if wanted else 1)
    prove(target, {"1": boot_disk(1)})
    with pytest.raises(ImageNotFound):
        target.open("elsewhere")


@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_any_part_of_a_file_is_read_on_every_object_store(kind: str, tmp_path: Path) -> None:
    reopen, data = opener(kind, tmp_path), boot_disk(1)
    compact(filled({"1": data}, reopen()))
    reader, chosen = opened(reopen()).open("1"), random.Random(4)
    for size in (1, 512, 4096, 70_000):
        for at in [chosen.randrange(len(data)) for _ in range(20)]:
            assert reader.read_at(at, size) == data[at : at + size]
    assert reader.read_at(len(data), 10) == b""


def test_damage_of_a_piece_is_damage_of_the_replica() -> None:
    storage = filled({"1": boot_disk(1)})
    compact(storage)
    name = max(storage.objects.list("packs/"), key=lambda info: info.size_bytes).name
    data = storage.objects.get(name)
    storage.objects.put(name, data[:5000] + bytes(byte ^ 255 for byte in data[5000:5100]) + data[5100:])
    with pytest.raises(DigestMismatch, match="image 1"):
        opened(storage.objects).verify("1")


def test_the_byte_of_a_member_is_found_in_the_pieces() -> None:
    storage = filled({"1": boot_disk(1)})
    compact(storage)
    table = table_of(storage)
    assert table is not None
    inside = storage.chip_holding("1", int(table.starts[0]) + 5)
    assert inside in {digest.tobytes() for digest in storage.pieces("1").digests}
    assert storage.chip_holding("1", 8192) == storage.chip_holding("1", 8193)


@given(data=st.binary(max_size=200), at=st.integers(0, 400))
@settings(max_examples=200, deadline=None)
def test_no_table_makes_another_file(data: bytes, at: int) -> None:
    """Whatever the table's bytes are, they are refused or make a file of the size that the recipe says."""
    storage = boot_store()
    header, pieces = manifests.read(storage.objects, "1")
    assert header.members is not None
    table = table_of(storage)
    assert table is not None
    whole = table.encode()
    broken = (whole[:at] + data + whole[at + len(data) :])[: len(whole)]
    try:
        read = members.decode_members(broken, header.members, pieces.size_bytes, "there")
    except DigestMismatch:
        return
    assert (read.ends <= header.members.size_bytes).all()
    assert read.places[-1] == table.places[-1]
