"""What the bytes of an image say against what was declared about it.

An error needs proof that the image boots, and only otherwise than declared. Where nothing that boots was found, or
could not be looked for, it stays a warning: boot loaders exist that no inspection knows.
"""

from collections.abc import Iterator

from catalog.records import BootFacts, Image
from catalog.rules.operating_systems import UEFI_LIST, os_family, uefi_support

Sentences = tuple[str, ...]


def contradictions(image: Image, facts: BootFacts) -> tuple[Sentences, Sentences]:
    """Return (errors, warnings): why the image cannot boot as declared, and what else does not agree."""
    if image.image_type != "System":
        return (), ()
    errors = (*_boot_errors(image, facts), *_driver_errors(image, facts))
    return errors, (*_boot_warnings(image, facts), *_guest_warnings(image, facts))


def _boots(facts: BootFacts) -> bool:
    return facts.bios_boot or bool(facts.uefi_boot)


def _found(facts: BootFacts) -> str:
    bios = ["boot code for a Legacy BIOS (x86_64)"] if facts.bios_boot else []
    return " and ".join([*bios, *(f"a UEFI boot loader for {machine}" for machine in facts.uefi_boot)])


def _as_declared(image: Image, facts: BootFacts) -> bool:
    x86 = image.cpu_architecture in ("x86_64", None)
    legacy = facts.bios_boot and x86
    if image.bios_mode == "Legacy":
        return legacy
    loader = image.cpu_architecture in facts.uefi_boot if image.cpu_architecture else bool(facts.uefi_boot)
    return loader or (image.enable_csm and legacy)


def _boot_errors(image: Image, facts: BootFacts) -> Iterator[str]:
    if image.bios_mode is not None and _boots(facts) and not _as_declared(image, facts):
        yield (
            f"bios_mode: declared {image.bios_mode} on {image.cpu_architecture}, but the bytes hold only "
            f"{_found(facts)}; declare how the image was made"
        )


def _boot_warnings(image: Image, facts: BootFacts) -> Iterator[str]:
    if not _boots(facts):
        where = {"none": "no partition table and ", "unknown": "no readable partition table and "}
        yield f"nothing that boots was found: {where.get(facts.partition_table, '')}no boot code"
    if image.bios_mode == "UEFI" and facts.guest_os and not image.os and uefi_support(facts.guest_os) == "no":
        yield f"os: found {facts.guest_os}, which does not boot in UEFI mode; these do: {UEFI_LIST}"


def _driver_errors(image: Image, facts: BootFacts) -> Iterator[str]:
    windows = os_family(facts.guest_os or "") == "windows"
    if image.virtio and facts.virtio is False and windows and image.media == "Template":
        yield (
            f"virtio: declared, but {facts.guest_os} has no virtio disk driver and stops at boot; "
            "switch VirtIO off or install the drivers"
        )


def _guest_warnings(image: Image, facts: BootFacts) -> Iterator[str]:
    found = os_family(facts.guest_os or "")
    if (
        found
        and image.platform in ("Linux", "Windows")
        and (image.platform == "Windows") != (found == "windows")
    ):
        yield f"platform: declared {image.platform}, found {facts.guest_os}"
    if found and image.os and os_family(image.os) not in ("", found):
        yield f"os: declared {image.os}, found {facts.guest_os}"
    if image.virtio and facts.virtio is False and found != "windows" and image.media == "Template":
        yield "virtio: declared, but no virtio driver was found; the image may not see its disk"
    if image.elastic_baremetal and facts.guest_agent is False:
        yield "elastic_baremetal: no agent was found; console, password change and attaching will not work"
