"""All facts about one disk, from the surest to the riskiest: what was found stands even if a later step kills the process."""

from collections.abc import Iterator

from storage.formats.disk import Bytes, Part
from storage.formats.probe import el_torito
from storage.formats.probe.filesystems import opened, read, signature
from storage.formats.probe.guest import Guest, read_guest
from storage.formats.probe.lvm import logical_volumes
from storage.formats.probe.machine import pe_machine
from storage.formats.probe.partitions import Partition, Table, boots_by_bios, read_table

Facts = dict[str, object]
MAX_EFI_IMAGE = 64 << 20
MAX_PARTS = 64


def survey(disk: Bytes, image_format: str) -> Iterator[Facts]:
    """Yield facts by the names of `catalog.records.BootFacts`, step by step; later ones add to earlier ones.

    All ways to boot come in one step: half of them would say that the image boots only in the other mode.
    """
    table = read_table(disk)
    yield {"partition_table": "iso" if image_format == "iso" else table.kind}
    parts = list(_parts(disk, table, image_format))
    kinds = [signature(part) for part, _ in parts]
    yield {"filesystems": tuple(dict.fromkeys(kind for kind in kinds if kind))}
    entries = el_torito.read_entries(disk) if image_format == "iso" else ()
    images = [Part(disk, e.start, MAX_EFI_IMAGE) for e in entries if e.platform == el_torito.EFI]
    esps = [
        part for (part, partition), kind in zip(parts, kinds, strict=True) if _may_be_esp(partition, kind)
    ]
    by_catalog = any(entry.platform == el_torito.BIOS for entry in entries)
    yield {
        "bios_boot": by_catalog or boots_by_bios(disk, table),
        "uefi_boot": tuple(dict.fromkeys(m for part in (*images, *esps) for m in _efi_machines(part))),
    }
    yield _guest_facts([part for part, _ in parts])


def _parts(disk: Bytes, table: Table, image_format: str) -> Iterator[tuple[Bytes, Partition | None]]:
    if image_format == "iso":
        yield disk, None
    for partition in table.partitions[:MAX_PARTS]:
        part = Part(disk, partition.start, partition.size_bytes)
        yield part, partition
        if signature(part) == "lvm":
            yield from ((volume, None) for volume in logical_volumes(part))


def _may_be_esp(partition: Partition | None, kind: str | None) -> bool:
    """Firmware boots from any FAT that is marked as system partition, and from an unmarked one on a removable disk."""
    return partition is not None and (partition.is_esp or (kind == "vfat" and not partition.is_bios_boot))


def _efi_machines(part: Bytes) -> Iterator[str]:
    with opened(part, signature(part) or "") as files:
        for name in files.names("/EFI/BOOT") if files else ():
            if name.upper().startswith("BOOT") and name.upper().endswith(".EFI"):
                machine = pe_machine(read(files, f"/EFI/BOOT/{name}", 4096) or b"") if files else None
                if machine:
                    yield machine


def _guest_facts(parts: list[Bytes]) -> Facts:
    guest = next((found for part in parts if (found := _guest(part))), None)
    if guest is None:
        return {}
    return {
        "guest_os": guest.os,
        "virtio": guest.virtio,
        "cloud_init": guest.cloud_init,
        "guest_agent": guest.agent,
    }


def _guest(part: Bytes) -> Guest | None:
    kind = signature(part)
    if kind is None:
        return None
    with opened(part, kind) as files:
        return read_guest(files) if files else None
