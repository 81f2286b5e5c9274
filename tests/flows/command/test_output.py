"""Records as people read them on a terminal."""

import pytest

from catalog.records import BootFacts, Loader
from flows.command.output import print_record
from tests.catalog.samples import an_image


def test_an_image_with_boot_loaders_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    loaders = (Loader(machine="x86_64", path="EFI/BOOT/BOOTX64.EFI", offset=2_097_152),)
    print_record(an_image(boot=BootFacts(partition_table="gpt", uefi_boot=("x86_64",), loaders=loaders)))
    assert "uefi_boot x86_64, loaders EFI/BOOT/BOOTX64.EFI" in capsys.readouterr().out
