"""Adding system images whose bytes say how they boot: what is refused says what was declared, what is there, what to choose."""

from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import QualityFailed
from catalog.records import Image, ImageStatus
from flows.requests import AddSystemImage
from tests.flows.conftest import Site
from tests.storage.boot_disks import (
    AARCH64,
    BIOS_BOOT,
    ESP,
    GRUB,
    X86_64,
    fat,
    gpt_disk,
    mbr_disk,
    windows_part,
)

pytestmark = pytest.mark.prefect


def add(site: Site, disk: bytes, **fields: object) -> Image:
    from flows import add_system_image

    request = {"name": "boots", "image_format": "raw", "image_path": site.put("disk.raw", disk), **fields}
    image = add_system_image(AddSystemImage.model_validate(request))
    assert isinstance(image, Image)
    return image


@pytest.mark.parametrize(
    ("files", "fields", "said"),
    [
        (
            {"EFI/BOOT/BOOTX64.EFI": X86_64},
            {},
            r"Legacy on x86_64.*loader for x86_64 \(EFI/BOOT/BOOTX64.EFI, .*; choose bios_mode UEFI.*\[boot\.mode v1, byte 1048576\]",
        ),
        (
            {"EFI/BOOT/BOOTAA64.EFI": AARCH64},
            {"bios_mode": "UEFI"},
            r"declared UEFI on x86_64.*loader for aarch64.*choose cpu_architecture aarch64 .*\[boot\.architecture v1",
        ),
    ],
)
def test_an_image_that_boots_otherwise_is_refused_with_what_to_choose(
    home: Path, site: Site, tmp_path: Path, files: dict[str, bytes], fields: dict[str, object], said: str
) -> None:
    with pytest.raises(QualityFailed, match=said) as caught:
        add(site, gpt_disk((ESP, fat(tmp_path, files))), **fields)
    assert "unexpected" not in str(caught.value)
    with open_catalog() as catalog:
        (image,) = catalog.images()
        assert image.status is ImageStatus.ERROR
        assert image.error == str(caught.value)


def test_a_windows_without_virtio_is_refused_and_one_with_its_disk_driver_is_not(
    home: Path, site: Site, tmp_path: Path
) -> None:
    fields = {"platform": "Windows"}
    with pytest.raises(
        QualityFailed, match=r"virtio: declared, but Windows .*choose virtio off.*\[boot\.virtio-disk v1"
    ):
        add(site, mbr_disk(windows_part(tmp_path)), **fields)
    image = add(site, mbr_disk(windows_part(tmp_path, "viostor.sys")), **fields)
    assert image.status is ImageStatus.READY
    assert any("no virtio network driver" in warning for warning in image.warnings)
    assert image.quality is not None
    assert {"boot.mode", "boot.architecture", "boot.virtio-disk", "safety"} <= {c.name for c in image.quality.checks}


@pytest.mark.parametrize("grub", [True, False], ids=["beside a BIOS loader", "alone"])
def test_an_image_with_a_vendors_loader_only_is_ready_with_a_warning(
    home: Path, site: Site, tmp_path: Path, grub: bool
) -> None:
    esp = (ESP, fat(tmp_path, {"EFI/debian/grubx64.efi": X86_64}))
    disk = gpt_disk((BIOS_BOOT, b"core"), esp, code=GRUB) if grub else gpt_disk(esp)
    image = add(site, disk, bios_mode="UEFI")
    assert image.status is ImageStatus.READY
    (warning,) = image.warnings
    assert "EFI/debian/grubx64.efi" in warning
    assert "[boot.vendor-loader v1" in warning
