"""The inspector's checks of qcow2."""

from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.qcow2.bitmaps import BitmapScan
from storage.formats.qcow2.header import HEADER_V2, read_header
from storage.formats.qcow2.rules import header_findings
from storage.formats.qcow2.snapshots import SnapshotScan
from storage.formats.qcow2.tables import TableScan
from storage.formats.rules import ENDLESS, Rule, any_error
from storage.formats.scan import Scan

SIZE_AT = 24
NO_SIZE = Rule("file.no-size", "the virtual size is 0 bytes; an image has at least one sector")


def findings(head: bytes, _: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge header and extensions."""
    if virtual_size(head, size_bytes) == 0 and len(head) >= HEADER_V2:
        yield NO_SIZE.found(SIZE_AT)
    yield from header_findings(head, size_bytes)


def virtual_size(head: bytes, _: int) -> int:
    """Return the size in the header, in whole sectors."""
    header = read_header(head)
    return header.virtual_bytes if header else 0


def scans(head: bytes, limit: int) -> tuple[Scan, ...]:
    """Return the readers of tables, snapshots and bitmaps, if the header is plausible."""
    header = read_header(head)
    if header is None or any_error(header_findings(head, ENDLESS)):
        return ()
    tables = TableScan(header, limit)
    return tables, SnapshotScan(header, tables.add_snapshot), BitmapScan(header, head, tables.add_bitmap)
