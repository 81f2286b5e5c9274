"""Contradictions between an image's bytes and its declaration, one named rule each.

An error needs proof that the image boots, but only otherwise than declared. If nothing bootable was found, or the
search was impossible, it is only a warning: some boot loaders are unknown to any inspection.

| rule | severity | what was declared | what the bytes say |
|---|---|---|---|
| boot.mode | error | Legacy or UEFI | a way to boot in the other only |
| boot.architecture | error | an architecture | a way to boot on another only |
| boot.virtio-disk | error | VirtIO | a Windows without the disk driver: it stops at boot |
| boot.virtio-modules | warning | VirtIO | a Linux without the disk driver, as far as its lists say |
| boot.virtio-network | warning | VirtIO | a guest without the network driver |
| boot.vendor-loader | warning | UEFI | a loader that needs a boot entry, which does not travel with the disk |
| boot.code-unknown | warning | Legacy | unrecognized boot code |
| boot.nothing-found | warning | anything | nothing that boots |
| guest.uefi, guest.platform, guest.os, guest.agent | warning | mode, platform, OS, elastic bare metal | a guest that differs |
"""

from collections.abc import Iterator, Mapping
from typing import get_args

from catalog.records import Architecture, BootFacts, Finding, Image
from catalog.rules.images.boot_ways import Way, told, ways
from catalog.rules.images.operating_systems import UEFI_LIST, os_family, uefi_support

Sentences = tuple[str, ...]

REFUSING: Mapping[str, str] = {
    "boot.mode": "the image boots in the mode that was declared",
    "boot.architecture": "the image boots on the architecture that was declared",
    "boot.virtio-disk": "a Windows declared for VirtIO has its disk driver",
}
"""Rules whose findings keep an image out of Ready → the statement that holds if the rule finds nothing."""


def contradictions(image: Image, facts: BootFacts) -> tuple[Sentences, Sentences]:
    """Return (errors, warnings) of `boot_findings`, as lines for people."""
    found = boot_findings(image, facts)
    errors = tuple(f.described for f in found if f.severity == "error")
    return errors, tuple(f.described for f in found if f.severity == "warning")


def boot_findings(image: Image, facts: BootFacts) -> tuple[Finding, ...]:
    """Return why the image cannot boot as declared, and all other contradictions; errors first."""
    if image.image_type != "System":
        return ()
    found = (*_boot(image, facts), *_drivers(image, facts), *_guest(image, facts))
    return tuple(sorted(found, key=lambda finding: finding.severity != "error"))


def _finding(rule: str, sentence: str, offset: int | None = None) -> Finding:
    severity = "error" if rule in REFUSING else "warning"
    return Finding.model_validate(
        {"rule": rule, "rule_version": 1, "severity": severity, "offset": offset, "sentence": sentence}
    )


def _boot(image: Image, facts: BootFacts) -> Iterator[Finding]:
    found = ways(facts)
    declared = [way for way in found if _goes(image, way)]
    proven = [way for way in found if way.proves]
    if not declared and not proven:
        where = {"none": "no partition table and ", "unknown": "no readable partition table and "}
        sentence = f"nothing that boots was found: {where.get(facts.partition_table, '')}no boot code"
        yield _finding("boot.nothing-found", sentence)
    elif not declared and image.bios_mode is not None:
        yield _otherwise(image, tuple(proven))
    elif declared and all(way.doubt for way in declared):
        yield _doubted(declared[0])


def _goes(image: Image, way: Way) -> bool:
    """Tell whether a machine as declared boots this way."""
    modes = ("UEFI", "Legacy") if image.enable_csm else (image.bios_mode or way.mode,)
    return way.mode in modes and image.cpu_architecture in (way.architecture, None)


def _otherwise(image: Image, found: tuple[Way, ...]) -> Finding:
    same = [way for way in found if way.architecture == image.cpu_architecture]
    offered = [*same, *(way for way in found if way.architecture in get_args(Architecture))]
    choices = [
        f"bios_mode {way.mode}" if same else f"cpu_architecture {way.architecture} with bios_mode {way.mode}"
        for way in offered
    ]
    return _finding(
        "boot.mode" if same else "boot.architecture",
        f"{'bios_mode' if same else 'cpu_architecture'}: declared {image.bios_mode} on {image.cpu_architecture}, but the "
        f"bytes hold only {told(found)}; choose {' or '.join([*choices[:1], 'another image'])}",
        found[0].offset,
    )


def _doubted(way: Way) -> Finding:
    if way.mode == "Legacy":
        return _finding(
            "boot.code-unknown",
            "bios_mode: declared Legacy, and the first sector holds boot code, but where it leads is not known; "
            "try it with boot-check",
            way.offset,
        )
    return _finding(
        "boot.vendor-loader",
        f"bios_mode: declared UEFI, but the only loader is {way.path}, which firmware starts by a boot entry in its own memory: "
        "a new machine has none and finds no EFI/BOOT/BOOT*.EFI; install the loader there as well "
        "(grub-install --removable), or copy it",
        way.offset,
    )


def _drivers(image: Image, facts: BootFacts) -> Iterator[Finding]:
    if not image.virtio or image.media != "Template":
        return
    windows, guest = os_family(facts.guest_os or "") == "windows", facts.guest_os or "the guest"
    if facts.virtio_disk is False and windows:
        yield _finding(
            "boot.virtio-disk",
            f"virtio: declared, but {guest} has no VirtIO disk driver (neither viostor.sys nor vioscsi.sys is in "
            "Windows/System32/drivers) and stops at boot; choose virtio off, or install the drivers",
            facts.guest_at,
        )
    elif facts.virtio_disk is False or (facts.virtio is False and facts.virtio_disk is None):
        sentence = f"virtio: declared, but no virtio disk driver was found in {guest}; it may not see its disk"
        yield _finding("boot.virtio-modules", sentence, facts.guest_at)
    if facts.virtio_network is False:
        sentence = (
            f"virtio: declared, but {guest} has no virtio network driver; it has no network until that is installed"
        )
        yield _finding("boot.virtio-network", sentence, facts.guest_at)


def _guest(image: Image, facts: BootFacts) -> Iterator[Finding]:
    guest = facts.guest_os or ""
    found, at = os_family(guest), facts.guest_at
    if image.bios_mode == "UEFI" and guest and not image.os and uefi_support(guest) == "no":
        yield _finding("guest.uefi", f"os: found {guest}, which does not boot in UEFI mode; these do: {UEFI_LIST}", at)
    windows = image.platform == "Windows"
    if found and image.platform in ("Linux", "Windows") and windows != (found == "windows"):
        yield _finding("guest.platform", f"platform: declared {image.platform}, found {guest}", at)
    if found and image.os and os_family(image.os) not in ("", found):
        yield _finding("guest.os", f"os: declared {image.os}, found {guest}", at)
    if image.elastic_baremetal and facts.guest_agent is False:
        yield _finding(
            "guest.agent",
            "elastic_baremetal: no agent was found; console, password change and attaching will not work",
            at,
        )
