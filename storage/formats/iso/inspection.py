"""The inspector's checks of ISO 9660 and UDF."""

from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.iso import rules, udf
from storage.formats.iso.boot import BootScan
from storage.formats.scan import Scan


def findings(head: bytes, _: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge the volume's descriptors."""
    yield from rules.findings(head, size_bytes)
    yield from udf.findings(head, size_bytes)


def scans(head: bytes, _: int) -> tuple[Scan, ...]:
    """Return the reader of the boot catalog."""
    return (BootScan(head),)
