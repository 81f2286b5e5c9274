"""Check that the boot images of an ISO lie in the file. See `el_torito.py` for the layout of their catalog."""

from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.iso.el_torito import MAX_ENTRIES, SECTOR, catalog_place, read_catalog
from storage.formats.regions import Regions
from storage.formats.rules import Rule
from storage.formats.scan import Scan
from storage.formats.signatures import ISO_DESCRIPTOR

MAX_DESCRIPTORS = 16
CATALOG = Rule("iso.boot-catalog", "the boot catalog at byte {start} does not lie in the file")
IMAGE = Rule(
    "iso.boot-image", "boot image {number}, at byte {start}, does not lie in the file of {size} bytes; it is truncated"
)
SHORT = Rule(
    "iso.boot-image-cut",
    "boot image {number} ends at byte {end}, the file at {size}; it may be truncated",
    severity="warning",
)  # only a warning: authoring tools write sizes that are rounded up or missing


class BootScan(Scan):
    """Reads the boot catalog that the volume descriptors name. Memory: 2 KiB."""

    def __init__(self, head: bytes) -> None:
        self._start = _catalog_start(head)
        self._catalog: bytes | None = None

    def begin(self, regions: Regions) -> None:
        """Request the catalog."""
        if self._start:
            regions.want((self._start,), MAX_ENTRIES * 32, self._take)

    def _take(self, _: int, catalog: bytes) -> None:
        self._catalog = catalog

    def findings(self, regions: Regions, limit: int) -> Iterator[Finding]:  # noqa: ARG002  # it is a file's, not a disk's
        """Judge the entries of the catalog, as far as it was seen."""
        size_bytes = regions.size_bytes
        if self._start and self._start >= size_bytes:
            yield CATALOG.found(self._start, start=self._start)
            return
        for number, entry in enumerate(read_catalog(self._catalog or b""), 1):
            place, end = self._start + entry.place, entry.start + entry.size_bytes
            if entry.start >= size_bytes:
                yield IMAGE.found(place, number=number, start=entry.start, size=size_bytes)
            elif end > size_bytes:
                yield SHORT.found(place, number=number, end=end, size=size_bytes)


def _catalog_start(head: bytes) -> int:
    """Return the catalog's offset, 0 if nothing boots."""
    for number in range(MAX_DESCRIPTORS):
        record = head[ISO_DESCRIPTOR + number * SECTOR :][:SECTOR]
        if len(record) < SECTOR or record[1:6] != b"CD001" or record[0] == 255:
            return 0
        start = catalog_place(record)
        if start is not None:
            return start
    return 0
