"""Booting an image from where it is kept: what was seen, the screen, and that the image stays as it was."""

from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import (
    AccessDenied,
    BootFailed,
    IllegalTransition,
    ImageNotFound,
    InvalidRequest,
    MissingProgram,
)
from catalog.records import BootCheckReport, Image, ImageStatus
from flows.requests import AddSystemImage, AddVolumeImage, BootCheck, SetSharingMode
from tests.services.images import converted, folder, tiny_disk
from tests.services.process import find

pytestmark = pytest.mark.prefect


@pytest.fixture(autouse=True)
def _built_images(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find("qemu-system-x86_64", "qemu-system-x86")
    monkeypatch.setenv("IMAGEWRIGHT_FILE_ROOTS", f"{tmp_path}:{folder()}")


def add(file: Path, image_format: str, **fields: object) -> Image:
    from flows import add_system_image

    request = {"name": "tiny", "image_format": image_format, "image_path": file.as_uri(), **fields}
    image = add_system_image(AddSystemImage.model_validate(request))
    assert isinstance(image, Image)
    return image


def boot(image_id: str, **fields: object) -> BootCheckReport:
    from flows import boot_check

    report = boot_check(BootCheck.model_validate({"image_id": image_id, **fields}))
    assert isinstance(report, BootCheckReport)
    return report


def test_a_vmdk_that_is_kept_as_qcow2_boots_and_its_screen_is_kept(home: Path, tmp_path: Path) -> None:
    image = add(converted(tiny_disk("bios"), "vmdk", "-o", "subformat=streamOptimized"), "vmdk")
    report = boot(image.id)
    assert report.booted, report.evidence
    assert (report.cpu_architecture, report.bios_mode) == ("x86_64", "Legacy")
    assert report.screenshot == str(home / "screenshots" / f"{image.id}.png")
    assert Path(report.screenshot).read_bytes().startswith(b"\x89PNG")
    assert not list((home / "scratch").iterdir())
    with open_catalog() as catalog:
        assert catalog.image(image.id) == image
        assert list(catalog.events(image.id))[-1].kind == "imagewright.image.boot_checked"


def test_what_does_not_boot_is_said_and_changes_nothing(home: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.raw"
    with empty.open("wb") as file:
        file.truncate(8 << 20)
    image = add(empty, "raw", platform="Other")
    report = boot(image.id, timeout_s=40)
    assert not report.booted
    assert report.evidence
    with open_catalog() as catalog:
        assert catalog.image(image.id) == image


def blank(tmp_path: Path) -> Path:
    """Return a disk that no firmware starts, though nothing contradicts that it might."""
    file = tmp_path / "blank.raw"
    with file.open("wb") as disk:
        disk.truncate(8 << 20)
    return file


def test_an_image_that_shall_boot_before_it_is_ready_does(home: Path, tmp_path: Path) -> None:
    image = add(converted(tiny_disk("bios"), "vmdk", "-o", "subformat=streamOptimized"), "vmdk", boot_check="boots")
    assert image.status is ImageStatus.READY
    with open_catalog() as catalog:
        kinds = [event.kind for event in catalog.events(image.id)]
    assert kinds.index("imagewright.image.boot_checked") < kinds.index("imagewright.image.ready")
    assert (home / "screenshots" / f"{image.id}.png").is_file()


def test_an_image_that_shall_boot_and_does_not_never_becomes_ready(home: Path, tmp_path: Path) -> None:
    with pytest.raises(BootFailed, match=r"did not boot in Legacy mode on x86_64: .*boot_check none"):
        add(blank(tmp_path), "raw", boot_check="boots")
    with open_catalog() as catalog:
        (image,) = catalog.images()
        assert image.status is ImageStatus.ERROR
        assert "did not boot" in (image.error or "")
        assert not tuple(catalog.replicas(image.id))
    assert not list((home / "scratch").iterdir())


def test_what_can_not_be_tried_here_is_said_before_anything_is_fetched(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequest, match=r"boot_check.*mips64el can't be tried here"):
        add(blank(tmp_path), "raw", boot_check="boots", cpu_architecture="mips64el")
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(MissingProgram, match="qemu-system-x86_64"):
        add(tmp_path / "never-looked-at.raw", "raw", boot_check="boots")


def test_an_image_that_does_not_boot_is_disabled_where_that_was_asked_for(home: Path, tmp_path: Path) -> None:
    from flows import set_sharing_mode

    image = add(blank(tmp_path), "raw")
    set_sharing_mode(SetSharingMode(image_id=image.id, mode="global"))
    with pytest.raises(AccessDenied):
        boot(image.id, account="stranger", disable_on_failure=True)
    assert not boot(image.id, timeout_s=40, disable_on_failure=True).booted
    with open_catalog() as catalog:
        assert catalog.image(image.id).state == "Disabled"


def test_only_whole_system_images_that_the_account_sees_are_booted(home: Path, tmp_path: Path) -> None:
    from flows import add_volume_image

    data = tmp_path / "data.raw"
    data.write_bytes(bytes(1 << 20))
    volume = add_volume_image(AddVolumeImage(name="data", image_format="raw", image_path=data.as_uri()))
    assert isinstance(volume, Image)
    with pytest.raises(InvalidRequest, match="a system image"):
        boot(volume.id)
    with pytest.raises(ImageNotFound):
        boot(volume.id, account="stranger")
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(change.image(volume.id).model_copy(update={"status": ImageStatus.ERROR}))
    with pytest.raises(IllegalTransition):
        boot(volume.id)
