"""Exports: one file however often it is asked for, proven, room first, nothing left of what failed."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import (
    AccessDenied,
    CapacityExceeded,
    DigestMismatch,
    IllegalTransition,
    ImageNotFound,
    InvalidRequest,
    StorageNotFound,
    StorageRefused,
)
from catalog.records import ExportedImage, Image, ImageFormat, ImageStatus
from tasks.images.delete_export import delete_export, plan_delete_export
from tasks.images.export import export, plan_export
from tests.flows.managed import MIB, opened, placed, register, stored_image
from tests.services.process import find

pytestmark = pytest.mark.usefixtures("home")


def exported(image: Image, image_format: ImageFormat | None = None, storage: str | None = None) -> ExportedImage:
    return export.fn(image.id, "admin", storage, image_format)


def files(home: Path) -> list[str]:
    return sorted(str(p.relative_to(home / "exports")) for p in (home / "exports").rglob("*") if p.is_file())


def raw_of(path: Path, image_format: str, folder: Path) -> bytes:
    target = folder / "guest.raw"
    subprocess.run(["qemu-img", "convert", "-f", image_format, "-O", "raw", path, target], check=True)
    return target.read_bytes()


@pytest.mark.parametrize("stored", ["raw", "qcow2"])
@pytest.mark.parametrize("wanted", ["raw", "qcow2", "vmdk"])
def test_every_format_has_the_guests_bytes_and_its_own_digests(
    tmp_path: Path, stored: ImageFormat, wanted: ImageFormat
) -> None:
    find("qemu-img", "qemu-utils")
    guest = os.urandom(MIB) + bytes(3 * MIB) + os.urandom(MIB)
    data = guest
    if stored == "qcow2":
        (tmp_path / "in.raw").write_bytes(guest)
        command = [
            "qemu-img",
            "convert",
            "-f",
            "raw",
            "-O",
            "qcow2",
            "-c",
            str(tmp_path / "in.raw"),
            str(tmp_path / "in.qcow2"),
        ]
        subprocess.run(command, check=True)
        data = (tmp_path / "in.qcow2").read_bytes()
    image = placed(data, format=stored, format_stored=stored, virtual_size_bytes=len(guest))
    made = exported(image, wanted)
    file = Path(made.path).read_bytes()
    assert (made.format, made.size_bytes) == (wanted, len(file))
    assert (made.md5, made.sha256) == (hashlib.md5(file).hexdigest(), hashlib.sha256(file).hexdigest())
    assert raw_of(Path(made.path), wanted, tmp_path) == guest
    assert exported(image, wanted) == made


def test_each_format_and_storage_is_exported_once_and_listed(home: Path, tmp_path: Path) -> None:
    register("second", tmp_path / "second")
    image = placed(storages=("default", "second"))
    made = [exported(image), exported(image, storage="second"), exported(image, "qcow2")]
    plain, other, converted = (Path(one.path).name for one in made)
    assert (plain, converted) == ("data-v1.raw", "data-v1.qcow2")
    assert re.fullmatch(r"data-v1-second-[0-9a-f]{8}\.raw", other)
    assert files(home) == sorted(f"{image.id}/{name}" for name in (plain, other, converted))
    with open_catalog() as catalog:
        assert {e.id for e in catalog.exports(image.id)} == {one.id for one in made}
        assert list(catalog.reservations()) == []


def test_a_file_that_is_gone_or_cut_is_made_again(home: Path) -> None:
    image = placed()
    first = exported(image)
    os.truncate(first.path, 5)
    second = exported(image)
    assert second.id != first.id
    assert hashlib.md5(Path(second.path).read_bytes()).hexdigest() == image.md5
    with open_catalog() as catalog:
        assert [e.id for e in catalog.exports(image.id)] == [second.id]


def rewritten(path: str) -> bytes:
    """Change a file behind our back: other bytes, the same size, and the times of before, as well as they can be set."""
    before = Path(path).stat()
    changed = os.urandom(before.st_size)
    with Path(path).open("r+b") as file:
        file.write(changed)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return changed


def test_a_file_that_was_changed_in_its_size_is_not_handed_out_but_made_again(home: Path) -> None:
    data = os.urandom(MIB)
    image = placed(data)
    first = exported(image)
    rewritten(first.path)
    second = exported(image)
    assert (second.id != first.id, second.sha256) == (True, first.sha256)
    assert Path(second.path).read_bytes() == data
    with open_catalog() as catalog:
        assert list(catalog.exports()) == [second]


def test_a_file_that_was_only_touched_is_read_again_once_and_kept() -> None:
    image = placed()
    first = exported(image)
    os.utime(first.path)
    assert "read again first" in plan_export.fn(image.id, "admin", None, None).summary
    again = exported(image)
    assert (again.id, again.proven != first.proven) == (first.id, True)
    assert exported(image) == again
    assert "read again" not in plan_export.fn(image.id, "admin", None, None).summary


def test_an_export_from_before_looks_were_kept_is_proven_by_reading_it() -> None:
    image = placed()
    old = exported(image).model_copy(update={"proven": None})
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_export(old)
    assert exported(image).id == old.id
    rewritten(old.path)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_export(old)
    assert exported(image).id != old.id


def test_what_a_name_holds_never_leads_out_of_the_folder_or_hides_the_file(home: Path) -> None:
    for name in (
        "../../evil",
        ".hidden",
        "a/b\\c",
        "x" * 128,
        "漢" * 128,
        "",
        "-rf",
        "-.x",
        'q"; $(id)\n',
        "\ud800",
    ):
        image = placed(name=name) if name != "\ud800" else placed()
        path = Path(exported(image).path)
        assert path.parent == home / "exports" / image.id
        assert re.fullmatch(r"[^./\\\"\n$;-][^/\\\"\n$;]*-v1\.raw", path.name), path.name
        assert len(path.name.encode()) < 200


def test_one_format_is_deleted_without_the_others(home: Path) -> None:
    image = placed()
    kept, gone = exported(image), exported(image, "qcow2")
    planned = plan_delete_export.fn(image.id, "admin", None, "qcow2")
    assert [action.subject for action in planned.actions] == [f"export:{gone.id}"]
    delete_export.fn(image.id, "admin", "default", "qcow2")
    with open_catalog() as catalog:
        assert list(catalog.exports()) == [kept]
    assert files(home) == [f"{image.id}/data-v1.raw"]
    delete_export.fn(image.id, "admin", None, "vmdk")
    assert files(home) == [f"{image.id}/data-v1.raw"]


EXPORT_TWICE = """
import os
import sys
from tasks.images.export import export

