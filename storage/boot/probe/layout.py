"""How a disk is divided: its partition table, each part and what fills it; nothing of a file system is opened."""

from collections.abc import Iterator

from storage.boot.probe.filesystems import signature
from storage.boot.probe.partitions import Partition, read_table
from storage.boot.probe.survey import MAX_PARTS
from storage.formats.blocks import Bytes, Part

Facts = dict[str, object]


def layout(disk: Bytes, image_format: str) -> Iterator[Facts]:
    """Yield the disk, then each part, by the names of `storage.boot.layout`: what was found stands if a later step dies."""
    table = read_table(disk)
    yield {"table": "iso" if image_format == "iso" else table.kind, "size_bytes": disk.size_bytes}
    for partition in table.partitions[:MAX_PARTS]:
        holds = signature(Part(disk, partition.start, partition.size_bytes))
        yield {
            "start": partition.start,
            "size_bytes": partition.size_bytes,
            "holds": holds or "",
            "role": _role(partition),
        }


def _role(partition: Partition) -> str:
    if partition.is_bios_boot:
        return "BIOS boot"
    return "EFI system" if partition.is_esp else ""
