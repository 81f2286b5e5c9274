"""All facts about one disk, from the surest to the riskiest: what was found stands even if a later step kills the process."""

from collections.abc import Iterator

from storage.boot.probe.efi import efi_loaders
from storage.boot.probe.filesystems import opened, signature
from storage.boot.probe.guest import Guest, read_guest
from storage.boot.probe.lvm import logical_volumes
from storage.boot.probe.partitions import Partition, Table, boots_by_bios, read_table
from storage.formats.blocks import Bytes, Part
from storage.formats.iso import el_torito

Facts = dict[str, object]
MAX_EFI_IMAGE = 64 << 20
MAX_PARTS = 64


def survey(disk: Bytes, image_format: str) -> Iterator[Facts]:
    """Yield facts by the names of `catalog.records.BootFacts`, step by step; later ones add to earlier ones.

    All ways to boot come in one step: half of them would say that the image boots only in the other mode.
    """
    table = read_table(disk)
    yield {"partition_table": "iso" if image_format == "iso" else table.kind}
    parts = list(parts_of(disk, table, image_format))
    kinds = [signature(part) for part, _ in parts]
    yield {"filesystems": tuple(dict.fromkeys(kind for kind in kinds if kind))}
    entries = el_torito.read_entries(disk) if image_format == "iso" else ()
    esps: list[tuple[Bytes, int]] = [
        (Part(disk, e.start, MAX_EFI_IMAGE), e.start) for e in entries if e.platform == el_torito.EFI
    ]
    for (part, partition), kind in zip(parts, kinds, strict=True):
        if partition is not None and _may_be_esp(partition, kind):
            esps.append((part, partition.start))
    by_catalog = any(entry.platform == el_torito.BIOS for entry in entries)
    by_code = boots_by_bios(disk, table)
    loaders = [loader for part, start in esps for loader in efi_loaders(part, start)]
    yield {
        "bios_boot": by_catalog or bool(by_code),
        "bios_code": by_code is None and not by_catalog,
        "uefi_boot": tuple(dict.fromkeys(loader.machine for loader in loaders if loader.fallback)),
        "loaders": [{"machine": x.machine, "path": x.path, "offset": x.offset} for x in loaders],
    }
    yield _guest_facts(parts)


def parts_of(disk: Bytes, table: Table, image_format: str) -> Iterator[tuple[Bytes, Partition | None]]:
    """Yield the parts of a disk, logical volumes after their own; the disk itself, if it is a medium."""
    if image_format == "iso":
        yield disk, None
    for partition in table.partitions[:MAX_PARTS]:
        part = Part(disk, partition.start, partition.size_bytes)
        yield part, partition
        if signature(part) == "lvm":
            yield from ((volume, partition) for volume in logical_volumes(part))


def _may_be_esp(partition: Partition, kind: str | None) -> bool:
    """Firmware boots from any FAT that is marked as system partition, and from an unmarked one on a removable disk."""
    return partition.is_esp or (kind == "vfat" and not partition.is_bios_boot)


def _guest_facts(parts: list[tuple[Bytes, Partition | None]]) -> Facts:
    found = next(((guest, at) for part, at in parts if (guest := _guest(part))), None)
    if found is None:
        return {}
    guest, partition = found
    return {
        "guest_os": guest.os,
        "guest_at": partition.start if partition else 0,
        "virtio": guest.virtio,
        "virtio_disk": guest.virtio_disk,
        "virtio_network": guest.virtio_network,
        "cloud_init": guest.cloud_init,
        "guest_agent": guest.agent,
    }


def _guest(part: Bytes) -> Guest | None:
    kind = signature(part)
    if kind is None:
        return None
    with opened(part, kind) as files:
        return read_guest(files) if files else None
