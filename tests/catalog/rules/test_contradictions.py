"""What the bytes say against the form."""

import pytest

from catalog.records import BootFacts, Image, Loader
from catalog.rules.images.contradictions import boot_findings, contradictions
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
    assert warnings == ("nothing that boots was found: no partition table and no boot code [boot.nothing-found v1]",)


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
def test_what_else_differs_is_a_warning(fields: dict[str, object], found: dict[str, object], words: str) -> None:
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
    facts = BIOS.model_copy(update={"guest_os": "Windows 10", "virtio_disk": False})
    (error,), _ = contradictions(image, facts)
    assert "choose virtio off" in error


VENDOR = Loader(machine="x86_64", path="EFI/debian/grubx64.efi", offset=1 << 20)
FALLBACK = Loader(machine="aarch64", path="EFI/BOOT/BOOTAA64.EFI", offset=1 << 20)


def rules(image: Image, facts: BootFacts) -> dict[str, str]:
    return {finding.rule: finding.severity for finding in boot_findings(image, facts)}


@pytest.mark.parametrize(
    ("mode", "found", "expected"),
    [
        ("UEFI", {"loaders": (VENDOR,)}, {"boot.vendor-loader": "warning"}),
        ("UEFI", {"loaders": (VENDOR,), "bios_boot": True}, {"boot.vendor-loader": "warning"}),
        ("Legacy", {"loaders": (VENDOR,), "bios_boot": True}, {}),
        ("Legacy", {"loaders": (VENDOR,)}, {"boot.mode": "error"}),
        ("Legacy", {"bios_code": True}, {"boot.code-unknown": "warning"}),
        ("Legacy", {"bios_code": True, "uefi_boot": ("x86_64",)}, {"boot.code-unknown": "warning"}),
        ("UEFI", {"bios_code": True, "uefi_boot": ("x86_64",)}, {}),
        ("UEFI", {"bios_code": True}, {"boot.nothing-found": "warning"}),
        ("UEFI", {"loaders": (FALLBACK,), "uefi_boot": ("aarch64",)}, {"boot.architecture": "error"}),
        ("UEFI", {"uefi_boot": ("i386",)}, {"boot.architecture": "error"}),
    ],
)
def test_each_finding_has_its_rule_and_severity(mode: str, found: dict[str, object], expected: dict[str, str]) -> None:
    assert rules(declared("x86_64", mode), BootFacts.model_validate({"partition_table": "gpt", **found})) == expected


@pytest.mark.parametrize(
    ("drivers", "expected"),
    [
        ((False, False), {"boot.virtio-disk": "error", "boot.virtio-network": "warning"}),
        ((True, False), {"boot.virtio-network": "warning"}),
        ((False, True), {"boot.virtio-disk": "error"}),
        ((True, True), {}),
    ],
)
@pytest.mark.parametrize("guest", ["Windows 10", "Debian GNU/Linux 12"])
def test_a_missing_driver_is_its_own_finding(guest: str, drivers: tuple[bool, bool], expected: dict[str, str]) -> None:
    if guest != "Windows 10":
        expected = {rule.replace("-disk", "-modules"): "warning" for rule in expected}
    platform = "Windows" if guest == "Windows 10" else "Linux"
    image = declared("x86_64", "Legacy").model_copy(update={"platform": platform})
    found = {
        "guest_os": guest,
        "virtio": all(drivers),
        "virtio_disk": drivers[0],
        "virtio_network": drivers[1],
    }
    assert rules(image, BIOS.model_copy(update=found)) == expected


def test_what_was_measured_before_drivers_were_told_apart_is_no_proof() -> None:
    image = declared("x86_64", "Legacy").model_copy(update={"platform": "Windows"})
    old = BIOS.model_copy(update={"guest_os": "Windows 10", "virtio": False})
    assert rules(image, old) == {"boot.virtio-modules": "warning"}


@pytest.mark.parametrize(
    ("image", "facts", "choice", "place"),
    [
        (declared("x86_64", "Legacy"), UEFI, "choose bios_mode UEFI", ""),
        (declared("x86_64", "UEFI"), BIOS, "choose bios_mode Legacy", ", byte 0]"),
        (
            declared("x86_64", "Legacy"),
            ARM.model_copy(update={"loaders": (FALLBACK,)}),
            "choose cpu_architecture aarch64 with bios_mode UEFI",
            "(EFI/BOOT/BOOTAA64.EFI, in the file system at byte 1048576)",
        ),
        (declared("aarch64", "UEFI"), BIOS, "choose cpu_architecture x86_64 with bios_mode Legacy", ""),
        (
            declared("x86_64", "UEFI"),
            BootFacts(partition_table="gpt", uefi_boot=("i386",)),
            "choose another image",
            "",
        ),
    ],
)
def test_the_error_says_what_to_choose_and_where_it_was_seen(
    image: Image, facts: BootFacts, choice: str, place: str
) -> None:
    (error,), _ = contradictions(image, facts)
    assert choice in error
    assert place in error
