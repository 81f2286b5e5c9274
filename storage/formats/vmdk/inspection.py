"""The inspector's checks of VMDK."""

from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.rules import ENDLESS, any_error
from storage.formats.scan import Scan
from storage.formats.vmdk.header import SECTOR, Header, read_header
from storage.formats.vmdk.rules import MAX_DESCRIPTOR, header_findings
from storage.formats.vmdk.tables import TableScan

SIZE_AT = 12
_ASCII = bytes(range(128)) + b"?" * 128


def findings(head: bytes, _: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge header and descriptor."""
    return header_findings(head, size_bytes)


def virtual_size(head: bytes, _: int) -> int:
    """Return the size in the header of a sparse file; the other kinds are refused."""
    header = _sparse(head)
    return header.size_bytes if header else 0


def scans(head: bytes, limit: int) -> tuple[Scan, ...]:
    """Return the reader of the grain tables, if the header is plausible."""
    header = _sparse(head)
    return () if header is None or any_error(header_findings(head, ENDLESS)) else (TableScan(header, limit),)


def in_ascii(head: bytes) -> bytes:
    """Return the head with non-ASCII bytes as question marks: VMware writes names in its host's code page."""
    return head[:SECTOR] + head[SECTOR : SECTOR + MAX_DESCRIPTOR].translate(_ASCII)


def _sparse(head: bytes) -> Header | None:
    return read_header(head) if head.startswith(b"KDMV") else None
