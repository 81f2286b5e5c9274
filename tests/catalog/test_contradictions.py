"""What the bytes say against the form."""

import pytest

from catalog.records import BootFacts, Image
from catalog.rules.contradictions import contradictions
from tests.catalog.samples import an_image

BIOS = BootFacts(partition_table="mbr", bios_boot=True)
UEFI = BootFacts(partition_table="gpt", uefi_boot=("x86_64",))
BOTH = BootFacts(partition_table="gpt", bios_boot=True, uefi_boot=("x86_64",))
ARM = BootFacts(partition_table="gpt", uefi_boot=("aarch64",))
NOTHING = BootFacts(partition_table="none")


def declared(architecture: str, mode: str, **fields: object) -> Image:
    return an_image(cpu_architecture=architecture, bios_mode=mode, platform="Linux", virtio=True, **fields)


@pytest.mark.parametrize(
    ("image", "facts", "boots"),
    [
        (declared("x86_64", "Legacy"), BIOS, True),
        (declared("x86_64", "Legacy"), UEFI, False),
        (declared("x86_64", "Legacy"), BOTH, True),
        (declared("x86_64", "Legacy"), ARM, False),
        (declared("x86_64", "UEFI"), BIOS, False),
        (declared("x86_64", "UEFI"), UEFI, True),
        (declared("x86_64", "UEFI"), BOTH, True),
        (declared("x86_64", "UEFI"), ARM, False),
        (declared("x86_64", "UEFI", enable_csm=True), BIOS, True),
        (declared("aarch64", "UEFI"), ARM, True),
        (declared("aarch64", "UEFI"), UEFI, False),
        (declared("aarch64", "UEFI"), BIOS, False),
        (declared("x86_64", "UEFI", format="iso", media="ISO"), BIOS, False),
        (declared("x86_64", "UEFI", format="iso", media="ISO"), BOTH, True),
    ],
)
def test_an_image_that_boots_only_otherwise_is_an_error(image: Image, facts: BootFacts, boots: bool) -> None:
    errors, _ = contradictions(image, facts)
    assert bool(errors) is not boots
    if not boots:
        assert f"declared {image.bios_mode} on {image.cpu_architecture}" in errors[0]


def test_the_error_names_what_was_found() -> None:
    (error,), _ = contradictions(declared("x86_64", "Legacy"), ARM)
    assert "only a UEFI boot loader for aarch64" in error


@pytest.mark.parametrize("mode", ["Legacy", "UEFI"])
def test_where_nothing_boots_it_is_a_warning(mode: str) -> None:
    errors, warnings = contradictions(declared("x86_64", mode), NOTHING)
    assert errors == ()
    assert warnings == ("nothing that boots was found: no partition table and no boot code",)


def test_volume_images_are_not_judged() -> None:
    assert contradictions(an_image(image_type="Volume"), NOTHING) == ((), ())


@pytest.mark.parametrize(
    ("fields", "found", "words"),
    [
        ({"platform": "Windows"}, {"guest_os": "Debian GNU/Linux 12"}, "platform: declared Windows"),
        ({"platform": "Linux"}, {"guest_os": "Windows 10"}, "platform: declared Linux"),
        ({"os": "CentOS 7.6"}, {"guest_os": "Debian GNU/Linux 12"}, "os: declared CentOS 7.6, found Debian"),
        ({"virtio": True}, {"guest_os": "Debian", "virtio": False}, "virtio: declared"),
        ({"elastic_baremetal": True}, {"guest_agent": False}, "no agent"),
        (
            {"bios_mode": "UEFI"},
            {"guest_os": "CentOS 6.5", "uefi_boot": ("x86_64",)},
            "does not boot in UEFI",
        ),
    ],
)
def test_what_else_differs_is_a_warning(
    fields: dict[str, object], found: dict[str, object], words: str
) -> None:
    image = Image.model_validate(declared("x86_64", "Legacy").model_dump() | fields)
    errors, warnings = contradictions(image, BootFacts.model_validate(BIOS.model_dump() | found))
    assert errors == ()
    assert any(words in w for w in warnings)


@pytest.mark.parametrize("found", [{}, {"guest_os": "Debian 12", "virtio": True, "guest_agent": True}])
def test_agreement_says_nothing(found: dict[str, object]) -> None:
    image = declared("x86_64", "Legacy", os="Debian 12", elastic_baremetal=True)
    assert contradictions(image, BootFacts.model_validate(BIOS.model_dump() | found)) == ((), ())


def test_windows_without_its_disk_driver_cannot_boot_with_virtio() -> None:
    image = declared("x86_64", "Legacy").model_copy(update={"platform": "Windows"})
    facts = BIOS.model_copy(update={"guest_os": "Windows 10", "virtio": False})
    (error,), _ = contradictions(image, facts)
    assert "switch VirtIO off" in error
