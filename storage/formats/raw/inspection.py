"""The inspector's checks of raw files."""

from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.iso.rules import hybrid_findings
from storage.formats.raw import rules
from storage.formats.signatures import ISO_DESCRIPTOR

SECTOR = 512


def findings(head: bytes, tail: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge the kind of the bytes, and the ISO that a disk may also be."""
    yield from rules.findings(head, tail, size_bytes)
    if head.startswith(b"CD001", ISO_DESCRIPTOR + 1):
        yield from hybrid_findings(head, size_bytes)


def virtual_size(_: bytes, size_bytes: int) -> int:
    """Return the file's size, in whole sectors: a guest sees all of it."""
    return -(-size_bytes // SECTOR) * SECTOR
