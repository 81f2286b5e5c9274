"""The formats that an image may have: one row per format, with all the inspector's checks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from catalog.records import Finding
from storage.formats.iso import inspection as iso
from storage.formats.qcow2 import inspection as qcow2
from storage.formats.raw import inspection as raw
from storage.formats.scan import Scan
from storage.formats.vmdk import inspection as vmdk
from storage.formats.vmdk.rules import tail_findings

Judge = Callable[[bytes, bytes, int], Iterator[Finding]]
"""(head, tail, size_bytes) → findings. head, tail: the first and last bytes of the file, see `regions`; size_bytes: of the file."""


def _nothing(_head: bytes, _tail: bytes, _size_bytes: int) -> Iterator[Finding]:
    return iter(())


def _none(_head: bytes, _limit: int) -> tuple[Scan, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class FormatRules:
    """The inspector's checks of a format.

    evidence: how it is recognised, for people. findings: judge the first bytes; the tail is empty if not known yet.
    virtual_size: (head, size_bytes) → bytes, 0 if unknown. size_at: the offset of the size in the header, bytes; None
    if it is the file's own size. ending: further findings from the last bytes, once they are known. scans: (head,
    limit) → readers of what lies behind the head; limit: largest virtual size allowed, bytes. shown: head → the head
    given to a stricter second inspector.
    """

    evidence: str
    findings: Judge
    virtual_size: Callable[[bytes, int], int]
    size_at: int | None = None
    ending: Judge = _nothing
    scans: Callable[[bytes, int], tuple[Scan, ...]] = _none
    shown: Callable[[bytes], bytes] = bytes


FORMATS: Mapping[str, FormatRules] = {
    "raw": FormatRules("no signature of another format", raw.findings, raw.virtual_size),
    "qcow2": FormatRules(
        "QFI\\xfb at byte 0", qcow2.findings, qcow2.virtual_size, size_at=qcow2.SIZE_AT, scans=qcow2.scans
    ),
    "vmdk": FormatRules(
        "KDMV at byte 0",
        vmdk.findings,
        vmdk.virtual_size,
        size_at=vmdk.SIZE_AT,
        ending=tail_findings,
        scans=vmdk.scans,
        shown=vmdk.in_ascii,
    ),
    "iso": FormatRules("CD001 or BEA01 at byte 32769", iso.findings, raw.virtual_size, scans=iso.scans),
}
"""By the names of `catalog.records.ImageFormat`; a format without a row is refused."""