for _ in range(2):
    if not os.fork():
        print(export.fn(sys.argv[1], "admin", None, None).id, flush=True)
        os._exit(0)
sys.exit(any([os.wait()[1] for _ in range(2)]))
"""
"""A process that loads what exports need, and two forks of it that each make one at once."""


def test_exports_at_once_make_one_file(home: Path) -> None:
    image = placed(os.urandom(8 * MIB))
    said = subprocess.check_output([sys.executable, "-c", EXPORT_TWICE, image.id], text=True, timeout=120)
    first, second = said.split()
    assert first == second
    assert files(home) == [f"{image.id}/data-v1.raw"]


def test_a_damaged_replica_gives_no_file_but_another_one_does(home: Path, tmp_path: Path) -> None:
    register("second", tmp_path / "second")
    data = os.urandom(MIB)
    image = placed(data, storages=("default", "second"))
    for pack in (home / "imagestore" / "packs").rglob("*"):
        if pack.is_file():
            pack.write_bytes(pack.read_bytes()[:-1000] + bytes(1000))
    with pytest.raises(DigestMismatch):
        exported(image, storage="default")
    assert files(home) == []
    made = exported(image)
    assert made.image_storage == "second"
    assert Path(made.path).read_bytes() == data


def test_what_can_not_be_exported_says_why(home: Path) -> None:
    image = placed()
    iso = placed(format="iso", format_stored="iso", media="ISO", image_type="System")
    with pytest.raises(ImageNotFound):
        exported(image.model_copy(update={"id": "absent"}))
    with pytest.raises(StorageNotFound):
        exported(image, storage="absent")
    with pytest.raises(InvalidRequest, match="image_format: 'qcow2' is not allowed; iso"):
        exported(iso, "qcow2")
    with pytest.raises(InvalidRequest):
        exported(image, "iso")
    with pytest.raises(IllegalTransition, match="is Error"):
        exported(placed(status=ImageStatus.ERROR))
    assert not (home / "exports").exists()


def test_an_export_that_does_not_fit_beside_others_is_refused_before_a_byte(home: Path) -> None:
    image = placed()
    ticks = Path("/proc/1/stat").read_text().rsplit(")", 1)[1].split()[19]
    from storage.replicas.export import disk_of

    (home / "exports").mkdir()
    place = disk_of(home / "exports")
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.reserve_room(subject="export:other#x", place=place, size_bytes=1 << 50, available_bytes=1 << 51)
    with (
        open_catalog() as catalog,
        catalog.locked("export:other", holder=f"other@{os.uname().nodename}:1:{ticks}"),
        pytest.raises(CapacityExceeded, match=f"^the folder of exports {home}/exports has"),
    ):
        exported(image)
    assert files(home) == []
    assert exported(image).size_bytes == MIB


def test_what_a_killed_export_left_is_swept_by_the_next(home: Path) -> None:
    image = placed()
    folder = home / "exports" / image.id
    folder.mkdir(parents=True)
    (folder / ".default.raw.killed.part").write_bytes(b"half")
    exported(image)
    assert files(home) == [f"{image.id}/data-v1.raw"]


def test_deleting_exports_keeps_the_image_and_is_idempotent(home: Path) -> None:
    data = os.urandom(MIB)
    image = placed(data)
    made = exported(image)
    planned = plan_delete_export.fn(image.id, "admin", None)
    assert [action.reason for action in planned.actions] == [made.path]
    for _ in range(2):
        assert delete_export.fn(image.id, "admin", None) == image
    assert files(home) == []
    assert opened().open(image.id).read_at(0, MIB) == data
    with open_catalog() as catalog:
        assert list(catalog.exports()) == []


def test_a_folder_that_can_not_be_written_is_named_and_costs_nothing(home: Path) -> None:
    image = placed()
    (home / "exports").write_bytes(b"")
    with pytest.raises(StorageRefused, match=f"exports at {home / 'exports'}.* refuses: Not a directory"):
        exported(image)
    (home / "exports").unlink()
    assert exported(image).size_bytes == MIB


def test_a_storage_that_is_not_there_is_no_empty_list_of_exports(home: Path) -> None:
    image = placed()
    made = exported(image)
    for act in (delete_export, plan_delete_export):
        with pytest.raises(StorageNotFound, match="no image storage 'defualt'"):
            act.fn(image.id, "admin", "defualt")
    assert Path(made.path).exists()


def test_only_the_owner_deletes_exports_and_whoever_sees_the_image_may_export_it() -> None:
    image = placed(owner="bob", sharing_mode="specified", shared_accounts=("alice",))
    assert export.fn(image.id, "alice", None, None).image_id == image.id
    with pytest.raises(AccessDenied):
        delete_export.fn(image.id, "alice", None)
    with pytest.raises(ImageNotFound):
        export.fn(image.id, "eve", None, None)


def test_a_file_that_can_not_be_deleted_now_is_deferred(home: Path) -> None:
    image = placed()
    file = Path(exported(image).path)
    file.unlink()
    file.mkdir()  # nothing that unlink can remove
    delete_export.fn(image.id, "admin", None)
    with open_catalog() as catalog:
        (work,) = catalog.pending()
        assert (work.operation, work.location, list(catalog.exports())) == ("delete export", str(file), [])


def test_a_plan_of_an_export_writes_nothing(home: Path) -> None:
    image = placed(os.urandom(MIB) + bytes(8 * MIB))
    plan = plan_export.fn(image.id, "admin", None, None)
    assert plan.bytes_to_move == pytest.approx(MIB, abs=1 << 17)
    assert not (home / "exports").exists()
    exported(image)
    again = plan_export.fn(image.id, "admin", None, None)
    assert (again.bytes_to_move, again.bytes_already_there) == (0, 9 * MIB)
    assert stored_image(image.id) == image
